"""A ZIP of uploads that another tool has made: regular files, directories, and symbolic links that stay inside."""

from __future__ import annotations

import shlex
import stat
import zipfile
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING

from korrigo_backup.core.paths import printable, stays_inside
from korrigo_backup.errors import ProofFailed, UsageError
from korrigo_backup.media.archive import CheckedArchive, Content, Found, plain
from korrigo_backup.media.staging import GivenProperties
from korrigo_backup.media.zip_archive import copy_content, modified, named
from korrigo_backup.system.streams import HashingReader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.media.port import Stage

_UNIX, _ENCRYPTED = 3, 0x1
_LONGEST_TARGET = 4096
_DEFAULT_FILE, _DEFAULT_DIRECTORY = 0o644, 0o755


def check(archive: IO[bytes], source: str) -> CheckedArchive:
    """Read a whole archive; it is left at its start.

    Raises ProofFailed when it is cut or damaged; UsageError, with the command to type, when it holds something that
    cannot be taken safely.
    """
    reader = HashingReader(archive)
    for _ in reader:
        pass
    archive.seek(0)
    files = size = 0
    found = []
    with _opened(archive, source) as opened:
        members = _members(opened, source)
        if sum(info.compress_size for info in members.values()) > reader.size:
            raise _wrong(source, "its entries overlap: it was made to fill the disk")
        for path, info in members.items():
            target = _target(opened, info)
            kind = "directory" if info.is_dir() else "file" if target is None else "link"
            found.append(Found(path, kind, target or ""))
            if kind == "file":
                with opened.open(info) as content:
                    _, length = copy_content(content, None)
                files, size = files + 1, size + length
    archive.seek(0)
    return CheckedArchive(files, size, (), reader.size, reader.sha256, tuple(found))


def load(archive: IO[bytes], source: str, *, root: str, staging: Stage) -> Content:
    """Write the members below `root` into `staging`; raises as `check`."""
    files = size = 0
    with _opened(archive, source) as opened:
        for name, info in _members(opened, source).items():
            path = _below(name, root)
            if not path:
                continue
            mode = (info.external_attr >> 16) & 0o777 if info.create_system == _UNIX else 0
            mtime = modified(info)
            target = _target(opened, info)
            if info.is_dir():
                staging.add_directory(path, GivenProperties(mode or _DEFAULT_DIRECTORY, mtime))
            elif target is None:
                with opened.open(info) as content, staging.create(path) as file:
                    _, length = copy_content(content, file)
                    staging.settle(file, GivenProperties(mode or _DEFAULT_FILE, mtime))
                files, size = files + 1, size + length
            elif stays_inside(path, target):
                staging.add_link(path, target, mtime_ns=mtime)
    return Content(files, size, ())


def _below(name: str, root: str) -> str | None:
    if root == ".":
        return name
    return name[len(root) + 1 :] if name.startswith(f"{root}/") else None


@contextmanager
def _opened(archive: IO[bytes], source: str) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, UnicodeError, ValueError) as problem:
        raise _wrong(source, f"it is not a complete ZIP archive ({problem})") from None


def _members(opened: zipfile.ZipFile, source: str) -> dict[str, zipfile.ZipInfo]:
    """Return the entries by path; of a path that comes twice the last entry, as unzip does."""
    found = {}
    for info in opened.infolist():
        name = named(info)
        if info.flag_bits & _ENCRYPTED:
            raise _unsafe(source, f"{printable(name)} is encrypted")
        if "\\" in name:
            if info.create_system == _UNIX:
                raise _unsafe(source, f"{printable(name)} has a backslash: a name of Windows, or a file called so")
            name = name.replace("\\", "/")
        path = plain(name)
        if path != "." and "__MACOSX" not in path.split("/"):  # macOS adds entries that are not files of the tree
            found[path] = info
    return found


def _target(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> str | None:
    """Return the target of a symbolic link, None for anything else."""
    if info.create_system != _UNIX or not stat.S_ISLNK(info.external_attr >> 16) or info.is_dir():
        return None
    with opened.open(info) as content:
        return content.read(_LONGEST_TARGET).decode("utf-8", "surrogateescape")


def _unsafe(source: str, what: str) -> UsageError:
    return UsageError(
        f"{source}: {what}",
        hint=f"unpack it, look at it and pack it as tar: mkdir unpacked && unzip {shlex.quote(source)} -d unpacked"
        " && tar -czf media.tar.gz -C unpacked . ; then korrigo-backup restore media.tar.gz --allow-unsigned",
    )


def _wrong(source: str, what: str) -> ProofFailed:
    return ProofFailed(f"{source}: {what}", hint="use another archive, or make it again")
