"""A target on another host, by the rsync and ssh of this host.

rsync writes under a temporary name there and renames. A key that may only write (`rrsync -wo`) is enough for a put: the
checksums are then compared by a dry run of rsync, which reads the file there. Nothing is ever deleted or replaced by a
put.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from korrigo_backup.errors import KorrigoBackupError, NotFound, Refused, Unreachable
from korrigo_backup.system.files import sha256_of
from korrigo_backup.system.run import Command, describe_status, run
from korrigo_backup.targets.port import PutResult, StoredObject, other_content, require_named, require_plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from korrigo_backup.system.run import Completed

_PARTIAL = ".rsync-partial"
"""The directory there in which a file lies until it is complete."""

_NO_CONNECTION = {10, 30, 35, 255}
"""Exit statuses of rsync: socket, timeout of the data, timeout of the connection; ssh's own."""

_PARTLY = {23, 24}
"""Exit statuses of rsync: not all files could be read or written."""

_UNANSWERED = 3
"""Questions of ssh that the other host may leave unanswered; then the connection has ended."""

_FILE_ERROR = 11
_SSH_FAILED = 255
_LISTED = re.compile(r"^(?P<type>.)\S{9,10}\s+(?P<size>[\d,.]+) \d{4}/\d\d/\d\d \d\d:\d\d:\d\d (?P<name>.+)$")
_SHA256 = re.compile(r"^\\?([0-9a-f]{64})\b")


@dataclass(frozen=True, kw_only=True)
class SshPlace:
    """A directory on a host. `words` are the ssh command with its options; a port of 0 is that of ssh's configuration.

    `root` is a path of plain characters; below a restricted key it begins where the key's directory is.
    """

    host: str
    root: str
    user: str | None = None
    port: int = 0
    words: tuple[str, ...] = ("ssh",)

    @property
    def destination(self) -> str:
        """The host as ssh takes it."""
        return f"{self.user}@{self.host}" if self.user else self.host


@dataclass(frozen=True)
class SshTarget:
    """Objects in a directory of another host. `limit` is in KiB a second, 0 for none; `timeout` in seconds."""

    name: str
    at: SshPlace
    limit: int = 0
    timeout: float = 60

    @property
    def place(self) -> str:
        """The directory as an URL."""
        port = f":{self.at.port}" if self.at.port else ""
        return f"ssh://{self.at.destination}{port}/{self.at.root.lstrip('/')}"

    def put(self, name: str, source: Path, sha256: str) -> PutResult:
        """Store a file; see the port."""
        require_named(name, source)
        found = self._differs(name, source)
        if found is None:
            self._send(name, source)
            found = self._differs(name, source)
            new = True
        else:
            new = False
        if found is None or found or (self._has_shell and self._sha256_there(name) != sha256):
            raise other_content(self, name)
        return PutResult(is_new=new)

    def list(self, below: str = "") -> Iterator[StoredObject]:
        """Yield objects; see the port."""
        if below:
            require_plain(below.rstrip("/"))
        done = self._rsync("--recursive", "--list-only", "--no-human-readable", f"--exclude={_PARTIAL}",
                           self._remote(below) if below else f"{self._remote('')}/")  # fmt: skip
        if done.status in _PARTLY and self._is_missing(below):
            return
        self._require(done, "list objects")
        for line in done.stdout.decode(errors="replace").splitlines():
            found = _LISTED.match(line)
            if found and found["type"] == "-":
                yield StoredObject(f"{below}{found['name']}", int(re.sub(r"\D", "", found["size"])))

    def stat(self, name: str) -> StoredObject | None:
        """Return an object; see the port."""
        done = self._rsync("--list-only", "--no-human-readable", self._remote(require_plain(name)))
        if done.status in _PARTLY:
            return None
        self._require(done, f"look at {name}")
        lines = done.stdout.decode(errors="replace").splitlines()
        found = next((match for line in lines if (match := _LISTED.match(line)) and match["type"] == "-"), None)
        return StoredObject(name, int(re.sub(r"\D", "", found["size"]))) if found else None

    def fetch(self, name: str, to: Path) -> str:
        """Write an object to a file; see the port."""
        done = self._rsync("--whole-file", "--chmod=F600", *self._pace, self._remote(require_plain(name)), str(to))
        if done.status in _PARTLY and self.stat(name) is None:
            raise NotFound(
                f"{self.name}: {self.place} has no {name}", hint=f"korrigo-backup list --on {self.name}"
            )  # fmt: skip
        self._require(done, f"fetch {name}")
        return sha256_of(to)[0]

    # Processes

    def _send(self, name: str, source: Path) -> None:
        done = self._rsync(
            "--ignore-existing", "--mkpath", "--fsync", "--chmod=D700,F600", "--perms", f"--partial-dir={_PARTIAL}",
            *self._pace, str(source.absolute()), self._directory(name),
        )  # fmt: skip
        self._require(done, f"store {name}")

    def _differs(self, name: str, source: Path) -> bool | None:
        """Return whether the file there has other content than `source`, None if there is none, by a dry run."""
        done = self._rsync(
            "--checksum", "--dry-run", "--mkpath", "--out-format=%i",
            str(source.absolute()), self._directory(name),
        )  # fmt: skip
        self._require(done, f"compare {name}")
        changes = [line for line in done.stdout.decode(errors="replace").splitlines() if line.startswith(("<f", ">f"))]
        if not changes:
            return False
        return None if changes[0].startswith(("<f+", ">f+")) else True

    @cached_property
    def _has_shell(self) -> bool:
        """Whether this key may run a command there, besides rsync."""
        return self._shell("sha256sum", "--version").status == 0

    def _sha256_there(self, name: str) -> str:
        done = self._shell("sha256sum", "--", self._path(name))
        found = _SHA256.match(done.stdout.decode(errors="replace"))
        return found[1] if found else ""

    def _is_missing(self, below: str) -> bool:
        """Return whether a directory is not there, from the list of the directory above it."""
        above, _, last = below.rstrip("/").rpartition("/")
        done = self._rsync("--list-only", "--dirs", "--no-human-readable", f"{self._remote(above)}/")
        if done.status in _PARTLY and above:
            return self._is_missing(above)
        if done.status in _PARTLY:  # the root itself: made by the first put
            return True
        self._require(done, "list objects")
        lines = done.stdout.decode(errors="replace").splitlines()
        return not any((match := _LISTED.match(line)) and match["name"] == last for line in lines)

    @property
    def _pace(self) -> tuple[str, ...]:
        return (f"--bwlimit={self.limit}",) if self.limit else ()

    def _path(self, name: str) -> str:
        root = self.at.root.rstrip("/")
        return "/".join(filter(None, (root, name))) if root or name else "."

    def _directory(self, name: str) -> str:
        """Return the directory of an object as rsync takes it: a file is sent into it and keeps its name.

        To a file, a restricted key (rrsync) gives rsync a path that it cannot compare.
        """
        return f"{self._remote(name.rpartition('/')[0])}/"

    def _remote(self, name: str) -> str:
        return f"{self.at.destination}:{self._path(name)}"

    @property
    def _ssh(self) -> tuple[str, ...]:
        port = ("-p", str(self.at.port)) if self.at.port else ()
        alive = max(1, min(15, int(self.timeout / _UNANSWERED)))
        options = ("BatchMode=yes", f"ConnectTimeout={max(1, min(10, int(self.timeout)))}",
                   f"ServerAliveInterval={alive}", f"ServerAliveCountMax={_UNANSWERED}")  # fmt: skip
        return (*self.at.words, *port, *(word for option in options for word in ("-o", option)))

    def _rsync(self, *words: str) -> Completed:
        return run(
            Command(("rsync", f"--timeout={max(1, int(self.timeout))}", f"--rsh={shlex.join(self._ssh)}", *words))
        )

    def _shell(self, *words: str) -> Completed:
        return run(Command((*self._ssh, self.at.destination, shlex.join(words))))

    def _require(self, done: Completed, doing: str) -> None:
        """Raise an error for an rsync or ssh that failed, with its own words."""
        if done.status == 0:
            return
        last = next((line for line in done.stderr.splitlines() if line.strip()), describe_status(done.status))
        message = f"{self.name}: cannot {doing} on {self.place}: {last}"
        if done.status in _NO_CONNECTION or self._shell("true").status == _SSH_FAILED:
            raise Unreachable(message, hint=f"try it: {shlex.join(self._ssh)} {self.at.destination} true")
        if done.status == _FILE_ERROR:
            raise KorrigoBackupError(message, hint="see the room and the rights there, then copy again")
        if done.status in _PARTLY:
            raise Refused(message, hint="see the rights and the room of the directory there")
        raise Refused(message, hint="rsync 3.2.4 or newer is needed on both sides; the key must allow this operation")


@dataclass(frozen=True)
class DeletingSshTarget(SshTarget):
    """The same with the right to delete, which needs a key that may run commands."""

    def delete(self, name: str) -> None:
        """Delete an object; see the port."""
        done = self._shell("rm", "-f", "--", self._path(require_plain(name)))
        if done.status == _SSH_FAILED:
            raise Unreachable(
                f"{self.name}: {self.place} does not answer: {done.stderr.strip()}",
                hint=f"try it: {shlex.join(self._ssh)} {self.at.destination} true",
            )
        if done.status:
            raise Refused(
                f"{self.name}: cannot delete {name} on {self.place}: {done.stderr.strip()}",
                hint="set may_delete = false, or give the key the right to run rm",
            )
