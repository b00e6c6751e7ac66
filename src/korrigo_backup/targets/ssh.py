"""A target on another host, by the rsync and ssh of this host.

rsync writes under a temporary name there and renames. A key that may only write (`rrsync -wo`) is enough for a put: the
checksums are then compared by a dry run of rsync, which reads the file there. Nothing is ever deleted or replaced by a
put.

One file: the port's methods, and the runs of rsync and ssh that carry them out.
"""

from __future__ import annotations

import re
import shlex
import time
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from korrigo_backup.errors import KorrigoBackupError, NotFound, Refused, Unreachable
from korrigo_backup.system.files import explained, sha256_of
from korrigo_backup.system.run import Command, describe_status, ended_with_us, run, spawn
from korrigo_backup.targets.batch import trees
from korrigo_backup.targets.port import PutResult, StoredObject, other_content, require_named, require_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from korrigo_backup.errors import ProofFailed
    from korrigo_backup.system.run import Completed
    from korrigo_backup.targets.batch import BatchTree
    from korrigo_backup.targets.port import PutObject

_PARTIAL = ".rsync-partial"
"""The directory there in which a file lies until it is complete."""

_LARGE = 8 * 1024 * 1024
"""Bytes of a file that is worth to be gone on with after a killed transfer."""

_CONNECTING = 10.0
"""Seconds for ssh to connect; it has the same limit itself."""

_NO_CONNECTION = {10, 30, 35, 255}
"""Exit statuses of rsync: socket, timeout of the data, timeout of the connection; ssh's own."""

_STREAM_ENDED, _TIMED_OUT = 12, 30
"""Exit statuses of rsync: the other side has gone, which refuses the operation or is not reached any more; timeout."""

_PARTLY = {23, 24}
"""Exit statuses of rsync: not all files could be read or written."""

_UNANSWERED = 3
"""Questions of ssh within the time limit; as many more may stay unanswered, then ssh ends the connection.

rsync, which has the same limit, is then first to give up: only its own exit status says that it was a timeout.
"""

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
    _shared: list[str] = field(default_factory=list, compare=False, repr=False)
    """The words of ssh for the connection that is held, if one is."""

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

    def put_many(self, objects: Sequence[PutObject]) -> Mapping[str, PutResult | ProofFailed]:
        """Store files, in two runs of rsync for a directory: one sends, the other compares; see the port."""
        results: dict[str, PutResult | ProofFailed] = {}
        large: list[PutObject] = []
        small: list[PutObject] = []
        for one in objects:
            with explained(f"read {one.source}"):
                (large if one.source.stat().st_size >= _LARGE else small).append(one)
        for tree in trees(small):
            results |= self._put_tree(tree)
        for tree in trees(large):
            results |= self._put_tree(tree, f"--partial-dir={_PARTIAL}")
        return results

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Hold a connection of ssh, which each rsync uses instead of a new one; see the port."""
        with TemporaryDirectory(prefix="korrigo-ssh-") as directory:
            socket = Path(directory) / "s"
            options = ("-M", "-N", "-S", str(socket), "-o", "ControlPersist=no")
            master = Command((*self._ssh, *options, self.at.destination))
            with spawn(ended_with_us(master), stdin=True) as process:
                deadline = time.monotonic() + _CONNECTING
                while not socket.exists() and process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.01)
                self._shared.extend(("-S", str(socket)))
                try:
                    yield
                finally:
                    self._shared.clear()
                    process.terminate()

    def list(self, below: str = "") -> Iterator[StoredObject]:
        """Yield objects; see the port. Hidden names are files that are not complete."""
        if below:
            require_plain(below.rstrip("/"))
        done = self._rsync("--recursive", "--list-only", "--no-human-readable", "--exclude=.*",
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

    def _put_tree(self, tree: BatchTree, *more: str) -> dict[str, PutResult | ProofFailed]:
        """Send the files of a tree that are not there and compare all of them there.

        An option for the partial directory makes rsync slow for small files: 20,000 took 14 s instead of 3 s.
        """
        to = f"{self._remote(tree.prefix)}/"
        tops = tree.tops
        sources = [str(tree.base / top) for top in tops] or [f"{tree.base}/"]
        listing = ("--recursive" if tops else "--files-from=-", "--out-format=%i %n", *sources, to)
        fsync = () if self._syncs else ("--fsync",)
        sent = self._rsync("--ignore-existing", "--mkpath", *fsync, "--chmod=D700,F600", "--perms", *more,
                           *self._pace, *listing, stdin=tree.names)  # fmt: skip
        self._require(sent, f"store {len(tree.objects)} files")
        if self._syncs:
            self._require(self._shell("sync", "-f", self._path(tree.prefix)), f"flush {len(tree.objects)} files")
        new = {name for flags, name in _changes(sent) if flags.startswith("<f")}
        compared = self._rsync("--checksum", "--dry-run", "--mkpath", "-ii", *listing, stdin=tree.names)
        self._require(compared, f"compare {len(tree.objects)} files")
        same = {name for flags, name in _changes(compared) if flags.startswith(".f")}
        return {
            one.name: PutResult(is_new=name in new) if name in same else other_content(self, one.name)
            for name, one in tree.objects.items()
        }

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
    def _syncs(self) -> bool:
        """Whether this key may flush a file system there at once, instead of each file by itself."""
        return self._shell("sync", "-f", ".").status == 0

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
        unanswered = _UNANSWERED + int(self.timeout / alive)
        options = ("BatchMode=yes", f"ConnectTimeout={max(1, min(10, int(self.timeout)))}",
                   f"ServerAliveInterval={alive}", f"ServerAliveCountMax={unanswered}")  # fmt: skip
        return (*self.at.words, *port, *(word for option in options for word in ("-o", option)))

    def _rsync(self, *words: str, stdin: bytes = b"") -> Completed:
        command = (
            "rsync",
            f"--timeout={max(1, int(self.timeout))}",
            f"--rsh={shlex.join((*self._ssh, *self._shared))}",
            *words,
        )
        began = time.monotonic()
        done = run(Command(command), stdin=stdin)
        if done.status == _STREAM_ENDED and time.monotonic() - began >= self.timeout:
            return replace(done, status=_TIMED_OUT)  # a refusal comes at once
        return done

    def _shell(self, *words: str) -> Completed:
        return run(Command((*self._ssh, *self._shared, self.at.destination, shlex.join(words))))

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


def _changes(done: Completed) -> Iterator[tuple[str, str]]:
    """Yield rsync's eleven letters about a file, and its name."""
    for line in done.stdout.decode(errors="replace").splitlines():
        yield line[:11], line[12:]


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
