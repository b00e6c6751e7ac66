"""Standard input: answers, texts and keys, typed or piped. An input that cannot be read is an error in words."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from korrigo_backup.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


def read_line() -> str:
    """Return the next line with its end, "" at the end of the input. Raises UsageError if it cannot be read."""
    with _readable():
        return sys.stdin.readline() if sys.stdin else ""


def read_bytes(limit: int) -> bytes:
    """Return at most `limit` bytes, b"" at the end of the input. Raises UsageError if it cannot be read."""
    with _readable():
        return sys.stdin.buffer.read(limit) if sys.stdin else b""


def read_hidden(question: str) -> str:
    """Ask on the terminal without showing the answer. Raises UsageError at the end of the input."""
    import getpass  # noqa: PLC0415 - few runs ask for a secret

    try:
        return getpass.getpass(question)
    except EOFError:
        print(file=sys.stderr)
        raise UsageError("nothing was typed: the input has ended", hint="type it, or name a file that has it") from None


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as problem:  # open for writing alone, a directory, closed
        words = getattr(problem, "strerror", None) or str(problem)
        raise UsageError(
            f"standard input cannot be read: {words}",
            hint="run it in a terminal, or give the answers as options (--yes)",
        ) from None
