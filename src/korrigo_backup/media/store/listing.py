r"""The listing of a media backup in the store: each entry of the tree as lines of text, in the order of a walk.

The first line of an entry has seven fields, separated by one space, so that `zcat | while read -r` can read it:

    WORD SIZE MTIME MODE UID:GID STATE PATH

WORD is the SHA-256 of a file, `directory` or `link`. SIZE is in bytes. MTIME is in seconds with nine decimals, MODE is
octal. STATE is `-`, or ctime and inode of a file that was read in one state: a later backup takes over a file whose
fields are all equal without reading it. PATH is relative to the media root, which is `.`; in it a backslash, a line
feed and a carriage return are `\\`, `\n` and `\r`. Lines that begin with `+` belong to the entry before them:
`+target PATH` of a symbolic link, `+same PATH` of a file with an earlier name (a hard link), `+links NUMBER` of a file
with several names, `+xattr NAME BASE64`.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from korrigo_backup.core.paths import order
from korrigo_backup.errors import ProofFailed
from korrigo_backup.system.streams import gunzip

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from korrigo_backup.media.walk import TreeEntry
    from korrigo_backup.system.streams import ByteSource

DIRECTORY, LINK = "directory", "link"

_NO_STATE = "-"
_SECOND = 1_000_000_000
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PIECE = 1024 * 1024
_LONGEST = 1024 * 1024
"""Bytes of the lines of an entry: a path has at most 4,096, extended attributes at most 64 KiB each."""


@dataclass(frozen=True)
class ListedEntry:
    """An entry of a listing; the root has the empty path.

    `sha256` is None for a directory and a link. `same_as` is the earlier path of the same file. `links` counts the
    names of a file.
    """

    path: str
    word: str
    size: int
    mtime_ns: int
    mode: int
    owner: tuple[int, int]
    state: tuple[int, int] | None = None
    """ctime in nanoseconds and inode."""
    target: str | None = None
    same_as: str | None = None
    links: int = 1
    extended: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of a file, None for a directory and a link."""
        return None if self.word in {DIRECTORY, LINK} else self.word


def fields(entry: TreeEntry, *, stable: bool) -> bytes:
    """Return the first line of an entry without its WORD; `stable`: a later backup may compare its state."""
    info = entry.info
    state = f"{_decimal(info.st_ctime_ns)}:{info.st_ino}" if stable and entry.is_file else _NO_STATE
    size = info.st_size if entry.is_file else 0
    text = (
        f" {size} {_decimal(info.st_mtime_ns)} {info.st_mode & 0o7777:o} {info.st_uid}:{info.st_gid} {state} "
        f"{escaped(entry.path) or '.'}\n"
    )
    return text.encode("utf-8", "surrogateescape")


def lines(entry: TreeEntry, *, sha256: str | None = None, size: int | None = None, stable: bool = False) -> bytes:
    """Return all lines of an entry. `sha256` and `size` are those of the bytes that were read from a file."""
    word = sha256 or (LINK if entry.target is not None else DIRECTORY)
    first = word.encode() + fields(entry, stable=stable)
    if size is not None and size != entry.info.st_size:  # it grew or shrank after the walk saw it
        _, _, rest = first.partition(b" ")[2].partition(b" ")
        first = b"%s %d %s" % (word.encode(), size, rest)
    more = []
    if entry.target is not None:
        more.append(f"+target {escaped(entry.target)}\n")
    if entry.same_as is not None:
        more.append(f"+same {escaped(entry.same_as)}\n")
    if entry.is_file and entry.info.st_nlink > 1:
        more.append(f"+links {entry.info.st_nlink}\n")
    for name, value in entry.extended.items():
        attribute = escaped(name).replace("%", "%25").replace(" ", "%20")
        more.append(f"+xattr {attribute} {binascii.b2a_base64(value, newline=False).decode()}\n")
    return first + "".join(more).encode("utf-8", "surrogateescape")


def blocks(pieces: Iterable[bytes], source: str) -> Iterator[bytes]:
    """Yield the lines of each entry as one piece of bytes."""
    block, rest = b"", b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        if len(rest) > _LONGEST or len(block) > _LONGEST:
            raise _damaged(source, block + rest)
        for line in whole:
            if line.startswith(b"+"):
                block += line + b"\n"
                continue
            if block:
                yield block
            block = line + b"\n"
    if rest:
        raise _damaged(source, rest)
    if block:
        yield block


def read(file: ByteSource, source: str) -> Iterator[ListedEntry]:
    """Yield the entries of a compressed listing; ProofFailed for a damaged or invalid one, or one that is not in order.

    `file` is read from its present position to its end.
    """
    last: tuple[bytes, ...] | None = None
    for block in unpacked(file, source):
        entry = parse(block, source)
        key = order(entry.path) if entry.path else ()
        if last is not None and key <= last:
            raise _damaged(source, block)
        last = key
        yield entry


def unpacked(file: ByteSource, source: str) -> Iterator[bytes]:
    """Yield the blocks of a compressed listing."""
    return blocks(gunzip(iter(lambda: file.read(_PIECE), b""), source), source)


def word(block: bytes, source: str) -> str:
    """Return the WORD of a block without decoding the rest; ProofFailed if it is invalid."""
    found = block[: max(block.find(b" "), 0)].decode("ascii", "replace")
    if found not in {DIRECTORY, LINK} and not _SHA256.fullmatch(found):
        raise _damaged(source, block)
    return found


def parse(block: bytes, source: str) -> ListedEntry:
    """Return the entry of a block; ProofFailed if it is invalid."""
    first, *more = block.decode("utf-8", "surrogateescape").split("\n")[:-1]
    try:
        kind, size, mtime, mode, owner, state, path = first.split(" ", 6)
        user, _, group = owner.partition(":")
        given: dict[str, object] = {}
        extended = {}
        for line in more:
            key, _, value = line.removeprefix("+").partition(" ")
            if key == "xattr":
                name, _, encoded = value.partition(" ")
                extended[_unescape(name.replace("%20", " ").replace("%25", "%"))] = binascii.a2b_base64(
                    encoded, strict_mode=True
                )
            else:
                given[_KEYS[key]] = int(value) if key == "links" else _unescape(value)
        found = ListedEntry(
            path="" if path == "." else _unescape(path),
            word=kind,
            size=int(size),
            mtime_ns=_nanoseconds(mtime),
            mode=int(mode, 8),
            owner=(int(user), int(group)),
            state=_state(state),
            extended=extended,
            **given,  # type: ignore[arg-type]  # of _KEYS, each with its type
        )
    except (ValueError, KeyError, IndexError):
        raise _damaged(source, block) from None
    if word(block, source) != found.word or (found.target is None) == (found.word == LINK) or found.size < 0:
        raise _damaged(source, block)
    return found


_KEYS = {"target": "target", "same": "same_as", "links": "links"}


def _state(text: str) -> tuple[int, int] | None:
    if text == _NO_STATE:
        return None
    changed, _, inode = text.partition(":")
    return _nanoseconds(changed), int(inode)


def _decimal(nanoseconds: int) -> str:
    return f"{nanoseconds // _SECOND}.{nanoseconds % _SECOND:09d}"


def _nanoseconds(text: str) -> int:
    whole, _, part = text.partition(".")
    return int(whole) * _SECOND + int(part)


def escaped(text: str) -> str:
    """Return a path as a line of the listing has it."""
    if "\\" not in text and "\n" not in text and "\r" not in text:
        return text
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _unescape(text: str) -> str:
    if "\\" not in text:
        return text
    return re.sub(r"\\(.)", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), text)


def _damaged(source: str, block: bytes) -> ProofFailed:
    return ProofFailed(
        f"{source} has a line that is not of a media listing: {block[:80]!r}",
        hint="the file is damaged: use another backup (korrigo-backup list)",
    )
