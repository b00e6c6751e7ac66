"""The JSON document of a command line with `--json`: one on standard output, whether the verb succeeds or fails."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, ClassVar

import msgspec

from korrigo_backup.core.paths import readable
from korrigo_backup.core.secret import redact_message
from korrigo_backup.errors import UNCHANGED, PartlyDone

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TextIO

    from korrigo_backup.core.secret import Secret
    from korrigo_backup.errors import KorrigoBackupError

JSON = "--json"
_HELP = frozenset({"-h", "--help"})
_NO_VERB = "error"
"""The schema's name of a failure that no verb has reached."""


class Document:
    """The document of one command line: the fields that its verb gives, and how it ended.

    `current` is that of the present command line, None without `--json`. The lines for people then go to standard
    error; a verb that gives no field of its own answers with them.
    """

    current: ClassVar[Document | None] = None

    def __init__(self, verb: str | None) -> None:
        self.schema = verb or _NO_VERB
        self.fields: dict[str, object] = {}
        self.lines: list[str] = []
        self.is_printed = False
        self.has_effect = False
        """Whether the verb changes something (it has `--dry-run`): then the document says whether it did."""

    def text(self, error: Mapping[str, object] | None, code: int) -> str:
        """Return the document: `ok`, the error of a failure, and the fields of the verb."""
        if not self.fields and error is None:
            self.fields["messages"] = self.lines
        schema = self.schema if self.fields else _NO_VERB
        if self.has_effect and (applied := _is_applied(error, code)) is not None:
            self.fields.setdefault("applied", applied)
        whole: dict[str, object] = {"schema": f"korrigo-backup/{schema}-1", "ok": code == 0}
        if code:
            whole["error"] = error or {"id": "", "code": code, "message": "", "hint": "", "state": ""}
        return encoded(whole | self.fields)


def _is_applied(error: Mapping[str, object] | None, code: int) -> bool | None:
    """Return whether a verb has made its change; None after a failure that may have left a part of it."""
    if code in {0, PartlyDone.exit_code}:
        return True
    return False if error and error["state"] == UNCHANGED else None


def wants_json(words: Sequence[str]) -> bool:
    """Return whether a command line asks for a document, and not for a help, which is a text.

    Words after `--` are those of another command.
    """
    ours = words[: words.index("--")] if "--" in words else words
    first = next((word for word in ours if not word.startswith("-")), None)
    return JSON in ours and first != "help" and not _HELP & set(ours)


def stream() -> TextIO:
    """Return the stream for lines that people read: standard error while standard output holds a document."""
    return sys.stdout if Document.current is None else sys.stderr


def add_to_document(**fields: object) -> None:
    """Add fields to the document of this command line; without `--json` there is none, and nothing is done."""
    if Document.current:
        Document.current.fields |= fields


def error_fields(problem: KorrigoBackupError, secrets: Iterable[Secret]) -> dict[str, object]:
    """Return an error as the document has it: the id of its explanation, its exit code and its sentences."""
    known = tuple(secrets)
    return {
        "id": problem.id,
        "code": problem.exit_code,
        "message": redact_message(problem.message, known),
        "hint": redact_message(problem.hint, known),
        "state": redact_message(problem.state, known),
    }


def encoded(document: Mapping[str, object]) -> str:
    """Return a document as text; times are RFC 3339, sizes bytes."""
    try:
        raw = msgspec.json.encode(document)
    except UnicodeEncodeError:  # a file name that is no text
        raw = msgspec.json.encode(_escaped(msgspec.to_builtins(document)))
    return msgspec.json.format(raw, indent=2).decode()


def _escaped(value: object) -> object:
    """Return a document with the bytes that are no text escaped, wherever they are in it."""
    if isinstance(value, str):
        return readable(value)
    if isinstance(value, dict):
        return {_escaped(name): _escaped(inner) for name, inner in value.items()}
    return [_escaped(inner) for inner in value] if isinstance(value, list | tuple) else value
