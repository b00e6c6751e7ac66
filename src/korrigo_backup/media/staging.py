"""A media tree being staged next to the live tree: no file is written outside it, with any paths in an archive.

One file: every write goes through the same directory descriptor and the same checks of its path.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING

from korrigo_backup.core.excerpt import FEW
from korrigo_backup.errors import Refused
from korrigo_backup.media.extended import forget_default_acl, give_extended, read_extended
from korrigo_backup.media.reuse import READ, clone, directory_of
from korrigo_backup.system.files import DIRECTORY_MODE, fsync_directory, sha256_of_open

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from korrigo_backup.media.reuse import LiveFile

OURS = re.compile(
    r"\.(absent|stage|before|after|replaced|journal)-([0-9]{8}_[0-9]{6})(\.partial|\.moving|\.moving-alone)?", re.ASCII
)
"""Names below the root that are ours: role, stamp, how far it is."""

_PARENT_MODE = 0o755
"""For a directory that an archive implies but does not hold: as Django makes them, nginx must read it."""

DEEPEST = 100
"""Levels of directories; each open level costs a descriptor, and a deeper tree is a mistake or an attack."""


_HOLE = 4096
"""Bytes of zeros from which on they are left out of the file: a sparse file stays sparse."""

_PLAIN, _ALL = 0o777, 0o7777


@dataclass
class LostFileProperties:
    """Properties that could not be given back, by kind: number, first names.

    The kinds are `owner`, `mode`, `extended`, `hard link` and `link`.
    """

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, path: str, detail: str = "") -> None:
        """Count a path, and keep the names of the first."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        names = self.first.setdefault(kind, [])
        if len(names) < FEW:
            names.append(f"{path} ({detail})" if detail else path)


@dataclass(frozen=True)
class GivenProperties:
    """The properties that a restored file, directory or link gets.

    `owner` is None if the archive does not record it (then the root's).
    """

    mode: int
    mtime_ns: int
    owner: tuple[int, int] | None = None
    extended: Mapping[str, bytes] = field(default_factory=dict)


class _Sparse(io.FileIO):
    """A new file: long runs of zeros become holes."""

    path = ""
    has_hole = False

    def write(self, data: bytes | bytearray | memoryview) -> int:  # type: ignore[override] # only bytes are written
        """Write, or pass over zeros; `settle` gives the file its length."""
        size = len(data)
        if size >= _HOLE and not data[0] and not data[-1] and bytes(data) == bytes(size):
            self.seek(size, os.SEEK_CUR)
            self.has_hole = True
            return size
        return super().write(data)


class Staging:
    """A tree being built. No file is written outside it, with any paths it is given.

    The recorded owners, modes and attributes are given back as far as this user and the file system allow; `finish`
    returns the rest.
    """

    def __init__(self, live: Path, partial: Path, final: Path, *, absent: bool = False) -> None:
        self._partial = partial
        self._final = final
        self._live = live
        info = live.stat()
        self._default = (info.st_uid, info.st_gid) if os.geteuid() == 0 else None
        self._own = (os.geteuid(), os.getegid())
        self._root = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        forget_default_acl(self._root)
        with suppress(OSError):
            os.fchmod(self._root, DIRECTORY_MODE)  # without the setgid bit that it may have inherited
        self._directories: list[tuple[str, GivenProperties]] = []
        self._links: list[tuple[str, str, GivenProperties | None]] = []
        self._of_root: GivenProperties | None = None
        self._absent = absent
        self._lost = LostFileProperties()
        self._clones = True
        """Whether the file system is not known to have no clones."""
        self._parts: tuple[str, ...] = ()
        self._open: list[int] = [self._root]

    def add_directory(self, path: str, given: GivenProperties) -> None:
        """Make a directory; its mode, time, owner and attributes are set by `finish`, when its content is there.

        The empty path is the root, which gets them only where there was none before.
        """
        if not path:
            self._of_root = given
            return
        self._enter(safe_parts(path))
        self._directories.append((path, given))

    def create(self, path: str) -> IO[bytes]:
        """Open a new file for unbuffered writing; FileExistsError for a second file of that path."""
        parts = safe_parts(path)
        parent = self._enter(parts[:-1])
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = _Sparse(os.open(parts[-1], flags, 0o600, dir_fd=parent), "wb")
        file.path = path
        return file

    def settle(self, file: IO[bytes], given: GivenProperties) -> None:
        """Give a written file its mode, time, owner and attributes.

        Where no owner was recorded it gets that of the live root, and of the mode the permission bits alone.
        """
        path = ""
        if isinstance(file, _Sparse):
            path = file.path
            if file.has_hole:
                file.truncate()
        self._give(file.fileno(), path, given)

    def take_over(self, files: Sequence[LiveFile], *, link: bool) -> list[bool]:
        """Take over those live files that are unchanged; return for each whether that was done.

        With `link` they are linked and not read. Else their blocks are shared where the file system can do that, and
        their content is read and compared with their SHA-256.
        """
        return [self._linked(file) if link else self._clones and self._cloned(file) for file in files]

    def _linked(self, file: LiveFile) -> bool:
        parts = safe_parts(file.path)
        name = parts[-1]
        try:
            with directory_of(self._live, parts) as source:
                if not file.is_seen_in(os.stat(name, dir_fd=source, follow_symlinks=False)):
                    return False
                target = self._enter(parts[:-1])
                os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
            info = os.stat(name, dir_fd=target, follow_symlinks=False)
            if (info.st_ino, info.st_size, info.st_mtime_ns) == (file.inode, file.size, file.mtime_ns):
                return True
            os.unlink(name, dir_fd=target)  # the site replaced or changed it a moment ago
        except OSError:
            return False
        return False

    def _cloned(self, file: LiveFile) -> bool:
        parts = safe_parts(file.path)
        try:
            with directory_of(self._live, parts) as above:
                source = os.open(parts[-1], READ, dir_fd=above)
        except OSError:
            return False
        with os.fdopen(source, "rb", buffering=0):
            info = os.fstat(source)
            if not file.is_seen_in(info):
                return False
            with self.create(file.path) as copy:
                self._clones = clone(source, copy.fileno())
                same = self._clones and _digest(parts[-1], self._enter(parts[:-1])) == file.sha256
                if same:
                    owner = (info.st_uid, info.st_gid)
                    extended = read_extended(source)
                    given = GivenProperties(info.st_mode, info.st_mtime_ns, owner, extended)
                    self._give(copy.fileno(), file.path, given)
        if not same:  # damaged on the disk, changed a moment ago, or no clones here: it is written from the store
            os.unlink(parts[-1], dir_fd=self._enter(parts[:-1]))
        return same

    def add_hard_link(self, path: str, existing: str) -> None:
        """Give a file that was written before a second name; FileNotFoundError when there is none of that name."""
        parts, others = safe_parts(path), safe_parts(existing)
        source = self._enter(others[:-1])
        info = os.stat(others[-1], dir_fd=source, follow_symlinks=False)
        if not stat.S_ISREG(info.st_mode):
            raise FileNotFoundError(errno.ENOENT, "not a file", existing)
        source = os.dup(source)
        try:
            target = self._enter(parts[:-1])
            try:
                os.link(others[-1], parts[-1], src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
            except OSError as problem:
                if problem.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}:
                    raise
                self._copy(source, others[-1], path, info)
        finally:
            os.close(source)

    def add_link(self, path: str, target: str, *, mtime_ns: int, owner: tuple[int, int] | None = None) -> None:
        """Note a symbolic link to be made when all files are there, so that no file is written through it."""
        safe_parts(path)
        self._links.append((path, target, GivenProperties(_PLAIN, mtime_ns, owner)))

    def carry_link(self, path: str, target: str) -> None:
        """Make a symbolic link of the live tree here, too, unless something else has its path."""
        safe_parts(path)
        self._links.append((path, target, None))

    def finish(self) -> LostFileProperties:
        """Make links, set directory modes and times, force all to disk, and give the tree its proven name.

        Returns the properties that could not be given back.
        """
        for link in self._links:
            self._make_link(*link)
        for path, given in reversed(self._directories):
            self._give(self._enter(safe_parts(path)), path, given, directory=True)
        if self._of_root:
            if self._absent:
                self._give_root(self._of_root)
            os.utime(self._root, ns=(self._of_root.mtime_ns, self._of_root.mtime_ns))
        self.close()
        os.sync()  # one flush for all files: a hundred thousand fsync calls would take minutes
        self._partial.rename(self._final)
        fsync_directory(self._final.parent)
        return self._lost

    def _give(self, descriptor: int, path: str, given: GivenProperties, *, directory: bool = False) -> None:
        """Give owner, mode, attributes and time, in this order: a new owner takes setuid bits and capabilities away."""
        owner = given.owner or self._default
        mode = given.mode & (_ALL if given.owner else _PLAIN)
        special = True  # setuid and setgid of a program are for its own owner alone
        if owner and (directory or owner != self._own):
            special = self._give_owner(descriptor, path, owner) or directory
        mine = directory and (self._own[0] or not given.owner)
        wanted = mode | DIRECTORY_MODE if mine else mode  # others than root must be able to move and remove it
        wanted &= _ALL if special else _PLAIN
        try:
            os.fchmod(descriptor, wanted)
            kept = wanted <= _PLAIN or stat.S_IMODE(os.fstat(descriptor).st_mode) == wanted
        except OSError:
            kept = stat.S_IMODE(os.fstat(descriptor).st_mode) == wanted
        if given.owner and not (kept and wanted == mode):
            self._lost.add("mode", path, f"{mode:o}")
        if given.extended:
            for name in give_extended(descriptor, given.extended):
                self._lost.add("extended", path, name)
        os.utime(descriptor, ns=(given.mtime_ns, given.mtime_ns))

    def _give_owner(self, descriptor: int, path: str, owner: tuple[int, int]) -> bool:
        try:
            os.fchown(descriptor, *owner)
        except OSError:
            with suppress(OSError):
                os.fchown(descriptor, -1, owner[1])
            info = os.fstat(descriptor)
            if (info.st_uid, info.st_gid) != owner:
                self._lost.add("owner", path, f"{owner[0]}:{owner[1]}")
                return False
        return True

    def _give_root(self, given: GivenProperties) -> None:
        descriptor = os.open(self._final.parent, READ | os.O_DIRECTORY)
        try:
            self._give(descriptor, ".", given, directory=True)
        finally:
            os.close(descriptor)

    def _make_link(self, path: str, target: str, given: GivenProperties | None) -> None:
        """Make a link; `given` is None for a link of the live tree, which gives way to an entry of the same path."""
        parts = safe_parts(path)
        try:
            parent = self._enter(parts[:-1])
            os.symlink(target, parts[-1], dir_fd=parent)
        except (FileExistsError, NotADirectoryError):
            if given:
                raise
            return
        except OSError as problem:
            if problem.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EACCES}:
                raise
            self._lost.add("link", path, target)
            return
        if given is None:
            return
        owner = given.owner or self._default
        if owner and owner != self._own:
            try:
                os.chown(parts[-1], *owner, dir_fd=parent, follow_symlinks=False)
            except OSError:
                self._lost.add("owner", path, f"{owner[0]}:{owner[1]}")
        os.utime(parts[-1], ns=(given.mtime_ns, given.mtime_ns), dir_fd=parent, follow_symlinks=False)

    def _copy(self, directory: int, name: str, path: str, info: os.stat_result) -> None:
        """Write the content of a file once more, where the file system has no hard links."""
        self._lost.add("hard link", path)
        with os.fdopen(os.open(name, READ, dir_fd=directory), "rb") as content, self.create(path) as file:
            while piece := content.read(1024 * 1024):
                view = memoryview(piece)
                while view:
                    view = view[file.write(view) :]
            self.settle(file, GivenProperties(info.st_mode, info.st_mtime_ns, (info.st_uid, info.st_gid)))

    def close(self) -> None:
        """Close the open descriptors; the tree stays as it is."""
        while self._open:
            os.close(self._open.pop())

    def _enter(self, parts: tuple[str, ...]) -> int:
        same = 0
        while same < min(len(parts), len(self._parts)) and parts[same] == self._parts[same]:
            same += 1
        while len(self._open) > same + 1:
            os.close(self._open.pop())
        for part in parts[same:]:
            try:
                os.mkdir(part, DIRECTORY_MODE, dir_fd=self._open[-1])
                if self._default and self._default != self._own:
                    os.chown(part, *self._default, dir_fd=self._open[-1])
                os.chmod(part, _PARENT_MODE, dir_fd=self._open[-1])
            except FileExistsError:
                pass
            except PermissionError:
                if self._own[0]:
                    raise  # root is refused only where the file system keeps no owners or modes
            self._open.append(os.open(part, READ | os.O_DIRECTORY, dir_fd=self._open[-1]))
        self._parts = parts
        return self._open[-1]


def _digest(name: str, directory: int) -> str:
    with os.fdopen(os.open(name, READ, dir_fd=directory), "rb", buffering=0) as file:
        return sha256_of_open(file)[0]


def safe_parts(path: str) -> tuple[str, ...]:
    """Return the parts of a relative path; Refused if it could lead out of the tree or into our own directories."""
    parts = tuple(path.split("/"))
    unsafe = any(part in {"", ".", ".."} or "\0" in part for part in parts)
    if unsafe or len(parts) > DEEPEST or OURS.fullmatch(parts[0]):
        raise Refused(
            f"the archive names {path!r}, which is not a path inside the media tree",
            hint="the archive was altered or is not a media backup: do not use it",
        )
    return parts
