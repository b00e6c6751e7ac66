"""Refusals of a revert, each with its next step."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.core.finding import warning
from korrigo_backup.errors import NotFound, Refused, UsageError
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.rescue.steps.lost_columns import require_no_lost
from korrigo_backup.rescue.steps.rounded_values import require_held
from korrigo_backup.rescue.values.plan import ValueConflictKind

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.rescue.steps.inherited import Ancestor
    from korrigo_backup.rescue.values.plan import ValuePlan
    from korrigo_backup.rescue.values.revert import RevertOptions


def two_way() -> Finding:
    """Return the warning of a revert without a backup of after the accident."""
    return warning(
        "revert.two_way",
        "no backup shows the table after the accident: nobody can tell which values were changed again since",
        "all rows that differ are put back; look at the plan, and choose with --where or --column",
    )


def require_revertible(plan: ValuePlan) -> None:
    """Raise Refused for a plan with conflicts or findings at which the run stops, or without a row."""
    require_held(plan.findings)
    if bad := plan.refused:
        first = bad[0]
        of = f"{first.table}:{','.join(first.key)}" if first.key else first.table
        words = first.message or f"{first.column} was changed again since"
        raise Refused(
            f"{of}: {words}{f' (and {len(bad) - 1} more)' if len(bad) > 1 else ''}",
            hint="leave such values and rows as they are: --on-conflict skip",
            detail=first.detail or (f"{first.now!r} now" if first.column else ""),
            id_="revert.conflict",
        )
    refused = next((one for one in plan.conflicts if one.kind is ValueConflictKind.REFUSED), None)
    if not plan.count and refused:
        raise Refused(
            f"the live database takes none of the rows: {refused.message}",
            hint="mend what is in the way, then run it again",
            detail=refused.detail,
            id_="revert.conflict",
        )
    if not plan.count:
        require_no_lost(plan.findings)
        raise NotFound(
            "no value is left to put back: the live rows have the values of the backup, or newer ones",
            hint=f"if the newer ones are the accident: --from {quote(plan.accident)}"
            if plan.accident and any(one.newer_values for one in plan.tables)
            else f"korrigo-backup history --table {quote(plan.tables[0].table)} shows when it changed",
            id_="revert.nothing",
        )


def inherited_column(options: RevertOptions, column: str, table: str, above: Ancestor, dump: Artifact) -> UsageError:
    """Return the error for a column of a table from whose model that of the named table inherits."""
    key, own = (", ".join(map(identifier, names)) for names in (above.key, above.own))
    where = f" WHERE {options.where}" if options.where else ""
    rows = quote(f"{key} IN (SELECT {own} FROM {table}{where})")
    accident = f" --accident {quote(options.accident)}" if options.accident else ""
    return UsageError(
        f"{column} is a column of {above.table}, from whose model that of {table} inherits",
        hint=f"korrigo-backup revert --table {quote(above.table)} --column {quote(column)} --where {rows}"
        f" --from {quote(dump.name)}{accident}",
    )
