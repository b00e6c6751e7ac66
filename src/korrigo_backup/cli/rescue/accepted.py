"""The option of the row verbs that accepts a finding at which they stop otherwise."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.errors import UsageError
from korrigo_backup.rescue.steps.rounded_values import NARROWER

if TYPE_CHECKING:
    from collections.abc import Collection

Accepted = Annotated[
    list[str] | None, typer.Option("--accept", metavar="ID", help="Do not stop at this finding of the plan.")
]


def accepted(names: Collection[str] | None) -> frozenset[str]:
    """Return the findings that a person accepts; UsageError for one at which no row verb stops."""
    if others := sorted(set(names or ()) - {NARROWER}):
        raise UsageError(
            f"--accept {quote(others[0])}: rows come back without a stop at such a finding",
            hint=f"leave it out, or --accept {NARROWER}",
        )
    return frozenset(names or ())
