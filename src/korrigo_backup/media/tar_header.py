"""The headers of tar members as we write them, made and read in a fraction of tarfile's time; all others are tarfile's.

Most members of a media tree are files with a short name of ASCII. Their header is one block of the ustar format, and
before it the fraction of the time in a block of the PAX format.
"""

from __future__ import annotations

import re
import tarfile
from typing import Self

SECOND = 1_000_000_000
"""Nanoseconds."""

_TIME = re.compile(r"-?\d{1,12}(\.\d*)?", re.ASCII)
_PAX_NAME = "././@PaxHeader"
_SUM = 148
"""Where the checksum of a header stands."""

_LARGEST_ID, _LARGEST_SIZE = 8**7 - 1, 8**11 - 1
"""The largest numbers that a header has room for."""

_OWN = re.compile(
    rb"([^\0]{1,99})\0+([0-7]{7})\0([0-7]{7})\0([0-7]{7})\0([0-7]{11})\0([0-7]{11})\0([0-7]{6})\0 "
    rb"([0x])\0{100}ustar\x0000\0{247}"
)


class TarHeader(tarfile.TarInfo):
    """A member; a block as `packed` writes it is read here."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Return the member that a block describes; raises as tarfile does."""
        found = _OWN.fullmatch(buf)
        if found is None or found.start(2) != tarfile.LENGTH_NAME:
            return super().frombuf(buf, encoding, errors)
        given = int(found[7], 8)
        if given != sum(buf) - sum(buf[_SUM : _SUM + 8]) + 8 * ord(" "):
            return super().frombuf(buf, encoding, errors)
        made = cls(bytes(found[1]).decode(encoding, errors))
        made.mode, made.uid, made.gid, made.size, made.mtime = (int(found[number], 8) for number in range(2, 7))
        made.chksum, made.type = given, bytes(found[8])
        return made


def packed(info: tarfile.TarInfo) -> bytes:
    """Return the headers of a member."""
    given = info.pax_headers
    is_plain = len(info.name) < tarfile.LENGTH_NAME and info.name.isascii() and info.type == tarfile.REGTYPE
    is_small = info.uid <= _LARGEST_ID and info.gid <= _LARGEST_ID and info.size <= _LARGEST_SIZE
    if not (is_plain and is_small and 0 <= info.mtime <= _LARGEST_SIZE and given.keys() <= {"mtime"}):
        return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    own = _block(info.name, (info.mode, info.uid, info.gid, info.size, int(info.mtime)), tarfile.REGTYPE)
    if not given:
        return own
    record = f" mtime={given['mtime']}\n"
    length = len(record) + 2  # two digits
    text = f"{length}{record}".encode().ljust(tarfile.BLOCKSIZE, b"\0")
    return _block(_PAX_NAME, (0, 0, 0, length, 0), tarfile.XHDTYPE) + text + own


def _block(name: str, numbers: tuple[int, ...], kind: bytes) -> bytes:
    mode, uid, gid, size, mtime = numbers
    start = name.encode().ljust(tarfile.LENGTH_NAME, b"\0")
    fields = b"%07o\0%07o\0%07o\0%011o\0%011o\0        " % (mode, uid, gid, size, mtime)
    head = start + fields + kind + bytes(tarfile.LENGTH_LINK) + b"ustar\x0000"
    return b"%s%06o\0 %s" % (head[:_SUM], sum(head), head[_SUM + 8 :].ljust(tarfile.BLOCKSIZE - _SUM - 8, b"\0"))


def written_time(nanoseconds: int) -> str:
    """Return a time as PAX has it: seconds with a fraction of nine digits."""
    whole, rest = divmod(abs(nanoseconds), SECOND)
    return f"{'-' if nanoseconds < 0 else ''}{whole}.{rest:09}"


def mtime_ns(info: tarfile.TarInfo) -> int:
    """Return a member's time as it is written; tarfile makes a floating-point number of it, which is too coarse."""
    written = info.pax_headers.get("mtime", "")
    if not _TIME.fullmatch(written):
        return int(info.mtime * SECOND)
    whole, _, rest = written.lstrip("-").partition(".")
    found = int(whole) * SECOND + int(rest[:9].ljust(9, "0"))
    return -found if written.startswith("-") else found
