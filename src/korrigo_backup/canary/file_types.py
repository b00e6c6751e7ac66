"""Whether the first bytes of a file have a known type: encrypted files have none."""

from __future__ import annotations

from collections import Counter
from math import log2

HEAD = 4096
"""Bytes read from the beginning of a file."""

_LEAST = 256
"""Bytes below which the entropy of a file means nothing."""

_OPAQUE_BITS = 7.2
"""Bits of entropy a byte from which 4,096 bytes are compressed or encrypted; text has 4 to 5."""

_ZIP = b"PK\x03\x04"
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_TIFF = b"II*\0", b"MM\0*"

_MAGIC: dict[str, tuple[bytes, ...]] = {
    ".pdf": (b"%PDF-",),
    ".png": (b"\x89PNG\r\n\x1a\n",),
    ".jpg": (b"\xff\xd8\xff",),
    ".gif": (b"GIF87a", b"GIF89a"),
    ".webp": (b"RIFF",),
    ".tif": _TIFF,
    ".bmp": (b"BM",),
    ".zip": (_ZIP, b"PK\x05\x06"),
    ".gz": (b"\x1f\x8b",),
    ".bz2": (b"BZh",),
    ".xz": (b"\xfd7zXZ\0",),
    ".zst": (b"\x28\xb5\x2f\xfd",),
    ".7z": (b"7z\xbc\xaf\x27\x1c",),
    ".doc": (_OLE,),
    ".mp3": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2"),
    ".ogg": (b"OggS",),
    ".flac": (b"fLaC",),
    ".mkv": (b"\x1aE\xdf\xa3",),
}
_SAME = {
    ".jpeg": ".jpg", ".tiff": ".tif", ".docx": ".zip", ".xlsx": ".zip", ".pptx": ".zip", ".odt": ".zip",
    ".ods": ".zip", ".odp": ".zip", ".epub": ".zip", ".xls": ".doc", ".ppt": ".doc", ".tgz": ".gz", ".webm": ".mkv",
    ".wav": ".webp", ".avi": ".webp", ".oga": ".ogg",
}  # fmt: skip
_LATER = {".mp4": b"ftyp", ".m4a": b"ftyp", ".mov": b"ftyp", ".heic": b"ftyp", ".avif": b"ftyp"}
"""Types whose mark stands after the first four bytes."""

_PDF_WITHIN = 1024
"""Bytes within which readers of PDF accept its mark."""

_ALL = tuple(magic for magics in _MAGIC.values() for magic in magics)


def is_opaque(suffix: str, head: bytes) -> bool:
    """Return whether a file has neither the type of its name nor the look of text or another known type.

    `suffix` is lower-case with its dot, `head` the first `HEAD` bytes of the file. A file whose name promises no type
    is opaque if its bytes are as good as random.
    """
    if not head or _has_type(suffix, head):
        return False
    if _SAME.get(suffix, suffix) in _MAGIC or suffix in _LATER:
        return True
    if head.startswith(_ALL) or head[4:8] == b"ftyp":
        return False
    return len(head) >= _LEAST and entropy(head) >= _OPAQUE_BITS * log2(min(len(head), HEAD)) / log2(HEAD)


def entropy(data: bytes) -> float:
    """Return the bits of Shannon entropy a byte, 0 to 8."""
    size = len(data)
    return -sum(count / size * log2(count / size) for count in Counter(data).values())


def _has_type(suffix: str, head: bytes) -> bool:
    suffix = _SAME.get(suffix, suffix)
    if suffix == ".pdf":
        return b"%PDF-" in head[:_PDF_WITHIN]
    if mark := _LATER.get(suffix):
        return head[4:8] == mark
    return head.startswith(_MAGIC.get(suffix, (b"\0never\0",)))
