"""Findings: the lines of a check, each with a stable id."""

from __future__ import annotations

from enum import StrEnum

import msgspec
from msgspec import UNSET, UnsetType


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
