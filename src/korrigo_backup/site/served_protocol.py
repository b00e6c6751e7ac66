"""The messages of `manage.py restore -` while the host serves it a backup: one line of standard output each.

The backup is not copied to where Django runs: Django asks for the pieces that it reads, of any file. Both sides use
these classes, so that the formats cannot differ. All but `StepMessage` wait for an answer on standard input: eight
bytes with its length, then that many bytes. The end of the input instead of an answer ends the restore.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import asdict

from korrigo_backup.run.step import (
    DjangoBegun,
    DjangoComplete,
    DjangoDatabase,
    DjangoLoaded,
    DjangoLoading,
    DjangoMedia,
    DjangoMediaKept,
    DjangoMediaRestored,
    DjangoStep,
    DjangoTables,
    DjangoUnknown,
    DjangoWarning,
)

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


_Sent = (
    DjangoBegun
    | DjangoDatabase
    | DjangoLoading
    | DjangoLoaded
    | DjangoMedia
    | DjangoMediaRestored
    | DjangoMediaKept
    | DjangoWarning
    | DjangoComplete
)
"""Steps whose facts are their fields."""

_TABLES = "restore.tables"
_PREFIX = "django."
"""Begins the ids of the steps of manage.py, and is left out in the messages."""


def message_of(step: DjangoStep) -> StepMessage:
    """Return the message of a step of manage.py."""
    facts = step.tables if isinstance(step, DjangoTables) else {name: str(one) for name, one in asdict(step).items()}
    return StepMessage(step.id.removeprefix(_PREFIX), facts)


def step_of(message: StepMessage) -> DjangoStep:
    """Return the step of a message, `DjangoUnknown` for a step that only another version of manage.py has."""
    if message.id == _TABLES:
        return DjangoTables(message.facts)
    fields = {**message.facts, "type": f"{_PREFIX}{message.id}"}
    try:
        sent: DjangoStep = msgspec.convert(fields, _Sent, strict=False)
    except msgspec.ValidationError:
        return DjangoUnknown(message.id)
    return sent
