"""Text in the encodings of PostgreSQL, bytes that are no text included.

A database in SQL_ASCII holds any bytes, also in names. A byte that is not UTF-8 becomes a character of Unicode's
private area (U+F780 to U+F7FF), which `to_bytes` makes that byte again.
"""

from __future__ import annotations

import codecs
import re

RAW = "SQL_ASCII"
"""The name of the encoding that is none."""

_FIRST = 0xF700
_PRIVATE = range(_FIRST + 0x80, _FIRST + 0x100)
_ERRORS = "korrigo-backup-bytes"

_OURS = re.compile(rb"(\xef[\x9e\x9f][\x80-\xbf])")
"""UTF-8 of the characters from U+F780 to U+F7FF."""

_CODECS = {
    "UTF8": "utf-8", "LATIN1": "latin-1", "LATIN2": "iso8859-2", "LATIN3": "iso8859-3", "LATIN4": "iso8859-4",
    "LATIN5": "iso8859-9", "LATIN6": "iso8859-10", "LATIN7": "iso8859-13", "LATIN8": "iso8859-14",
    "LATIN9": "iso8859-15", "LATIN10": "iso8859-16", "ISO_8859_5": "iso8859-5", "ISO_8859_6": "iso8859-6",
    "ISO_8859_7": "iso8859-7", "ISO_8859_8": "iso8859-8", "KOI8R": "koi8-r", "KOI8U": "koi8-u", "WIN866": "cp866",
    "WIN874": "cp874", "EUC_CN": "gb2312", "EUC_JP": "euc-jp", "EUC_JIS_2004": "euc-jis-2004", "EUC_KR": "euc-kr",
    **{f"WIN{number}": f"cp{number}" for number in range(1250, 1259)},
}  # fmt: skip


def dump_encoding(database: str) -> str:
    """Return the encoding for the dump of a database: its own, where names in it can be read; else UTF8."""
    return database if database in _CODECS or database == RAW else "UTF8"


def to_text(raw: bytes, encoding: str = RAW) -> str:
    """Return the text of bytes in an encoding that is named as PostgreSQL does.

    In the encoding that is none, a character of that private area is taken for its bytes: `to_bytes` then returns the
    same bytes for every text.
    """
    if encoding != RAW:
        return raw.decode(_CODECS.get(encoding, "utf-8"), _ERRORS)
    return "".join(
        "".join(chr(_FIRST + byte) for byte in piece) if index % 2 else piece.decode("utf-8", _ERRORS)
        for index, piece in enumerate(_OURS.split(raw))
    )


def to_bytes(text: str) -> bytes:
    """Return the bytes from which `to_text` made a text of the encoding that is none."""
    if not any(ord(character) in _PRIVATE for character in text):
        return text.encode()
    return b"".join(
        bytes((ord(character) - _FIRST,)) if ord(character) in _PRIVATE else character.encode() for character in text
    )


def _as_private(problem: UnicodeError) -> tuple[str, int]:
    if not isinstance(problem, UnicodeDecodeError):
        raise problem
    wrong = problem.object[problem.start : problem.end]
    return "".join(chr(_FIRST + byte) for byte in wrong), problem.end


codecs.register_error(_ERRORS, _as_private)
