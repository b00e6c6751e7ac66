"""The plan of a revert or of the restore of a table, printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.cli.output import say, say_findings, say_named
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of

if TYPE_CHECKING:
    from korrigo_backup.rescue.values.plan import PutRow, ValueConflict, ValuePlan, ValueTable

NAMED = 3
"""Rows of a table that are named without --verbose."""

_WIDTH = 60


def say_value_plan(plan: ValuePlan) -> None:
    """Print a plan: each table with its columns, first rows and the numbers that stay, the conflicts, findings."""
    say(f"Plan: {plan.verb} {first_of(plan.asked, NAMED)}")
    say(f"  from      {plan.artifact}, made {plan.created.astimezone():%Y-%m-%d %H:%M:%S %Z}")
    if plan.accident and plan.accident_created:
        say(f"  accident  shown by {plan.accident}, made {plan.accident_created.astimezone():%Y-%m-%d %H:%M:%S %Z}")
    for one in plan.tables:
        _say_table(one)
    for column, value in plan.new_values.items():
        say(f"  value     {column} is new since the backup, {value!r} in the missing rows")
    say("  downtime  none: the site goes on serving")
    say_named([_conflict(one) for one in plan.conflicts], plan.conflict_count, 2 * NAMED)
    say_findings(plan.findings)


def _say_table(table: ValueTable) -> None:
    columns = first_of([f"{name} ({count})" for name, count in table.columns.items()], 2 * NAMED)
    say(f"  table     {table.table}: {counted(table.changed, 'row')} put back{f': {columns}' if columns else ''}")
    say_named([_row(row) for row in table.rows], max(table.changed, len(table.rows)), NAMED)
    if table.inserted:
        say(f"            + {counted(table.inserted, 'missing row')} inserted")
        say_named([f"              + {', '.join(key)}" for key in table.inserted_keys], table.inserted, NAMED)
    if table.removed:
        say(f"            - {counted(table.removed, 'newer row')} removed")
        say_named([f"              - {', '.join(key)}" for key in table.removed_keys], table.removed, NAMED)
    if table.newer:
        say(f"            {counted(table.newer, 'newer row')} kept")
    if table.newer_values:
        say(f"            {counted(table.newer_values, 'value')} changed only after the accident: kept")


def _row(row: PutRow) -> str:
    values = first_of([f"{one.column} {short(one.now)} → {short(one.then)}" for one in row.values], NAMED)
    return f"            ~ {', '.join(row.key)}: {values}"


def short(value: str | None) -> str:
    """Return a value as a plan shows it: cut, NULL for None."""
    if value is None:
        return "NULL"
    return repr(value if len(value) <= _WIDTH else value[: _WIDTH - 1] + "…")


def _conflict(conflict: ValueConflict) -> str:
    mark, does = ("⚠️", " (left as it is)") if conflict.left else ("❌", "")
    row = f"{conflict.table}:{','.join(conflict.key)}" if conflict.key else conflict.table
    if conflict.column:
        then, after, now = map(short, (conflict.then, conflict.after, conflict.now))
        return f"{mark} {row}{does}: {conflict.column} was changed again since: {then}, then {after}, now {now}"
    return f"{mark} {row}{does}: {conflict.words}"
