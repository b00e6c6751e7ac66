"""A target that duplicity writes: chains of encrypted volumes that hold the states of a directory.

duplicity takes a directory as a whole, so that a copy is one run for all backups (`duplicity_copy.py`). The newest
state has the backups that this host has; former states keep what is gone here. Nothing is ever removed by this program.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from korrigo_backup.artifact.naming import MEDIA_STORE
from korrigo_backup.errors import KorrigoBackupError, NotFound, ProofFailed, Refused, Unreachable
from korrigo_backup.system.files import explained, sha256_of
from korrigo_backup.system.run import Command, Completed, describe_status, ended_with_us, spawn
from korrigo_backup.targets.port import StoredObject, require_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from korrigo_backup.core.secret import Secret
    from korrigo_backup.targets.port import PutResult

_STATE = re.compile(r"^ (?:full|inc) (\d{8}T\d{6}Z) ", re.MULTILINE)
"""A line for programs: ` full 20260204T030000Z 3 enc`."""

_LISTED = re.compile(r"^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4} (?P<name>.+)$")
"""`Sat Nov 28 09:53:44 2026 name`."""

_NO_FILE, _NO_FILES = 19, 20
"""Exit statuses of duplicity: no such file in a state, nothing to restore."""

_DAMAGED, _GPG = 21, 31
"""Exit statuses of duplicity: a volume differs from its checksum in the manifest; gpg failed."""

_NO_ROOM = {35, 53}
_NO_CONNECTION = {38, 50, 52, 54}
"""Exit statuses of duplicity: of the connection, of the backend, a missing object, a command of the backend."""


@dataclass(frozen=True)
class DuplicityTarget:
    """States of a directory at `url`, encrypted to the GPG key `encrypt_key`; without one they are not encrypted.

    `words` are the command with its options. A new chain begins when the last one is `full_days` old. `sizes` returns
    the bytes of an object as this host knows them, since duplicity lists none. `env` has GNUPGHOME and the passphrase
    of the private key, both if they are known; without a passphrase GPG's agent is asked.
    """

    name: str
    url: str
    encrypt_key: str | None
    words: tuple[str, ...] = ("duplicity",)
    full_days: int = 30
    timeout: float = 60
    env: Mapping[str, str | Secret] = field(default_factory=dict, repr=False)
    sizes: Callable[[str], int] = field(default=lambda _: 0, repr=False)

    @property
    def place(self) -> str:
        """The URL as in the configuration."""
        return self.url

    def save(self, directory: Path, *, whole: bool = False) -> None:
        """Add the present state of a directory, in a new chain if `whole`. A run that was killed is gone on with."""
        how = ("full",) if whole else ()
        more = () if whole else ("--full-if-older-than", f"{self.full_days}D")
        done = self._duplicity(*how, *more, "--allow-source-mismatch", str(directory), self.url)
        self._require(done, "store a state")

    def states(self) -> list[str]:
        """Return the times of the states that are complete there, such as 20260204T030000Z, the newest first."""
        done = self._duplicity("collection-status", "--log-fd=1", self.url)
        self._require(done, "list the states")
        return sorted(set(_STATE.findall(done.stdout.decode(errors="replace"))), reverse=True)

    def put(self, name: str, source: Path, sha256: str) -> PutResult:  # noqa: ARG002 - the port's
        """Refuse: duplicity has no single objects."""
        raise Refused(
            f"{self.name}: duplicity takes all backups at once, not {name} alone",
            hint=f"korrigo-backup copy --to {self.name}",
        )

    def list(self, below: str = "") -> Iterator[StoredObject]:
        """Yield the files of the newest state; their sizes are those that this host knows, else 0."""
        if not self.states():
            return
        done = self._duplicity("list-current-files", self.url)
        self._require(done, "list the files")
        found = (_LISTED.match(line) for line in done.stdout.decode(errors="replace").splitlines())
        names = {one["name"] for one in found if one}
        directories = {name.rpartition("/")[0] for name in names}
        for name in sorted(names - directories - {"."}):
            if name.startswith(below):
                yield StoredObject(name, self.sizes(name))

    def stat(self, name: str) -> StoredObject | None:
        """Return a file of the newest state."""
        require_plain(name)
        return next((one for one in self.list(name) if one.name == name), None)

    def fetch(self, name: str, to: Path) -> str:
        """Write a file to `to` and return its SHA-256; a file of the newest state that has one of this name.

        The files of the media store are restored together, into a directory beside `to`, which the caller removes.
        """
        require_plain(name)
        site, _, rest = name.partition("/")
        if not rest.startswith(f"{MEDIA_STORE}/"):
            self._restore(name, to)
        else:
            store = to.parent / "duplicity"
            if not store.exists():
                self._restore(f"{site}/{MEDIA_STORE}", store)
            found = store / rest.removeprefix(f"{MEDIA_STORE}/")
            if not found.is_file():
                raise self._missing(name)
            with explained(f"write {to}"):
                found.rename(to)
        with explained(f"write {to}"):
            to.chmod(0o600)
            return sha256_of(to)[0]

    # Processes

    def _restore(self, name: str, to: Path) -> None:
        """Restore a file or directory from the newest state that has it."""
        for state in self.states():
            done = self._duplicity("restore", "-t", state, "-r", name, self.url, str(to))
            if done.status == 0 and to.exists():
                return
            if done.status not in {0, _NO_FILE, _NO_FILES}:
                self._require(done, f"fetch {name}")
        raise self._missing(name)

    def _missing(self, name: str) -> NotFound:
        return NotFound(
            f"{self.name}: no state at {self.place} has {name}", hint=f"korrigo-backup list --on {self.name}"
        )

    def _duplicity(self, *words: str) -> Completed:
        key = ("--encrypt-key", self.encrypt_key) if self.encrypt_key else ("--no-encryption",)
        agent = () if "PASSPHRASE" in self.env else ("--use-agent",)
        tries = ("--num-retries", "2", "--backend-retry-delay", "1", "--timeout", f"{max(1, int(self.timeout))}")
        verb, rest = (words[:1], words[1:]) if not words[0].startswith("-") else ((), words)
        fixed = (*verb, *key, *agent, *tries, "--no-print-statistics")
        command = Command((self.words[0], *fixed, *self.words[1:], *rest), self.env)
        with spawn(ended_with_us(command), stdin=True, stdout=True) as process:
            output = process.stdout.read()
            status = process.wait()
        return Completed(status, output, process.stderr)

    def _require(self, done: Completed, doing: str) -> None:
        if done.status == 0:
            return
        lines = [line for line in done.stderr.splitlines() if line.strip()] or [describe_status(done.status)]
        named = next((line for line in lines if "gpg:" in line), lines[-1])
        message = f"{self.name}: cannot {doing} at {self.place}: {named}"
        hint = f"try it: {self.words[0]} collection-status {self.url}"
        if done.status == _DAMAGED:
            raise ProofFailed(
                f"{self.name}: cannot {doing} at {self.place}: a volume there differs from its manifest",
                hint="korrigo-backup copy begins a new chain; use another copy of what is not here any more",
            )
        if done.status == _GPG or "gpg:" in named:
            raise Refused(message, hint="put the key into gpg's keyring here: gpg --import; to read, the private one")
        if done.status in _NO_CONNECTION:
            raise Unreachable(message, hint=hint)
        if done.status in _NO_ROOM:
            raise KorrigoBackupError(message, hint="make room there, then copy again")
        raise KorrigoBackupError(message, hint=hint)
