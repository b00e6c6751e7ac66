"""Keep how a command failed, for `explain --last`."""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.secret import redact
from korrigo_backup.errors import INTERRUPTED, Cancelled, ProblemsFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from korrigo_backup.core.secret import Secret

_NO_FAILURES = frozenset({Cancelled.exit_code, INTERRUPTED})

_LOOKS = frozenset({"canary", "checklist", "doctor", "list", "notify", "report", "show", "status", "validate"})
"""Verbs that look for problems: those that they find are their result, and no failure."""


def note_failure(verb: str | None, error: Mapping[str, object] | None, secrets: Iterable[Secret] = ()) -> None:
    """Keep the error fields of a failed verb; None is no failure. A cancelled run is none either.

    Every one of the secrets is masked: the file stays, so a password that is an ordinary word does not stay in it.
    """
    if error is None or verb in {None, "explain"} or error["code"] in _NO_FAILURES:
        return
    if verb in _LOOKS and error["code"] == ProblemsFound.exit_code:
        return
    from korrigo_backup.run import failures  # noqa: PLC0415 - a run that succeeds does not need it

    with suppress(OSError):  # the directory does not exist any more
        masked = {key: redact(value, secrets) if isinstance(value, str) else value for key, value in error.items()}
        fields = {**masked, "id": error["id"], "verb": verb, "directory": str(Path.cwd()), "at": datetime.now(UTC)}
        failures.note(os.environ, msgspec.convert(fields, failures.FailedCommand))
