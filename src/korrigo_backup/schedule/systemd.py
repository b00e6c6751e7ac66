"""Units of systemd: those of the system for root, else those of the user's own manager."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.errors import KorrigoBackupError, Refused, World
from korrigo_backup.system.files import explained
from korrigo_backup.system.run import Command, run

if TYPE_CHECKING:
    from collections.abc import Mapping

RUNNING = Path("/run/systemd/system")
"""There while systemd is the machine's init (sd_booted(3))."""

_LINGER = Path("/var/lib/systemd/linger")
_LIMIT = 90.0  # seconds
_MODE = 0o644


def boots() -> bool:
    """Return whether systemd runs this machine."""
    return RUNNING.is_dir()


@dataclass(frozen=True)
class Systemd:
    """The units in `directory` and the manager that reads them."""

    directory: Path
    system: bool

    def read(self, name: str) -> str | None:
        """Return the text of a unit, None when there is none."""
        path = self.directory / name
        with explained(f"read {path}"):
            try:
                return path.read_text(encoding="utf-8", errors="surrogateescape")
            except FileNotFoundError:
                return None

    def names(self) -> list[str]:
        """Return the names of all units in the directory."""
        with explained(f"read {self.directory}"):
            return sorted(path.name for path in self.directory.iterdir()) if self.directory.is_dir() else []

    def require(self) -> None:
        """Raise Refused when no systemd can be asked."""
        if not boots():
            raise Refused(
                "systemd does not run this machine",
                hint="korrigo-backup schedule install --cron; in a container: korrigo-backup schedule run",
            )

    def apply(self, wanted: Mapping[str, str | None]) -> None:
        """Write the units, remove those that are None, and start the timers; all of it, or it is as it was before."""
        self.require()
        before = {name: self.read(name) for name in wanted}
        try:
            self._put(wanted)
        except BaseException:
            try:
                self._put(before)
            except KorrigoBackupError as problem:
                problem.leave(
                    World.CHANGED,
                    f"units in {self.directory} are half written: korrigo-backup schedule remove, then again",
                )
                raise
            raise

    def state(self, timer: str) -> tuple[bool, bool]:
        """Return whether a timer starts with the machine, and whether it is waiting for its time now."""
        if not boots():
            return False, False
        return self._asked("is-enabled", timer), self._asked("is-active", timer)

    def lingers(self, user: str) -> bool:
        """Return whether the manager of a user runs while he is not logged in."""
        return self.system or (_LINGER / user).exists()

    def _put(self, wanted: Mapping[str, str | None]) -> None:
        gone = [name for name, text in wanted.items() if text is None and self.read(name) is not None]
        if timers := _timers(gone):
            self._systemctl("disable", "--now", *timers)
        with explained(f"write units in {self.directory}"):
            self.directory.mkdir(parents=True, exist_ok=True)
            for name, text in wanted.items():
                self._write(self.directory / name, text)
        self._systemctl("daemon-reload")
        if timers := _timers([name for name, text in wanted.items() if text is not None]):
            self._systemctl("enable", "--now", *timers)
            self._systemctl("restart", *timers)  # a timer that waits already takes its new time only then

    def _write(self, path: Path, text: str | None) -> None:
        if text is None:
            path.unlink(missing_ok=True)
            return
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.write_text(text, encoding="utf-8", errors="surrogateescape")
        fresh.chmod(_MODE)
        fresh.replace(path)

    def _systemctl(self, *words: str) -> None:
        done = run(self._command(*words), timeout=_LIMIT)
        if done.status:
            reason = done.stderr.strip().replace("\n", "; ") or f"status {done.status}"
            hint = (
                "see journalctl -xe" if self.system else "log in as this user (not by su), see systemctl --user status"
            )
            raise KorrigoBackupError(f"systemctl {' '.join(words)} failed: {reason}", hint=hint)

    def _asked(self, question: str, unit: str) -> bool:
        return run(self._command(question, "--quiet", unit), timeout=_LIMIT).status == 0

    def _command(self, *words: str) -> Command:
        passed = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
        env = {name: os.environ[name] for name in passed if name in os.environ}
        return Command(("systemctl", *(() if self.system else ("--user",)), "--no-ask-password", *words), env)


def _timers(names: list[str]) -> list[str]:
    return [name for name in names if name.endswith(".timer")]


def units_here() -> Systemd:
    """Return the units of the system for root, else of this user."""
    if os.geteuid() == 0:
        return Systemd(Path("/etc/systemd/system"), system=True)
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return Systemd(home / "systemd" / "user", system=False)
