"""The media tree: walked without following links, built beside the live one, swapped by renames.

A media root is often a mount point and cannot be renamed, so a swap moves its children. The state of a swap
is in the names below the root alone, so that after a crash anyone can see where it stopped:

    .absent-S                            there was no root before: it goes again with what was staged
    .stage-S.partial                     being filled; may be removed
    .stage-S                             complete and proven; may be removed
    .stage-S.moving                      a swap has begun
    .stage-S.moving  .before-S.partial   the old children are being moved away
    .stage-S.moving  .before-S           the new children are being moved in
                     .before-S           done; the old children are kept

A rollback is the same swap from `.before-S` to `.after-S`, and undoing a rollback the way back again; which
directory is `.moving` tells which it is. It is `.moving-alone` where the database has no part in it: otherwise the
names say that a swap is under way from before the database's swap until after it, so both can be taken back.
`.journal-S` is the record of a Method 2 restore (site/unfinished.py), which says more than the names do.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import IO, TYPE_CHECKING

from korrigo_backup.errors import KorrigoBackupError, NotFound, Refused
from korrigo_backup.system.files import DIRECTORY_MODE, fsync_directory, remove_tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_OURS = re.compile(
    r"\.(absent|stage|before|after|journal)-([0-9]{8}_[0-9]{6})(\.partial|\.moving|\.moving-alone)?", re.ASCII
)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ODD = {
    stat.S_IFLNK: "symbolic link",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "pipe",
    stat.S_IFBLK: "block device",
    stat.S_IFCHR: "character device",
}
_PARENT_MODE = 0o755
"""For a directory that an archive implies but does not hold: as Django makes them, nginx must read it."""

DEEPEST = 100
"""Levels of directories; each open level costs a descriptor, and a deeper tree is a mistake or an attack."""


@dataclass(frozen=True)
class Move:
    """A swap by roles: where the new children come from, where the old are kept, whether the database stays out."""

    source: str
    kept: str
    alone: bool = False


RESTORE = Move("stage", "before")
ROLLBACK = Move("before", "after")
REDO = Move("after", "before")


@dataclass(frozen=True)
class Entry:
    """A regular file, a directory or an odd thing (`odd` says what) below the root.

    `path` is relative, its parts joined by "/", bytes that are not UTF-8 as surrogate escapes. `parent` is the
    descriptor of its directory, open only while the walk stands at this entry.
    """

    path: str
    info: os.stat_result
    parent: int
    odd: str | None = None

    @property
    def is_directory(self) -> bool:
        """Whether this is a directory."""
        return stat.S_ISDIR(self.info.st_mode)

    @property
    def is_file(self) -> bool:
        """Whether this is a regular file."""
        return stat.S_ISREG(self.info.st_mode)

    def open(self) -> IO[bytes]:
        """Open the file for unbuffered reading; a link that took its place is refused (OSError)."""
        name = self.path.rpartition("/")[2]
        return os.fdopen(os.open(name, _READ, dir_fd=self.parent), "rb", buffering=0)


class MediaTree:
    """A media tree on this machine, named by its root."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()  # MEDIA_ROOT itself may be a link to another disk; nothing below it is followed

    def require(self) -> None:
        """Raise NotFound when the root is not a directory: an absent tree is never "no media"."""
        if not self.root.is_dir():
            raise NotFound(
                f"the media directory {self.root} {'is not one' if self.root.exists() else 'does not exist'}",
                hint="set MEDIA_ROOT (or [media] root) to the site's media directory, or mount it",
            )

    @property
    def read_only(self) -> bool:
        """Whether nobody may write there from here: the tree is mounted so, as in a sidecar."""
        return self.root.is_dir() and bool(os.statvfs(self.root).f_flag & os.ST_RDONLY)

    def walk(self) -> Iterator[Entry]:
        """Yield every entry below the root, a directory before its content, ordered by the parts of the path.

        What a restore keeps aside (`.stage-…`, `.before-…`) is left out. Raises OSError where a directory cannot
        be read: an unreadable part must fail, not be missing.
        """
        descriptor = os.open(self.root, _READ | os.O_DIRECTORY)
        try:
            yield from _walk(descriptor, "", 0)
        finally:
            os.close(descriptor)

    def stage(self, stamp: str) -> Staging:
        """Return an empty tree beside the live children, to be filled and then swapped in."""
        if not self.root.is_dir():
            self.root.mkdir(parents=True)
            self.beside("absent", stamp).mkdir(mode=DIRECTORY_MODE)
        stage = self.beside("stage", stamp)
        partial = self._partial(stage)
        partial.mkdir(mode=DIRECTORY_MODE)
        partial.chmod(DIRECTORY_MODE)
        return Staging(self.root, partial, stage)

    def announce(self, stamp: str, move: Move) -> None:
        """Begin a swap: from now until its end, or until it is taken back, the names say that it is under way."""
        self.beside(move.source, stamp).rename(self._moving(move, stamp))
        fsync_directory(self.root)

    def swap(self, stamp: str, move: Move = RESTORE) -> Path:
        """Put the children of the move's source in the place of the live ones; return where those are kept.

        Renames only, within one file system. Interrupted at any point, `undo_swap` makes the tree old again.
        """
        kept = self.beside(move.kept, stamp)
        taking, moving = self._partial(kept), self._moving(move, stamp)
        if not moving.exists():
            self.announce(stamp, move)
        taking.mkdir(mode=DIRECTORY_MODE)
        taking.chmod(DIRECTORY_MODE)
        self._move(self.root, taking)
        taking.rename(kept)
        fsync_directory(self.root)
        self._move(moving, self.root)
        moving.rmdir()
        self._forget_absence(stamp)
        fsync_directory(self.root)
        return kept

    def undo_swap(self, stamp: str, move: Move = RESTORE) -> None:
        """Make the tree old again, wherever `swap` stopped; does nothing when it never began. Safe to repeat."""
        self.undo_moves(stamp, move)
        self.undo_announce(stamp, move)

    def undo_moves(self, stamp: str, move: Move) -> None:
        """Move the old children back; the names still say that the swap is under way."""
        kept = self.beside(move.kept, stamp)
        taking, moving = self._partial(kept), self._moving(move, stamp)
        if kept.exists():
            moving.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
            fsync_directory(self.root)
            self._move(self.root, moving)
            kept.rename(taking)
        if taking.exists():
            self._move(taking, self.root)
            taking.rmdir()

    def undo_announce(self, stamp: str, move: Move) -> None:
        """Give what was to come in its name back: nothing is under way any more."""
        moving = self._moving(move, stamp)
        if moving.exists():
            moving.rename(self.beside(move.source, stamp))
            fsync_directory(self.root)

    def unfinished(self) -> list[tuple[str, Move]]:
        """Return the swaps that a killed run left half done, and the restores it left staged, by stamp."""
        found: dict[str, set[tuple[str, str | None]]] = {}
        for child in self.root.iterdir() if self.root.is_dir() else ():
            if match := _OURS.fullmatch(child.name):
                found.setdefault(match[2], set()).add((match[1], match[3]))
        return [(stamp, move) for stamp in sorted(found) if (move := _half_done(found[stamp]))]

    def kept(self, role: str) -> list[str]:
        """Return the stamps of what is kept under `role`, newest first."""
        if not self.root.is_dir():
            return []
        matches = (_OURS.fullmatch(child.name) for child in self.root.iterdir())
        return sorted((m[2] for m in matches if m and m[1] == role and not m[3]), reverse=True)

    def discard_kept(self, role: str, stamp: str) -> None:
        """Remove what is kept under `role` and `stamp`; its name goes first, so that half of it is never taken back."""
        kept = self.beside(role, stamp)
        if kept.exists():
            kept.rename(self._partial(kept))
        remove_tree(self._partial(kept))

    def half_discarded(self) -> list[tuple[str, str]]:
        """Return role and stamp of what a killed run had begun to discard; a swap under way is none of it."""
        under_way = {stamp for stamp, _ in self.unfinished()}
        matches = (_OURS.fullmatch(child.name) for child in self.root.iterdir()) if self.root.is_dir() else ()
        return [
            (m[1], m[2])
            for m in matches
            if m and m[1] in {"before", "after"} and m[3] == ".partial" and m[2] not in under_way
        ]

    def discard_stage(self, stamp: str) -> None:
        """Remove what was staged under `stamp`, complete or not."""
        stage = self.beside("stage", stamp)
        for path in (stage, self._partial(stage), self._moving(RESTORE, stamp)):
            remove_tree(path)
        absent = self.beside("absent", stamp)
        if absent.is_dir():
            absent.rmdir()
            with suppress(OSError):  # somebody else has put something there: the root is in use
                self.root.rmdir()

    def beside(self, role: str, stamp: str) -> Path:
        """Return the path of what stands beside the live children: `stage`, `before`, `after` or `journal`."""
        return self.root / f".{role}-{stamp}"

    def _moving(self, move: Move, stamp: str) -> Path:
        source = self.beside(move.source, stamp)
        return source.with_name(f"{source.name}.moving{'-alone' if move.alone else ''}")

    def _forget_absence(self, stamp: str) -> None:
        absent = self.beside("absent", stamp)
        if absent.is_dir():
            absent.rmdir()

    @staticmethod
    def _partial(path: Path) -> Path:
        return path.with_name(path.name + ".partial")

    @staticmethod
    def _move(source: Path, target: Path) -> None:
        for child in sorted(source.iterdir()):
            if not _OURS.fullmatch(child.name):
                if os.path.lexists(target / child.name):  # a rename would replace it
                    raise FileExistsError(errno.EEXIST, "already there", str(target / child.name))
                child.rename(target / child.name)
        fsync_directory(target)
        fsync_directory(source)


class Staging:
    """A tree being built. Nothing is written outside it, whatever the paths it is given say."""

    def __init__(self, live: Path, partial: Path, final: Path) -> None:
        self._partial = partial
        self._final = final
        self._owner = live.stat() if os.geteuid() == 0 else None
        self._root = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._directories: list[tuple[str, int, int]] = []
        self._parts: tuple[str, ...] = ()
        self._open: list[int] = [self._root]

    def add_directory(self, path: str, *, mode: int, mtime_ns: int) -> None:
        """Make a directory; its mode and time are set by `finish`, when its content is there."""
        self._enter(safe_parts(path))
        self._directories.append((path, mode, mtime_ns))

    def create(self, path: str) -> IO[bytes]:
        """Open a new file for unbuffered writing; FileExistsError for a second one of that path."""
        parts = safe_parts(path)
        parent = self._enter(parts[:-1])
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.fdopen(os.open(parts[-1], flags, 0o600, dir_fd=parent), "wb", buffering=0)

    def settle(self, file: IO[bytes], *, mode: int, mtime_ns: int) -> None:
        """Give a written file its mode (permission bits alone), time and owner (that of the live root)."""
        descriptor = file.fileno()
        if self._owner:
            os.fchown(descriptor, self._owner.st_uid, self._owner.st_gid)
        os.fchmod(descriptor, mode & 0o777)
        os.utime(descriptor, ns=(mtime_ns, mtime_ns))

    def finish(self) -> None:
        """Set directory modes and times, force all to disk, and give the tree its proven name."""
        for path, mode, mtime_ns in reversed(self._directories):
            descriptor = self._enter(safe_parts(path))
            if self._owner:
                os.fchown(descriptor, self._owner.st_uid, self._owner.st_gid)
            os.fchmod(descriptor, (mode & 0o777) | 0o700)
            os.utime(descriptor, ns=(mtime_ns, mtime_ns))
        self.close()
        os.sync()  # one flush for all files: a hundred thousand fsync calls would take minutes
        self._partial.rename(self._final)
        fsync_directory(self._final.parent)

    def close(self) -> None:
        """Close what is open; the tree stays as it is."""
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
                if self._owner:
                    os.chown(part, self._owner.st_uid, self._owner.st_gid, dir_fd=self._open[-1])
                os.chmod(part, _PARENT_MODE, dir_fd=self._open[-1])
            except FileExistsError:
                pass
            self._open.append(os.open(part, _READ | os.O_DIRECTORY, dir_fd=self._open[-1]))
        self._parts = parts
        return self._open[-1]


def _half_done(present: set[tuple[str, str | None]]) -> Move | None:
    """Return the move that the names of one stamp (role, ending) show to be under way, None when all is done."""
    for move in (RESTORE, ROLLBACK, REDO):
        for alone in (False, True):
            under_way = replace(move, alone=alone)
            if (move.source, ".moving-alone" if alone else ".moving") in present:
                return under_way
    return RESTORE if any(role in {"stage", "absent"} for role, _ in present) else None


def safe_parts(path: str) -> tuple[str, ...]:
    """Return the parts of a relative path; Refused when it could lead out of the tree or into what is ours."""
    parts = tuple(path.split("/"))
    unsafe = any(part in {"", ".", ".."} or "\0" in part for part in parts)
    if unsafe or len(parts) > DEEPEST or _OURS.fullmatch(parts[0]):
        raise Refused(
            f"the archive names {path!r}, which is not a path inside the media tree",
            hint="the archive was altered or is not a media backup: do not use it",
        )
    return parts


def _walk(directory: int, prefix: str, depth: int) -> Iterator[Entry]:
    if depth > DEEPEST:
        raise KorrigoBackupError(
            f"the media tree is more than {DEEPEST} directories deep at {prefix[:60]}…",
            hint="look for a directory that contains itself (a bind mount), or move it away",
        )
    for name in sorted(os.listdir(directory), key=os.fsencode):
        if depth == 0 and _OURS.fullmatch(name):
            continue
        try:
            info = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            continue  # deleted by the site since the directory was listed
        yield Entry(prefix + name, info, directory, _ODD.get(stat.S_IFMT(info.st_mode)))
        if stat.S_ISDIR(info.st_mode):
            inner = os.open(name, _READ | os.O_DIRECTORY, dir_fd=directory)
            try:
                yield from _walk(inner, f"{prefix}{name}/", depth + 1)
            finally:
                os.close(inner)
