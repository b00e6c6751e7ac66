"""A user's crontab, read and written as a whole with the command `crontab`: the only way that every cron offers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from korrigo_backup.errors import KorrigoBackupError, Refused
from korrigo_backup.system.run import Command, Completed, run, which

_LIMIT = 30.0  # seconds
_NONE = ("no crontab", "No such file")
"""Texts of the implementations of cron for a user without a crontab: the exit status is that of any failure."""
_DAEMONS = frozenset({"cron", "crond", "fcron", "busybox"})


@dataclass(frozen=True)
class Crontab:
    """The crontab of `user`, by default of the user of this process."""

    user: str | None = None

    @property
    def name(self) -> str:
        """The name of the crontab in a plan."""
        return f"crontab of {self.user}" if self.user else "your crontab"

    def require(self) -> None:
        """Raise Refused when there is no cron."""
        if not which("crontab"):
            raise Refused(
                "there is no cron here: the command crontab is missing",
                hint="apt-get install cron (dnf: cronie), or korrigo-backup schedule install --systemd",
            )

    def read(self) -> bytes:
        """Return its bytes, none when there is no crontab or no cron; Refused when this user may have none."""
        if not which("crontab"):
            return b""
        done = run(self._command("-l"), timeout=_LIMIT)
        if done.status and not any(words in done.stderr for words in _NONE):
            raise self._refused(done, "read")
        return b"" if done.status else done.stdout

    def write(self, content: bytes) -> None:
        """Replace the crontab by `content`, and read it back; an empty crontab is removed."""
        self.require()
        done = run(self._command("-") if content else self._command("-r"), stdin=content, timeout=_LIMIT)
        if done.status and (content or self.read()):
            raise self._refused(done, "write")
        if self.read() != content:
            raise KorrigoBackupError(
                f"{self.name} does not read back as it was written",
                hint="look at it with crontab -l: another program changes it, too",
                state="the crontab was written",
            )

    def _command(self, action: str) -> Command:
        return Command(("crontab", *(("-u", self.user) if self.user else ()), action))

    def _refused(self, done: Completed, doing: str) -> Refused:
        reason = done.stderr.strip().replace("\n", "; ") or f"status {done.status}"
        return Refused(
            f"cannot {doing} {self.name}: {reason}",
            hint="see /etc/cron.allow and /etc/cron.deny, or use korrigo-backup schedule install --systemd",
        )


def daemon_runs() -> bool:
    """Return whether a cron daemon seems to run; True if the processes of others cannot be seen."""
    names = set()
    for process in Path("/proc").glob("[0-9]*/comm"):
        try:
            names.add(process.read_text().strip())
        except OSError:
            continue
    return bool(names & _DAEMONS) or len(names) <= 1
