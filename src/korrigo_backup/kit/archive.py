"""The content of a recovery kit: a tar archive, made and read in memory, so that no secret is ever on disk in clear."""

from __future__ import annotations

import hashlib
import io
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.paths import printable
from korrigo_backup.errors import ProofFailed
from korrigo_backup.kit.model import CONTENTS, FORMAT, README, Contents, is_member
from korrigo_backup.system.files import FILE_MODE

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_FILE = 4 * 1024 * 1024
"""Bytes; settings are text. A larger file is not meant to be in a kit."""

LARGEST = 64 * 1024 * 1024
"""Bytes of a whole kit: it is held in memory."""


@dataclass(frozen=True)
class Opened:
    """A kit that was read whole: its description, and every file, proven by it."""

    contents: Contents
    files: Mapping[str, bytes]

    @property
    def readme(self) -> bytes:
        """The commands for a bare server."""
        return self.files[README]


def pack(contents: Contents, files: Mapping[str, bytes]) -> bytes:
    """Return the archive: the README, the contents, then every file, in an order that never changes."""
    listed = msgspec.json.format(msgspec.json.encode(contents), indent=2) + b"\n"
    ordered = {README: files[README], CONTENTS: listed, **dict(sorted(files.items()))}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in ordered.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = len(data), FILE_MODE, int(contents.created.timestamp())
            tar.addfile(info, io.BytesIO(data))
    return raw.getvalue()


def unpack(raw: bytes, source: str) -> Opened:
    """Return the content of the archive `raw`; anybody could have made it, so its content is not trusted.

    Raises ProofFailed for an archive that is no kit: cut, another format, a link, a name that leads elsewhere, a file
    that differs from the contents.
    """
    try:
        files = _members(raw, source)
        contents = msgspec.json.decode(files.pop(CONTENTS), type=Contents)
    except (tarfile.TarError, EOFError, UnicodeError, ValueError, msgspec.DecodeError, KeyError) as problem:
        raise _wrong(source, f"it cannot be read ({type(problem).__name__})") from None
    if contents.format > FORMAT:
        raise _wrong(source, f"it has format {contents.format}, this version reads up to {FORMAT}")
    recorded = {file.name: (file.size, file.sha256) for file in contents.files}
    found = {name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items() if name != README}
    if recorded != found or README not in files or len(recorded) != len(contents.files):
        odd = next(iter(sorted(recorded.items() ^ found.items())), ("a file",))[0]
        raise _wrong(source, f"{printable(odd)} differs from the kit's list of contents")
    return Opened(contents, files)


def _members(raw: bytes, source: str) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    with tarfile.open(fileobj=io.BytesIO(raw), mode="r:") as tar:
        for info in tar:
            if info.type not in {tarfile.REGTYPE, tarfile.AREGTYPE} or info.issparse():
                raise _wrong(source, f"{printable(info.name)} is not a file")
            if not is_member(info.name) or info.name in files:
                raise _wrong(source, f"it has a member called {printable(info.name)}")
            content = tar.extractfile(info)
            files[info.name] = content.read() if content else b""
            if len(files[info.name]) != info.size:
                raise _wrong(source, f"it ends within {printable(info.name)}")
    return files


def _wrong(source: str, what: str) -> ProofFailed:
    return ProofFailed(f"{source} is no recovery kit: {what}", hint="use another: korrigo-backup kit show")
