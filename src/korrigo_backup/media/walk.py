"""Walk a media tree without following a link: every entry below its root, ours left out wherever they stand."""

from __future__ import annotations

import hashlib
import os
import stat
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING

from korrigo_backup.core.paths import leads_out
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.media.extended import read_extended
from korrigo_backup.media.reuse import READ
from korrigo_backup.media.staging import DEEPEST, OURS
from korrigo_backup.system.files import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

LOST_AND_FOUND = "lost+found"
"""The directory that ext2 to ext4 make in the root of a file system. It is the administrator's, and no upload."""

_ODD = {
    stat.S_IFLNK: "symbolic link",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "pipe",
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
}


@dataclass(frozen=True)
class TreeEntry:
    """A regular file, a directory or an odd entry (`odd` names its type) below the root.

    `path` is relative, its parts joined by "/", bytes that are not UTF-8 as surrogate escapes; that of the root is
    empty. `parent` is the descriptor of its directory, open only while the walk stands at this entry. The last fields
    are set in the result of `described`: the extended attributes (ACLs among them), the target of a symbolic link,
    whether that is outside the tree or missing, and the earlier path of the same file (a hard link).
    """

    path: str
    info: os.stat_result
    parent: int
    odd: str | None = None
    extended: Mapping[str, bytes] = field(default_factory=dict)
    target: str | None = None
    leads_out: bool = False
    same_as: str | None = None

    @property
    def is_directory(self) -> bool:
        """Whether this is a directory."""
        return stat.S_ISDIR(self.info.st_mode)

    @property
    def is_file(self) -> bool:
        """Whether this is a regular file."""
        return stat.S_ISREG(self.info.st_mode)

    @property
    def is_link(self) -> bool:
        """Whether this is a symbolic link."""
        return stat.S_ISLNK(self.info.st_mode)

    def described(self) -> TreeEntry:
        """Return a directory with its extended attributes, or a symbolic link with its target; others as they are."""
        name = self.path.rpartition("/")[2] or "."
        if self.is_link:
            target = os.readlink(name, dir_fd=self.parent)
            return replace(self, target=target, leads_out=leads_out(self.path, target) or self._dangles(name))
        if not self.is_directory:
            return self
        descriptor = os.open(name, READ | os.O_DIRECTORY, dir_fd=self.parent)
        try:
            extended = read_extended(descriptor)
        finally:
            os.close(descriptor)
        return replace(self, extended=extended) if extended else self

    def _dangles(self, name: str) -> bool:
        try:
            os.stat(name, dir_fd=self.parent)
        except OSError:
            return True
        return False

    def open(self) -> IO[bytes]:
        """Open the file for unbuffered reading; a link that took its place is refused (OSError)."""
        name = self.path.rpartition("/")[2]
        return os.fdopen(os.open(name, READ, dir_fd=self.parent), "rb", buffering=0)

    def sha256(self) -> str:
        """Return the SHA-256 of the file; raises as `open`."""
        digest = hashlib.sha256()
        with self.open() as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        return digest.hexdigest()


def walk(root: Path) -> Iterator[TreeEntry]:
    """Yield every entry, a directory before its content, ordered by the parts of the path; OSError as it comes."""
    descriptor = os.open(root, READ | os.O_DIRECTORY)
    try:
        yield from _below(descriptor, "", 0)
    finally:
        os.close(descriptor)


def _below(directory: int, prefix: str, depth: int) -> Iterator[TreeEntry]:
    if depth > DEEPEST:
        raise KorrigoBackupError(
            f"the media tree is more than {DEEPEST} directories deep at {prefix[:60]}…",
            hint="look for a directory that contains itself (a bind mount), or move it away",
        )
    for name in sorted(os.listdir(directory), key=os.fsencode):
        is_named_as_ours = name.startswith(".") and OURS.fullmatch(name)
        if depth == 0 and is_named_as_ours:
            continue
        try:
            info = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            continue  # deleted by the site since the directory was listed
        if is_named_as_ours and stat.S_ISDIR(info.st_mode):
            continue  # from a restore whose media root is a directory of this tree
        if stat.S_ISDIR(info.st_mode) and depth == 0 and name == LOST_AND_FOUND and not _is_open(directory, name):
            yield TreeEntry(name, info, directory, "directory of the file system, which only root may read,")
            continue
        yield TreeEntry(prefix + name, info, directory, _ODD.get(stat.S_IFMT(info.st_mode)))
        if stat.S_ISDIR(info.st_mode):
            inner = os.open(name, READ | os.O_DIRECTORY, dir_fd=directory)
            try:
                yield from _below(inner, f"{prefix}{name}/", depth + 1)
            finally:
                os.close(inner)


def root_entry(root: Path) -> TreeEntry:
    """Return the root itself, with its extended attributes."""
    descriptor = os.open(root, READ | os.O_DIRECTORY)
    try:
        return TreeEntry("", os.fstat(descriptor), -1, extended=read_extended(descriptor))
    finally:
        os.close(descriptor)


def _is_open(directory: int, name: str) -> bool:
    """Return whether a directory can be read by this user."""
    try:
        os.close(os.open(name, READ | os.O_DIRECTORY, dir_fd=directory))
    except PermissionError:
        return False
    return True
