"""Files that are private from their first moment, complete on disk, and never replace another.

One file: each function guards the same few properties of a path.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.errors import KorrigoBackupError, Refused
from korrigo_backup.system.mounts import is_mount, mounts_below

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHUNK = 1024 * 1024
"""Bytes read or written at once: large enough that calls do not count, small against the memory limit."""

_NO_FILE = {errno.EISDIR, errno.ENXIO}
"""Errors of opening or writing a path that is no regular file: a directory, a pipe without a reader."""

_BAD_PATH = {errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR}

_UNSUPPORTED = {errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EMLINK}
"""Errors of file systems without hard links, symbolic links or modes (FAT, exFAT, SMB, some of FUSE)."""

_NO_REPLACE, _EXCHANGE = 1, 2
"""RENAME_NOREPLACE of renameat2(2)."""

FILE_MODE = 0o600
PUBLIC_MODE = 0o644
DIRECTORY_MODE = 0o700


def private_directory(path: Path) -> None:
    """Make `path` (and its parents) for the owner alone, with any umask; an existing directory is left as it is."""
    if path.is_dir():
        return
    private_directory(path.parent) if not path.parent.exists() else None
    path.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    with _modes_if_any():
        path.chmod(DIRECTORY_MODE)


def create_private(path: Path) -> IO[bytes]:
    """Open a new file for writing, readable by the owner alone; FileExistsError if the name is taken."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, FILE_MODE)
    with _modes_if_any():
        os.fchmod(descriptor, FILE_MODE)  # a umask can only have taken from it
    return os.fdopen(descriptor, "wb", buffering=0)


@contextmanager
def _modes_if_any() -> Iterator[None]:
    """Pass over that a file system keeps no modes: its mount options decide them, and `doctor` names it."""
    try:
        yield
    except OSError as problem:
        if problem.errno not in _UNSUPPORTED:
            raise


def write_private(path: Path, data: bytes) -> None:
    """Write a new private file and force it to disk."""
    with create_private(path) as file:
        write_all(file, data)
        os.fsync(file.fileno())


def replace_whole(path: Path, data: bytes, mode: int = FILE_MODE) -> None:
    """Replace the content of `path` at once, by default readable by the owner alone.

    A reader sees the old or the new content, never a part. Until then the new file has a hidden name in the same
    directory.
    """
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    try:
        with create_private(fresh) as file:
            write_all(file, data)
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def write_all(file: IO[bytes], data: bytes | memoryview) -> None:
    """Write all of `data` to an unbuffered file; a raw write may take less than it is given."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def open_plain(path: Path) -> IO[bytes]:
    """Open an existing regular file for reading; a link, device or pipe is refused.

    Raises OSError (ELOOP for a link), or ValueError for something that is not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ValueError(f"{path} is not a regular file")
    return os.fdopen(descriptor, "rb", buffering=0)


def open_own(path: Path, flags: int) -> int:
    """Open a private file that stays for good (a lock, a journal), made when it is missing; return its descriptor.

    Raises OSError: ELOOP for a link, EISDIR or ENXIO for another file that is not regular. It never blocks: opening a
    pipe would wait for a reader.
    """
    also = os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(path, flags | also, FILE_MODE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.ENXIO, "not a regular file", str(path))
    return descriptor


def read_plain(path: Path, largest: int) -> bytes:
    """Return the content of a regular file, at most `largest` bytes; raises like `open_plain`."""
    with open_plain(path) as file:
        return file.read(min(os.fstat(file.fileno()).st_size, largest))  # a buffer of `largest` would cost more


def sha256_of(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a regular file and its size in bytes."""
    with open_plain(path) as file:
        return sha256_of_open(file)


def sha256_of_open(file: IO[bytes]) -> tuple[str, int]:
    """Return the SHA-256 of an open file from its position on, and the number of bytes read."""
    digest, size = hashlib.sha256(), 0
    while chunk := file.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def fsync_directory(path: Path) -> None:
    """Force the entries of a directory to disk: a rename is real only then."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def rename_new(
    source: Path | str, target: Path | str, source_in: int | None = None, target_in: int | None = None
) -> None:
    """Give `source` its final name; FileExistsError if `target` exists in any form.

    A file is linked, then unlinked, so that the kernel refuses to replace. Where there are no hard links, and for a
    directory, the kernel is asked for a rename that does not replace. Where it knows none, the caller's lock keeps the
    moment between the look and the rename. The paths are below the open directories, if those are given.
    """
    if not _is_directory(source, source_in):
        try:
            os.link(source, target, src_dir_fd=source_in, dst_dir_fd=target_in, follow_symlinks=False)
        except OSError as problem:
            if problem.errno not in _UNSUPPORTED:
                raise
        else:
            os.unlink(source, dir_fd=source_in)
            return
    with suppress(FileNotFoundError):
        os.stat(target, dir_fd=target_in, follow_symlinks=False)
        raise FileExistsError(errno.EEXIST, "already there", str(target))
    if not _renamed(source, target, _NO_REPLACE, source_in, target_in):
        os.rename(source, target, src_dir_fd=source_in, dst_dir_fd=target_in)


def _is_directory(path: Path | str, within: int | None) -> bool:
    with suppress(FileNotFoundError, NotADirectoryError):
        return stat.S_ISDIR(os.stat(path, dir_fd=within).st_mode)
    return False


def exchanged(one: Path | str, other: Path | str, one_in: int | None = None, other_in: int | None = None) -> bool:
    """Exchange the names of two files in one step; return whether this system and file system can do that."""
    return _renamed(one, other, _EXCHANGE, one_in, other_in)


def _renamed(source: Path | str, target: Path | str, flag: int, source_in: int | None, target_in: int | None) -> bool:
    """Rename by renameat2(2); return whether this system and file system know it."""
    import ctypes  # noqa: PLC0415 - code sent into a container needs it rarely, and not every Python has it

    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    here = -100  # AT_FDCWD
    one, other = (here if within is None else within for within in (source_in, target_in))
    if not rename(one, os.fsencode(source), other, os.fsencode(target), ctypes.c_uint(flag)):
        return True
    number = ctypes.get_errno()
    if number in _UNSUPPORTED:
        return False
    raise OSError(number, os.strerror(number), str(source), None, str(target))


def point_link(link: Path, target: str) -> bool:
    """Make `link` a symbolic link to `target` in one step, replacing only a link.

    Returns False, and makes no link, if the file system has no symbolic links. Raises Refused for a file or directory,
    which is left by a copy that follows links.
    """
    if link.exists() and not link.is_symlink():
        raise Refused(f"{link} is not a link, so it is not replaced", hint=f"move it away: mv {link} {link}.former")
    fresh = link.with_name(f".{link.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    try:
        fresh.symlink_to(target)
    except OSError as problem:
        if problem.errno not in _UNSUPPORTED:
            raise
        return False
    fresh.replace(link)
    return True


def remove_tree(path: Path) -> None:
    """Remove a file or a whole directory; links are not followed, a missing path is no error.

    Raises Refused, without removing any file, if another file system is mounted below: its files are not ours to
    remove.
    """
    if not os.path.lexists(path):  # a read-only file system refuses to remove even that
        return
    if not path.is_dir() or path.is_symlink():
        path.unlink(missing_ok=True)
        return
    require_no_mounts(path, "removed")
    above = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _remove_below(above, path.name, os.lstat(path).st_dev, path)
    finally:
        os.close(above)


def require_no_mounts(path: Path, doing: str) -> None:
    """Raise Refused when a file system is mounted at `path` or below it."""
    found = [str(path / name) for name in mounts_below(path)]
    if is_mount(path):
        found.insert(0, str(path))
    if found:
        raise Refused(
            f"{path} is not {doing}: another file system is mounted at {first_of(found)}",
            hint=f"unmount it (umount {found[0]}), then run this again",
        )


def _remove_below(above: int, name: str, device: int, shown: Path) -> None:
    """Remove a directory by descriptors; OSError at the border of a file system, where the rest stays."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    directory = os.open(name, flags, dir_fd=above)
    try:
        if os.fstat(directory).st_dev != device:
            raise OSError(errno.EXDEV, "another file system is mounted there", str(shown))
        with os.scandir(directory) as found:
            entries = list(found)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                _remove_below(directory, entry.name, device, shown / entry.name)
            else:
                os.unlink(entry.name, dir_fd=directory)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=above)


def free_bytes(path: Path) -> int:
    """Return the bytes that an ordinary user may still write on the file system of `path` or its nearest parent."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


@contextmanager
def explained(doing: str, state: Callable[[], str] | None = None) -> Iterator[None]:
    """Turn an operating system error inside the block into an error with its cause and a hint.

    A full disk and missing rights get different hints. `state` returns the state of the site at that moment.
    """
    try:
        yield
    except OSError as problem:
        named = problem.filename and str(problem.filename) not in doing
        where = f": {problem.filename}" if named else ""
        message = f"cannot {doing}: {problem.strerror or problem}{where}"
        now = {"state": state()} if state else {}
        if problem.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise KorrigoBackupError(
                message,
                hint="make room (df -h, ulimit -f), or use a larger disk, then run it again",
                id_="disk.full",
                **now,
            ) from None
        if problem.errno == errno.EROFS:
            hint = "mount that file system for writing; if it was, dmesg shows why it became read-only"
            raise Refused(message, hint=hint, id_="disk.read_only", **now) from None
        if problem.errno in {errno.EACCES, errno.EPERM}:
            hint = "run as the user who owns it, or change its owner or mode"
            raise Refused(message, hint=hint, id_="file.permission", **now) from None
        if problem.errno in _NO_FILE:
            hint = "a regular file belongs there: move away the entry of that name, then run it again"
            raise KorrigoBackupError(message, hint=hint, **now) from None
        if problem.errno in _BAD_PATH:
            hint = "correct the path: a part of it is missing, too long, a loop of links, or not a directory"
            raise KorrigoBackupError(message, hint=hint, id_="file.path", **now) from None
        hint = "see the system's log (dmesg) and the disk's health"
        raise KorrigoBackupError(message, hint=hint, id_="disk.fault", **now) from None
