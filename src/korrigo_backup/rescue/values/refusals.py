"""Refusals of a revert that name the exact command to run instead."""

from __future__ import annotations

from itertools import pairwise
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.core.excerpt import listed
from korrigo_backup.errors import Refused, UsageError
from korrigo_backup.postgres.sql import identifier

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.rescue.steps.inherited import Ancestor
    from korrigo_backup.rescue.values.revert import RevertOptions

_SHOWN_STEPS = 4
"""Steps that the hint has commands for, the newest."""


def several_steps(table: str, dump: Artifact, changed: list[Artifact]) -> Refused:
    """Return the error for a table that changed more than once since a dump, with the choices."""
    names = [dump.name, *(one.name for one in changed)]
    choices = [f"--from {former} --accident {name}" for former, name in pairwise(names)]
    choices.append(f"--from {names[-1]}, if it happened after the newest backup")
    return Refused(
        f"{table} changed in more than one step since {dump.name}, and only one of them is the accident:"
        f" {listed([f'until {one.name}' for one in changed])}",
        hint=f"name the step ({'; '.join(choices[-_SHOWN_STEPS:])}); korrigo-backup history --table {table} shows them",
        id_="revert.steps",
    )


def inherited_column(options: RevertOptions, column: str, table: str, above: Ancestor, dump: Artifact) -> UsageError:
    """Return the error for a column of a table from whose model that of the named table inherits."""
    key, own = (", ".join(map(identifier, names)) for names in (above.key, above.own))
    where = f" WHERE {options.where}" if options.where else ""
    rows = quote(f"{key} IN (SELECT {own} FROM {table}{where})")
    accident = f" --accident {options.accident}" if options.accident else ""
    return UsageError(
        f"{column} is a column of {above.table}, from whose model that of {table} inherits",
        hint=f"korrigo-backup revert --table {quote(above.table)} --column {quote(column)} --where {rows}"
        f" --from {dump.name}{accident}",
    )
