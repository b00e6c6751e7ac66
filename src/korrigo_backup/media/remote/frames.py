"""Frames between this machine and its process in a container: a kind, a length, and that many bytes."""

from __future__ import annotations

import json
import struct
from typing import IO

VALUE = b"V"
"""A JSON document. Python's own encoder, because paths may hold bytes that are not UTF-8 (surrogate escapes)."""

DATA = b"D"
"""A piece of a file."""

END = b"."
"""The output is complete, and the request is done."""

ERROR = b"E"
"""A JSON document with the error; no frame follows."""

LONGEST = 16 * 1024 * 1024
"""Bytes of a frame: more was never sent, so something else writes to the pipe."""

_HEAD = struct.Struct(">cI")


def send(file: IO[bytes], kind: bytes, data: bytes | memoryview = b"") -> None:
    """Write a frame; the file is buffered, so flush it before an answer is waited for."""
    file.write(_HEAD.pack(kind, len(data)))
    file.write(data)


def send_value(file: IO[bytes], value: object, kind: bytes = VALUE) -> None:
    """Write a document."""
    send(file, kind, json.dumps(value).encode())


def receive(file: IO[bytes]) -> tuple[bytes, bytes]:
    """Return kind and content of the next frame; EOFError if the pipe ends, ValueError for an invalid frame."""
    head = _exactly(file, _HEAD.size)
    kind, size = _HEAD.unpack(head)
    if kind not in {VALUE, DATA, END, ERROR} or size > LONGEST:
        raise ValueError(f"{head!r} is not the beginning of a frame")
    return kind, _exactly(file, size)


def _exactly(file: IO[bytes], size: int) -> bytes:
    data = file.read(size)
    if len(data) < size:
        raise EOFError("the pipe ended")
    return data
