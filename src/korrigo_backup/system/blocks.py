"""Gzip in blocks: each block is a gzip member of its own, and the header of the member holds its length.

Every gzip reader can read the file: members may follow each other, and extra fields in a header are skipped (RFC 1952).
A program that knows the length can give whole blocks to several threads, when writing and when reading.
"""

from __future__ import annotations

import struct
from enum import Enum

import deflate
from isal import isal_zlib

BLOCK = 1024 * 1024
"""Bytes of content in a block: a fresh start costs below 1 % of size, and a few fit well into the memory limit."""

_START = b"\x1f\x8b\x08\x04"
"""Gzip, deflated, with an extra field and no other flag."""

_FIELD = b"KB"
"""The subfield's name; its value is the length of the whole member."""

_HEADER = struct.Struct("<4sIBBH2sHI")
_TRAILER = struct.Struct("<II")
_UNIX = 3
_RAW, _GZIP = -15, 31
_LONGEST = BLOCK + BLOCK // 16 + 1024
"""Bytes of a member of ours: a block that does not compress is stored, which adds 5 bytes to each 64 KiB."""

_SAMPLES, _SAMPLE = 8, 4096
"""Pieces of a block, and bytes of each, that show whether it will compress: photographs are not even tried."""

HEAD = _HEADER.size
"""Bytes that must be seen to know how long a member is."""


class Effort(Enum):
    """How hard to compress: the time of a core against the size."""

    SMALL = "small"
    """libdeflate's level 5: on dumps smaller than gzip's default, at twice to three times its speed."""

    QUICK = "quick"
    """isal's level 2: a few percent larger, at ten times the speed of gzip's default; see `_SAMPLES`."""


def pack(data: bytes, effort: Effort) -> bytes:
    """Return `data`, at most a block, as a member; data that do not compress are stored."""
    body: bytes | bytearray
    if effort is Effort.SMALL:
        body = deflate.deflate_compress(data, 5)
    else:
        body = isal_zlib.compress(data, 2, _RAW) if _promises(data) else data
    if not _pays(body, data):
        body = deflate.deflate_compress(data, 0)
    length = HEAD + len(body) + _TRAILER.size
    head = _HEADER.pack(_START, 0, 0, _UNIX, 8, _FIELD, 4, length)
    return b"".join((head, body, _TRAILER.pack(isal_zlib.crc32(data), len(data))))


def _promises(data: bytes) -> bool:
    step = len(data) // _SAMPLES
    if step <= _SAMPLE:
        return True
    sample = b"".join(data[at : at + _SAMPLE] for at in range(0, step * _SAMPLES, step))
    return _pays(isal_zlib.compress(sample, 1, _RAW), sample)


def _pays(packed: bytes | bytearray, data: bytes) -> bool:
    return len(packed) <= len(data) - len(data) // 64


def length(head: bytes) -> int | None:
    """Return the length of the member that begins with `head`, None if `pack` did not make it."""
    if len(head) < HEAD:
        return None
    start, _, _, _, extra, field, size, whole = _HEADER.unpack_from(head)
    ours = (start, extra, field, size) == (_START, 8, _FIELD, 4)
    return whole if ours and HEAD + _TRAILER.size < whole <= _LONGEST else None


def unpack(member: bytes) -> bytes:
    """Return the content of a whole member; ValueError when it is damaged, cut, or more than a block."""
    engine = isal_zlib.decompressobj(_GZIP)
    try:
        data: bytes = engine.decompress(member, BLOCK + 1)
    except isal_zlib.error as problem:  # type: ignore[misc]  # its stub calls it a variable
        raise ValueError(str(problem)) from None
    if not engine.eof or engine.unused_data:
        raise ValueError("a block has another length than its header names")
    return data
