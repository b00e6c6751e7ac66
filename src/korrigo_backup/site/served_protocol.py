"""The messages of `manage.py restore -` while the host serves it a backup: one line of standard output each.

The backup is not copied to where Django runs: Django asks for the pieces that it reads, of any file. Both sides use
these classes, so that the formats cannot differ. All but `StepMessage` wait for an answer on standard input: eight
bytes with its length, then that many bytes. The end of the input instead of an answer ends the restore.
"""

from __future__ import annotations

import msgspec

MARK = "\x1f"
"""Begins each line that is a message; settings of some sites print lines of their own."""

PIECE = 1024 * 1024
"""The most bytes of an answer."""

HEAD = 8
"""Bytes with the length of an answer, signed, the highest first."""

MISSING = -1
"""The length that means that there is no such file."""


class Size(msgspec.Struct, frozen=True, tag="size"):
    """How long is a file? The answer is empty but for its length, which is that of the file."""

    name: str


class Read(msgspec.Struct, frozen=True, tag="read"):
    """A piece of a file, please: fewer bytes than `size` mean its end."""

    name: str
    at: int
    size: int


class StepMessage(msgspec.Struct, frozen=True, tag="told"):
    """A step, and the values for a line about it. It is not answered."""

    id: str
    facts: dict[str, str] = {}


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """All is loaded and proven, and the transaction of this number waits for the word to go on to its end."""

    transaction: str


Message = Size | Read | StepMessage | Ready


def encode(message: Message) -> str:
    """Return the line of a message, without the line break."""
    return MARK + msgspec.json.encode(message).decode()


def decode(line: bytes) -> Message | None:
    """Return the message that a line is, None when it is none."""
    if not line.startswith(MARK.encode()):
        return None
    try:
        message: Message = msgspec.json.decode(line[len(MARK) :], type=Message)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return message
