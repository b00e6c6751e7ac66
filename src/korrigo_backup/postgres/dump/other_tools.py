"""Dumps of other tools, converted for `scan.py`: plain SQL in UTF-8 with Unix line ends, packed by gzip.

pg_restore converts the custom, tar and directory formats. It reads an archive of unknown origin, so on this machine it
runs as the user nobody when we are root, without a connection and without a password.
"""

from __future__ import annotations

import codecs
import os
import pwd
import re
import shutil
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shlex import quote
from typing import IO, TYPE_CHECKING

from korrigo_backup.artifact.dump_file import HEAD, PACKED, TOC, Form, beginning, form, unpacked
from korrigo_backup.errors import ProofFailed, UsageError
from korrigo_backup.postgres.dump.scan import CLUSTER_MARK, END_MARK
from korrigo_backup.system.blocks import Effort
from korrigo_backup.system.files import CHUNK, open_plain
from korrigo_backup.system.run import Command, NotRunnable, run, spawn
from korrigo_backup.system.streams import GzipWriter, HashingWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

PG_RESTORE = ("pg_restore", "--file=-")

_START = b"-- PostgreSQL database dump\n"
_MEMBER = re.compile(
    r"toc\.dat|[0-9]+\.dat(?:\.gz|\.lz4|\.zst)?|blobs(?:_[0-9]+)?\.toc|blob_[0-9]+\.dat(?:\.gz|\.lz4|\.zst)?"
)
_NOISE = re.compile(rb"(?m)^(?:pg_dump(?:all)?: |time=\"|WARN)[^\n]*\n?")
_ARCHIVE = b"PGDMP"
_FORMATS = {12: 14, 16: 15, 17: 16}
"""The newest archive format 1.N that pg_restore knows, by the major version that brought it."""

_BOM = b"\xef\xbb\xbf"
_TAIL = 64 * 1024
_LAYERS = 4


def is_ordinary(file: IO[bytes]) -> bool:
    """Return whether an open file is plain SQL by pg_dump packed by gzip; it is left at its start."""
    head = file.read(HEAD)
    file.seek(0)
    if form(head) is not Form.GZIP:
        return not head  # an empty file: its reader reports it
    text = beginning(Form.GZIP, head, file)
    return form(text) is Form.TEXT and not _needs_work(text)


@contextmanager
def made_ordinary(path: Path, tool: Callable[..., Command]) -> Iterator[IO[bytes]]:
    """Yield a private file with the dump at `path` as plain SQL, packed by gzip.

    `tool` returns the command of a PostgreSQL client that needs no connection. Raises UsageError, with the command to
    type, for a form that cannot be converted here, ProofFailed for damage.
    """
    with ExitStack() as stack:
        if path.is_dir():
            pieces = stack.enter_context(_restored(path, None, tool, stack.enter_context(_copied(path))))
        else:
            pieces = _layers(path, stack, tool)
        made = stack.enter_context(_temporary())
        with GzipWriter(HashingWriter(made), Effort.QUICK) as writer:
            for piece in plain(pieces):
                writer.write(piece)
        made.seek(0)
        yield made


def plain(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the text of a dump without the changes by mail programs, editors, terminals and Windows."""
    stream = iter(pieces)
    head = b""
    while len(head) < HEAD and (piece := next(stream, b"")):
        head += piece
    texts = _joined(head, stream)
    if encoding := _wide(head):
        texts = _decoded(texts, encoding)
        head = head.decode(encoding, errors="ignore").lstrip("\ufeff").encode()
    if b"--\r\n" in head[:HEAD]:
        texts = _unix(texts)
        head = head.replace(b"\r\n", b"\n")
    yield from _without_noise(texts, head)


def _needs_work(head: bytes) -> bool:
    return bool(_wide(head)) or head.startswith(_BOM) or b"--\r\n" in head or _begin(head) > 0


def _wide(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    return {b"-\0-\0": "utf-16-le", b"\0-\0-": "utf-16-be"}.get(head[:4], "")


def _begin(head: bytes) -> int:
    """Return where the dump begins: behind a BOM, and behind messages that another program wrote before it."""
    start = len(_BOM) if head.startswith(_BOM) else 0
    found = [at for mark in (_START, CLUSTER_MARK + b"\n") if (at := head.find(mark)) >= 0]
    if not found:
        return start
    begin = min(found)
    begin = begin - len(b"--\n") if head.endswith(b"--\n", 0, begin) else begin
    before = head[start:begin].split(b"\n")
    sql = any(line.startswith((b"--", b"\\")) or line.rstrip().endswith(b";") for line in before)
    return start if sql else begin


def _joined(head: bytes, stream: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from stream


def _decoded(pieces: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    try:
        for piece in pieces:
            yield decoder.decode(piece).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as problem:
        raise UsageError(
            f"the dump is not valid {encoding.upper()}: {problem}",
            hint="have it made again without a shell that changes it: pg_dump --file=NAME.sql DATABASE",
        ) from None


def _unix(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        text = rest + piece
        rest = b"\r" if text.endswith(b"\r") else b""
        yield text[: len(text) - len(rest)].replace(b"\r\n", b"\n")
    yield rest


def _without_noise(pieces: Iterator[bytes], head: bytes) -> Iterator[bytes]:
    skip, held = _begin(head), b""
    for piece in pieces:
        held += piece
        if len(held) > skip + _TAIL:
            yield held[skip : len(held) - _TAIL]
            held, skip = held[len(held) - _TAIL :], 0
    text = held[skip:]
    end = text.rfind(END_MARK)
    yield text if end < 0 else text[:end] + _NOISE.sub(b"", text[end:])


def _layers(path: Path, stack: ExitStack, tool: Callable[..., Command]) -> Iterator[bytes]:
    """Return the text inside of a file, however often it is packed."""
    file: IO[bytes] = stack.enter_context(open_plain(path))
    for _ in range(_LAYERS):
        head = file.read(HEAD)
        file.seek(0)
        found = form(head)
        if found in {Form.CUSTOM, Form.TAR}:
            return stack.enter_context(_restored(path, file, tool))
        if found not in PACKED:
            return _read(file)
        inner = stack.enter_context(_temporary())
        with unpacked(found, file, path.name) as pieces:
            for piece in pieces:
                inner.write(piece)
        inner.seek(0)
        file = inner
    raise UsageError(f"{path.name} is packed more than {_LAYERS} times", hint="unpack it by hand first")


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


@contextmanager
def _restored(
    path: Path, file: IO[bytes] | None, tool: Callable[..., Command], directory: Path | None = None
) -> Iterator[Iterator[bytes]]:
    command = tool(*PG_RESTORE, *([str(directory)] if directory else []))
    by_hand = f"pg_restore --file=- {quote(str(path))} | gzip > {quote(path.name.partition('.')[0])}.sql.gz"
    if directory and command.argv[0].endswith("docker"):
        raise UsageError(f"{path.name} is a directory, which pg_restore in the container cannot see", hint=by_hand)

    def pieces() -> Iterator[bytes]:
        while piece := running.stdout.read(CHUNK):
            yield piece
        if running.wait():
            words = running.stderr.partition("\n")[0] or "it failed"
            what = f"pg_restore cannot read {path.name}: {words}"
            if _is_newer(file, directory, tool):
                raise UsageError(what, hint=f"with the pg_restore of the version that made it: {by_hand}")
            raise ProofFailed(what, hint=f"it was cut or damaged: fetch it again; by hand it is read so: {by_hand}")

    try:
        with spawn(command, stdin=file or False, stdout=True) as running:
            yield pieces()
    except NotRunnable as problem:
        raise UsageError(problem.message, hint=f"where pg_restore is: {by_hand}") from None


def _is_newer(file: IO[bytes] | None, directory: Path | None, tool: Callable[..., Command]) -> bool:
    """Return whether a dump has a newer archive format than pg_restore can read; its head holds the format."""
    if directory:
        head = (directory / TOC).read_bytes()[:HEAD] if (directory / TOC).exists() else b""
    elif file:
        file.seek(0)
        head = file.read(HEAD)
    begin = head.find(_ARCHIVE)
    number = re.search(rb"(\d+)", run(tool("pg_restore", "--version")).stdout)
    major = int(number[1]) if number else min(_FORMATS)
    known = max((minor for since, minor in _FORMATS.items() if since <= major), default=0)
    version = tuple(head[begin + len(_ARCHIVE) :][:2]) if begin >= 0 else ()
    return version > (1, known)


@contextmanager
def _copied(path: Path) -> Iterator[Path]:
    """Yield a copy of a dump in directory format that the user nobody may read: its own files alone, no links."""
    with tempfile.TemporaryDirectory(prefix="korrigo-backup-", dir=_place()) as made:
        copy = Path(made)
        for one in path.iterdir():
            if _MEMBER.fullmatch(one.name):
                with open_plain(one) as source, (copy / one.name).open("wb") as target:
                    shutil.copyfileobj(source, target, CHUNK)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for one in (copy, *copy.iterdir()):
                os.chown(one, nobody.pw_uid, nobody.pw_gid)
        yield copy


def _temporary() -> IO[bytes]:
    """Return a private file without a name; it is gone with its last reader."""
    return tempfile.TemporaryFile(buffering=0, dir=_place())


def _place() -> str | None:
    """Return a directory on disk: /tmp may be memory."""
    return "/var/tmp" if "TMPDIR" not in os.environ and os.access("/var/tmp", os.W_OK) else None  # noqa: S108
