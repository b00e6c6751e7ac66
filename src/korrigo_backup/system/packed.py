"""Archives as other tools pack them: gzip, bzip2, xz or unpacked, recognised by their first bytes."""

from __future__ import annotations

import bz2
import lzma
import shlex
from itertools import chain
from typing import TYPE_CHECKING

from korrigo_backup.errors import ProofFailed, UsageError
from korrigo_backup.system.streams import gunzip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

ZIP = b"PK\x03\x04"
_ZSTD = b"\x28\xb5\x2f\xfd"
_PIECE = 1024 * 1024
"""Bytes that are unpacked at once."""


def unpacked(archive: Iterable[bytes], source: str) -> Iterator[bytes]:
    """Yield the content of a packed archive; UsageError, with the command to type, where that cannot be done here."""
    pieces = iter(archive)
    first = next(pieces, b"")
    whole = chain([first], pieces)
    if first.startswith(b"BZh"):
        return _streams(whole, bz2.BZ2Decompressor, source)
    if first.startswith(b"\xfd7zXZ\x00"):
        return _streams(whole, lzma.LZMADecompressor, source)
    if first.startswith(_ZSTD):
        raise UsageError(
            f"{source} is packed by zstd, which is not read here",
            hint=f"pack it by gzip: zstd -dc {shlex.quote(source)} | gzip > media.tar.gz"
            " ; then korrigo-backup restore media.tar.gz --allow-unsigned",
        )
    if first[257:262] == b"ustar" or (first and not first.startswith(b"\x1f\x8b") and source.endswith(".tar")):
        return whole
    return gunzip(whole, source)


def _streams(
    pieces: Iterable[bytes], begin: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor], source: str
) -> Iterator[bytes]:
    """Yield the content of one or more packed streams, one after the other; ProofFailed if the last stream is cut."""
    engine = begin()
    started = False
    try:
        for piece in pieces:
            data, started = piece, started or bool(piece)
            while data or not engine.needs_input:
                if out := engine.decompress(data, _PIECE):
                    yield out
                data = b""
                if engine.eof:
                    data, engine, started = engine.unused_data, begin(), bool(engine.unused_data)
                    if not data:
                        break
                elif engine.needs_input:
                    break
    except (OSError, lzma.LZMAError, EOFError) as problem:
        raise ProofFailed(f"{source} is damaged: {problem}", hint="use another backup: korrigo-backup list") from None
    if started:
        raise ProofFailed(f"{source} is cut: its end is missing", hint="use another backup: korrigo-backup list")
