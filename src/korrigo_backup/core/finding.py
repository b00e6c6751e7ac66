"""Findings: the lines of a check, each with a stable id."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec
from msgspec import UNSET, UnsetType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from korrigo_backup.errors import KorrigoBackupError


class Level(StrEnum):
    """How bad a finding is; only an error makes a check fail.

    A loss names something that a backup does not hold or that a restore cannot give back. A run that ends with a loss
    is done in part (exit code 3).
    """

    OK = "ok"
    WARNING = "warning"
    LOSS = "loss"
    ERROR = "error"


class Finding(msgspec.Struct, frozen=True):
    """A line of a check. `id` is documented in docs/reference/findings.md and never changes.

    `detail` holds the server's words on single rows. It is shown to the operator alone: neither a journal nor a
    notification takes it. `accepted` is the reason for which the configuration accepts it.
    """

    id: str
    level: Level
    message: str
    hint: str = ""
    detail: str | UnsetType = UNSET
    accepted: str | UnsetType = UNSET


def ok(id_: str, message: str) -> Finding:
    """Return a line that is as it should be."""
    return Finding(id_, Level.OK, message)


def warning(id_: str, message: str, hint: str = "", detail: str = "") -> Finding:
    """Return a line that a person should know, which does not fail the check."""
    return Finding(id_, Level.WARNING, message, hint, detail or UNSET)


def loss(id_: str, message: str, hint: str = "", detail: str = "") -> Finding:
    """Return a line that names something a restore cannot give back; the restore then ends with exit code 3."""
    return Finding(id_, Level.LOSS, message, hint, detail or UNSET)


def error(id_: str, message: str, hint: str = "") -> Finding:
    """Return a line that fails the check."""
    return Finding(id_, Level.ERROR, message, hint)


def first_error(findings: Iterable[Finding]) -> Finding | None:
    """Return the first finding of level ERROR, None without an error."""
    return next((finding for finding in findings if finding.level is Level.ERROR), None)


def headline(findings: Sequence[Finding]) -> str:
    """Return the message of the first finding, and the number of the others. `findings` must not be empty."""
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    return f"{findings[0].message}{more}"


def refuse_on_error(
    findings: Iterable[Finding],
    kind: type[KorrigoBackupError],
    *,
    subject: str = "",
    otherwise: str = "",
    state: str | None = None,
) -> None:
    """Raise `kind` with message and hint of the first error, if any.

    `subject` stands before the message; `otherwise` is the hint for an error that has none. `state` says how
    the site is left, None if nothing was changed.
    """
    if bad := first_error(findings):
        words = f"{subject}: {bad.message}" if subject else bad.message
        raise kind(words, hint=bad.hint or otherwise, state=state, id_=bad.id)
