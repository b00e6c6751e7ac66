"""Errors of the server as psql prints them with VERBOSITY=verbose: code, message, detail, hint and context apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from korrigo_backup.errors import KorrigoBackupError

_FIRST = re.compile(r"(?:psql:.*?: )?(?:\w[\w ]*):  ([0-9A-Z]{5}): (.*)")
_LABEL = re.compile(r"(DETAIL|HINT|QUERY|CONTEXT|LOCATION|LINE \d+|[A-Z]+(?: [A-Z]+)? NAME):  ?(.*)")
_WARNINGS = frozenset({"00", "01", "02"})
"""SQLSTATE classes of notices and warnings, which end nothing."""


@dataclass(frozen=True)
class ServerError:
    """One error of a PostgreSQL server. `sqlstate` has five characters; the other texts may be empty.

    `detail` may name keys and values of rows: it is shown to the operator and goes into no notification.
    """

    sqlstate: str
    message: str
    detail: str = ""
    hint: str = ""
    context: str = ""

    @property
    def sqlclass(self) -> str:
        """Return the class of the code, its first two characters."""
        return self.sqlstate[:2]


class StatementFailed(KorrigoBackupError):
    """The server refused a statement; `server` is its own account. Decisions are taken on `server.sqlstate`."""

    def __init__(self, message: str, *, hint: str, server: ServerError) -> None:
        super().__init__(message, hint=hint, detail=" ".join(filter(None, (server.detail, server.hint))))
        self.server = server


def parse(stderr: str) -> ServerError | None:
    """Return the first error in what psql printed; None when it names no code (the connection failed, for example)."""
    lines = iter(stderr.splitlines())
    for line in lines:
        found = _FIRST.match(line)
        if found and found[1][:2] not in _WARNINGS:
            return _parsed(found[1], found[2], list(lines))
    return None


def _parsed(sqlstate: str, message: str, lines: list[str]) -> ServerError:
    """Collect the labelled lines after the first; a line without a label continues the one before."""
    texts, label = {"MESSAGE": message}, "MESSAGE"
    for line in lines:
        if _FIRST.match(line):
            break
        if found := _LABEL.match(line):
            label = found[1]
            texts[label] = found[2]
        else:
            texts[label] += f" {line.strip()}"
    return ServerError(
        sqlstate, texts["MESSAGE"], texts.get("DETAIL", ""), texts.get("HINT", ""), texts.get("CONTEXT", "")
    )
