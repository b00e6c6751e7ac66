"""The media tree: walked without following links, staged next to the live tree, swapped by renames.

A media root is often a mount point and cannot be renamed, so a swap moves its children. The state of a swap is in the
names below the root alone, so that they show after a crash where it stopped:

    .absent-S                            there was no root before: it goes with the stage
    .stage-S.partial                     being filled; may be removed
    .stage-S                             complete and proven; may be removed
    .stage-S.moving                      a swap has begun
    .stage-S.moving  .before-S.partial   the old children are being moved away
    .stage-S.moving  .before-S           the new children are being moved in
                     .before-S           done; the old children are kept

A rollback is the same swap from `.before-S` to `.after-S`, and its undo the reverse; the name of the `.moving`
directory shows the direction. It is `.moving-alone` if the database has no part in it: otherwise the names mark a swap
in progress from before the database's swap until after it, so both can be undone. `.journal-S` is the record of a
Method 2 restore (site/unfinished.py), which holds more than the names. `.replaced-S` has the files that a restore of
single files has overwritten (single_files.py).

One file: only here are the names of a swap written, and read after a crash.
"""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from korrigo_backup.errors import NotFound, Refused
from korrigo_backup.media.reuse import READ
from korrigo_backup.media.single_files import LocalFiles
from korrigo_backup.media.stable import open_stable
from korrigo_backup.media.staging import OURS, Staging, safe_parts
from korrigo_backup.media.walk import LOST_AND_FOUND, root_entry, walk
from korrigo_backup.media.writable import require_no_mount, require_writable
from korrigo_backup.system.files import (
    DIRECTORY_MODE,
    explained,
    free_bytes,
    fsync_directory,
    open_plain,
    remove_tree,
    require_no_mounts,
)
from korrigo_backup.system.mounts import file_system_of, mounts_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from korrigo_backup.media.stable import Steady
    from korrigo_backup.media.walk import TreeEntry

_RECORD = 64 * 1024
"""Bytes of the largest record of a restore that is read."""


@dataclass(frozen=True)
class Move:
    """A swap by roles: where the new children come from, where the old are kept, whether the database stays out."""

    source: str
    kept: str
    alone: bool = False


@dataclass(frozen=True)
class TreeFacts:
    """Facts about a tree that are known without reading it.

    `mounts` are the mount points below its root, as relative paths; `file_system` is type and source of the file system
    of the root; `user` and `groups` are the numbers that files are written with.
    """

    mounts: tuple[str, ...] = ()
    file_system: str = ""
    user: int = 0
    groups: tuple[int, ...] = field(default=())

    @property
    def live_mounts(self) -> tuple[str, ...]:
        """The mount points in the live tree: those in a copy that a restore has kept are none of it."""
        return tuple(path for path in self.mounts if not OURS.fullmatch(path.partition("/")[0]))


def require_no_live_mounts(root: Path, facts: TreeFacts) -> None:
    """Raise Refused if the live tree holds a mount point: a swap would move the directory without the mounted files."""
    if facts.live_mounts:
        first = root / facts.live_mounts[0]
        raise Refused(
            f"another file system is mounted inside the media tree at {first}: its files cannot be swapped",
            hint=UNMOUNT.format(path=first),
        )


UNMOUNT = (
    "stop the site, umount {path}, run the restore again; then move the files that it puts below {path} to that"
    " file system, and mount it again"
)


RESTORE = Move("stage", "before")
ROLLBACK = Move("before", "after")
REDO = Move("after", "before")


class MediaTree:
    """A media tree on this machine, named by its root."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()  # MEDIA_ROOT itself may be a link to another disk; links below it are not followed

    def require(self) -> None:
        """Raise NotFound when the root is not a directory: an absent tree is never "no media"."""
        if not self.root.is_dir():
            raise NotFound(
                f"the media directory {self.root} {'is not a directory' if self.root.exists() else 'does not exist'}",
                hint="set MEDIA_ROOT (or [media] root) to the site's media directory, or mount it",
            )

    def exists(self) -> bool:
        """Return whether there is a root; raises NotFound as `require` if it is not a directory."""
        if self.root.exists():
            self.require()
        return self.root.exists()

    def names(self) -> list[str]:
        """Return the names of the root's children, ours among them; none where there is no root."""
        return [child.name for child in self.root.iterdir()] if self.root.is_dir() else []

    def free(self) -> int:
        """Return the bytes that may still be written on the tree's file system."""
        return free_bytes(self.root)

    def facts(self) -> TreeFacts:
        """Return the kernel's facts about the tree, without reading it."""
        groups = tuple(sorted({os.getegid(), *os.getgroups()}))
        return TreeFacts(tuple(mounts_below(self.root)), file_system_of(self.root), os.geteuid(), groups)

    @property
    def read_only(self) -> bool:
        """Whether the tree cannot be written from here: it is mounted read-only, as in a sidecar."""
        return self.root.is_dir() and bool(os.statvfs(self.root).f_flag & os.ST_RDONLY)

    def require_writable(self, paths: Sequence[str] = (), *, swap: bool = False, kept: str = "") -> None:
        """Raise Refused if the root, or the directory of a path, cannot be written; see `port.Tree`."""
        require_writable((self.root, *((self.root / path).parent for path in paths)))
        require_no_mount(self.root, mounts_below(self.root) if paths else (), paths)
        moved_from = [self.root] if swap and self.root.is_dir() else []
        if moved_from and kept:
            require_writable([self.root / kept])
            moved_from.append(self.root / kept)
        for place in moved_from:
            with explained(f"read {place}"):
                children = [one for one in place.iterdir() if _is_moved(one.name) and one.name != LOST_AND_FOUND]
            require_writable(one for one in children if one.is_dir() and not one.is_symlink())

    def walk(self) -> Iterator[TreeEntry]:
        """Yield every entry below the root, a directory before its content, ordered by the parts of the path.

        The directories of restores (`.stage-…`, `.before-…`) are left out. Raises OSError where a directory cannot be
        read: an unreadable part must fail, not be missing.
        """
        return walk(self.root)

    def contents(self, knows: Callable[[TreeEntry], bool] | None = None) -> Iterator[tuple[TreeEntry, Steady | None]]:
        """Yield the root, then the entries of `walk`, with all properties for a restore, and each file's content.

        The content must be read before the next entry is asked for. A second name of a file (a hard link) has no
        content, nor has a file that the site has deleted meanwhile, nor one for which `knows` returns True.
        """
        yield root_entry(self.root), None
        seen: dict[tuple[int, int, int, int], str] = {}
        for entry in self.walk():
            info = entry.info
            if not entry.is_file:
                if found := _described(entry):
                    yield found, None
                continue
            known = knows(entry) if knows else False
            key = (info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns)
            if info.st_nlink > 1 and key in seen:
                yield replace(entry, same_as=seen[key]), None
                continue
            if known:
                if info.st_nlink > 1:
                    seen[key] = entry.path
                yield entry, None
                continue
            with open_stable(entry) as file:
                if file is None:
                    yield entry, None
                else:
                    extended = file.extended()
                    yield (replace(entry, extended=extended) if extended else entry), file
                    if info.st_nlink > 1:
                        seen[key] = entry.path

    @contextmanager
    def reopened(self, entry: TreeEntry) -> Iterator[tuple[TreeEntry, Steady | None]]:
        """Yield a regular file of an earlier walk with its attributes and content, which is None if it is gone."""
        with ExitStack() as stack:
            try:
                directory = self._enter(entry.path.split("/")[:-1])
            except (FileNotFoundError, NotADirectoryError):
                yield entry, None
                return
            stack.callback(os.close, directory)
            file = stack.enter_context(open_stable(replace(entry, parent=directory)))
            yield (replace(entry, extended=file.extended()) if file else entry), file

    def digest_again(self, entry: TreeEntry) -> str | None:
        """Return the SHA-256 of a regular file of an earlier walk, None if it is gone."""
        try:
            directory = self._enter(entry.path.split("/")[:-1])
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return replace(entry, parent=directory).sha256()
        except FileNotFoundError:
            return None
        finally:
            os.close(directory)

    def _enter(self, parts: list[str]) -> int:
        """Return a descriptor of a directory below the root; no link is followed."""
        directory = os.open(self.root, READ | os.O_DIRECTORY)
        for part in parts:
            try:
                inner = os.open(part, READ | os.O_DIRECTORY, dir_fd=directory)
            finally:
                os.close(directory)
            directory = inner
        return directory

    def links(self) -> Iterator[tuple[str, str, bool]]:
        """Yield path and target of every symbolic link, and whether it leads out of the tree."""
        for entry in self.walk():
            if entry.is_link and (found := _described(entry)) and found.target is not None:
                yield found.path, found.target, found.leads_out

    def digests(self, knows: Callable[[TreeEntry], str | None] | None = None) -> Iterator[tuple[str, str]]:
        """Yield path and SHA-256 of every regular file, in the order of `walk`; see `port.Tree`."""
        for entry in self.walk():
            if entry.is_file:
                with suppress(FileNotFoundError):  # deleted by the site since the directory was listed
                    yield entry.path, (knows(entry) if knows else None) or entry.sha256()

    def opened(self) -> Iterator[tuple[str, bool]]:
        """Yield the path of every regular file, and whether it can be opened."""
        for entry in self.walk():
            if entry.is_file:
                try:
                    entry.open().close()
                except FileNotFoundError:
                    continue  # the site has just deleted it
                except PermissionError:
                    yield entry.path, False
                else:
                    yield entry.path, True

    def stage(self, stamp: str) -> Staging:
        """Return an empty tree next to the live children, to be filled and then swapped in."""
        absent = not self.root.is_dir()
        if absent:
            self.root.mkdir(parents=True)
            self.beside("absent", stamp).mkdir(mode=DIRECTORY_MODE)
        stage = self.beside("stage", stamp)
        partial = self._partial(stage)
        partial.mkdir(mode=DIRECTORY_MODE)
        return Staging(self.root, partial, stage, absent=absent)

    def announce(self, stamp: str, move: Move) -> None:
        """Mark the swap as in progress: the names show it from now until its end or its undo."""
        require_no_live_mounts(self.root, self.facts())
        self.beside(move.source, stamp).rename(self._moving(move, stamp))
        fsync_directory(self.root)

    def swap(self, stamp: str, move: Move = RESTORE) -> Path:
        """Put the children of the move's source in the place of the live children; return where those are kept.

        Renames only, within one file system. Interrupted at any point, `undo_swap` makes the tree old again. Raises
        Refused, without any change, if a file system is mounted inside the live tree.
        """
        require_no_live_mounts(self.root, self.facts())
        kept = self.beside(move.kept, stamp)
        taking, moving = self._partial(kept), self._moving(move, stamp)
        if not moving.exists():
            self.announce(stamp, move)
        changed = moving.stat().st_mtime_ns  # that of the root when it was saved
        taking.mkdir(mode=DIRECTORY_MODE)
        with suppress(OSError):  # a file system without modes
            taking.chmod(DIRECTORY_MODE)
        self._move(self.root, taking)
        taking.rename(kept)
        fsync_directory(self.root)
        self._move(moving, self.root)
        remove_tree(moving / LOST_AND_FOUND)
        moving.rmdir()
        self._forget_absence(stamp)
        with suppress(OSError):  # of another owner
            os.utime(self.root, ns=(changed, changed))
        fsync_directory(self.root)
        return kept

    def undo_swap(self, stamp: str, move: Move = RESTORE) -> None:
        """Make the tree old again from any point of `swap`; no effect if it never began. Safe to repeat."""
        self.undo_moves(stamp, move)
        self.undo_announce(stamp, move)

    def undo_moves(self, stamp: str, move: Move) -> None:
        """Move the old children back; the names still mark the swap as in progress."""
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
        """Rename `.stage-S.moving` back to `.stage-S`: the swap is no longer in progress."""
        moving = self._moving(move, stamp)
        if moving.exists():
            moving.rename(self.beside(move.source, stamp))
            fsync_directory(self.root)

    def unfinished(self) -> list[tuple[str, Move]]:
        """Return the swaps that a killed run left half done, and the restores it left staged, by stamp."""
        found: dict[str, set[tuple[str, str | None]]] = {}
        for name in self.names():
            if match := OURS.fullmatch(name):
                found.setdefault(match[2], set()).add((match[1], match[3]))
        return [(stamp, move) for stamp in sorted(found) if (move := _half_done(found[stamp]))]

    def kept(self, role: str) -> list[str]:
        """Return the stamps of the copies kept under `role`, newest first."""
        matches = (OURS.fullmatch(name) for name in self.names())
        return sorted((m[2] for m in matches if m and m[1] == role and not m[3]), reverse=True)

    def discard_kept(self, role: str, stamp: str) -> None:
        """Remove the copy kept under `role` and `stamp`; it is renamed first, so that half of it is never restored."""
        kept = self.beside(role, stamp)
        if kept.exists():
            require_no_mounts(kept, "removed")
            kept.rename(self._partial(kept))
        remove_tree(self._partial(kept))

    def half_discarded(self) -> list[tuple[str, str]]:
        """Return role and stamp of copies that a killed run had begun to discard.

        The copies of a swap in progress are not among them.
        """
        under_way = {stamp for stamp, _ in self.unfinished()}
        matches = (OURS.fullmatch(name) for name in self.names())
        return [
            (m[1], m[2])
            for m in matches
            if m and m[1] in {"before", "after"} and m[3] == ".partial" and m[2] not in under_way
        ]

    def discard_stage(self, stamp: str) -> None:
        """Remove the stage of `stamp`, complete or not."""
        stage = self.beside("stage", stamp)
        for path in (stage, self._partial(stage), self._moving(RESTORE, stamp)):
            remove_tree(path)
        absent = self.beside("absent", stamp)
        if absent.is_dir():
            absent.rmdir()
            with suppress(OSError):  # there is a new file: the root is in use
                self.root.rmdir()

    def remove_files(self, paths: Sequence[str]) -> int:
        """Remove files and symbolic links, forced to disk; return how many were there. Directories keep their times."""
        removed = 0
        for path in paths:
            *above, name = safe_parts(path)
            try:
                directory = self._enter(above)
            except (FileNotFoundError, NotADirectoryError):
                continue
            try:
                before = os.fstat(directory)
                with suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=directory)
                    removed += 1
                with suppress(OSError):  # of another owner
                    os.utime(directory, ns=(before.st_atime_ns, before.st_mtime_ns))
                os.fsync(directory)
            finally:
                os.close(directory)
        return removed

    def record(self, stamp: str) -> bytes:
        """Return the record of a Method 2 restore; OSError or ValueError when it is no readable file."""
        with open_plain(self.beside("journal", stamp)) as file:
            return file.read(_RECORD)

    @contextmanager
    def held(self, *, shared: bool = False) -> Iterator[None]:
        """Take the kernel's lock of the root while the block runs; BlockingIOError while another has it.

        It dies with the process, and works between the containers of a machine, too; `shared` admits other readers.
        """
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)

    def is_held(self) -> bool:
        """Return whether another run has locked the tree now."""
        try:
            with self.held():
                return False
        except BlockingIOError:
            return True

    @property
    def single_files(self) -> LocalFiles:
        """The operations on single files of the tree."""
        return LocalFiles(self.root)

    def aside(self, role: str, stamp: str) -> MediaTree:
        """Return the copy kept under a role and stamp, as a tree of its own."""
        return MediaTree(self.beside(role, stamp))

    def beside(self, role: str, stamp: str) -> Path:
        """Return the path of an entry next to the live children: `stage`, `before`, `after` or `journal`."""
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
            if _is_moved(child.name):
                if child.name == LOST_AND_FOUND and (
                    not os.access(child, os.W_OK) or os.path.lexists(target / child.name)
                ):
                    continue  # it stays where it is: the file system's own, and another user's
                if os.path.lexists(target / child.name):  # a rename would replace it
                    raise FileExistsError(errno.EEXIST, "already there", str(target / child.name))
                child.rename(target / child.name)
        fsync_directory(target)
        fsync_directory(source)


def _is_moved(name: str) -> bool:
    """Return whether a swap moves a child of this name: the directories of restores stay where they are."""
    return OURS.fullmatch(name) is None


def _described(entry: TreeEntry) -> TreeEntry | None:
    """Return a directory or link with all that is known of it, None when the site has deleted it since it was seen."""
    try:
        return entry if entry.odd and not entry.is_link else entry.described()
    except FileNotFoundError:
        return None


def _half_done(present: set[tuple[str, str | None]]) -> Move | None:
    """Return the move that the names of a stamp (role, ending) show to be under way, None when all is done."""
    for move in (RESTORE, ROLLBACK, REDO):
        for alone in (False, True):
            under_way = replace(move, alone=alone)
            if (move.source, ".moving-alone" if alone else ".moving") in present:
                return under_way
    return RESTORE if any(role in {"stage", "absent"} for role, _ in present) else None
