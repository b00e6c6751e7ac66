"""A plan that can be carried out; else the first conflict, with the choices that there are for it."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.errors import Refused
from korrigo_backup.rescue.objects import written_object
from korrigo_backup.rescue.steps.new_columns import options
from korrigo_backup.rescue.steps.rounded_values import require_held
from korrigo_backup.rescue.undelete_plan import ConflictKind

if TYPE_CHECKING:
    from korrigo_backup.rescue.undelete_plan import Conflict, UndeletePlan

_OTHER_VALUE = frozenset({ConflictKind.UNIQUE, ConflictKind.NOT_NULL, ConflictKind.CHECK, ConflictKind.PARENT})
"""Conflicts that another value of the column can end."""


def require_possible(plan: UndeletePlan) -> None:
    """Raise Refused for a plan with conflicts or findings at which the undelete stops, or without rows."""
    require_not_erased(plan)
    require_held(plan.findings)
    if bad := plan.refused:
        first, more = bad[0], _others(plan)
        of = f"a row of {first.table}" if first.table else "a file"
        raise Refused(
            f"the live site does not take {of}: {first.message}{more}",
            hint=_choices(plan, first),
            detail=first.detail,
            id_="undelete.conflict",
        )
    if not plan.count:
        if erased := next((one.message for one in plan.findings if one.id == "erasure.left_out"), ""):
            raise Refused(
                "no row is left to bring back",
                hint=f"{erased}: korrigo-backup forget --list",
                id_="undelete.nothing_left",
            )
        first = plan.conflicts[0]
        raise Refused(
            f"no row is left to bring back: {_named(first)}: {first.message}",
            hint=_choices(plan, first, skip=False),
            detail=first.detail,
            id_="undelete.nothing_left",
        )


def require_not_erased(plan: UndeletePlan) -> None:
    """Raise Refused for a plan with a row that was asked for by its name and was erased on request."""
    if first := next((one for one in plan.refused if one.kind is ConflictKind.ERASED), None):
        more = _others(plan)
        raise Refused(
            f"{written_object(first.table, first.key)} was erased on request, so it is not brought back{more}",
            hint="leave it out: korrigo-backup forget --list shows the ledger",
            id_="erasure.row",
        )


def _others(plan: UndeletePlan) -> str:
    bad = plan.refused
    return f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""


def _named(conflict: Conflict) -> str:
    return written_object(conflict.table, conflict.key) if conflict.key else conflict.table


def _choices(plan: UndeletePlan, conflict: Conflict, *, skip: bool = True) -> str:
    """Return the next steps for a conflict, the most fitting first; with `skip` that of leaving it out, too."""
    if conflict.kind is ConflictKind.FILE:
        return _overwriting("--overwrite-file", conflict.key[0], skip=skip)
    if conflict.kind is ConflictKind.KEY:
        return _overwriting("--overwrite", written_object(conflict.table, conflict.key), skip=skip)
    if conflict.kind in _OTHER_VALUE and len(conflict.columns) == 1:
        columns = [(conflict.table, conflict.columns[0])]
        if not conflict.key:  # all rows of the table, so those of other tables, too: one run names all values
            columns = [
                (one.table, one.columns[0]) for one in plan.conflicts if one.kind is conflict.kind and not one.key
            ]
        value = f"{'another value' if conflict.key else 'give them a value'}: {options(dict.fromkeys(columns))}"
        return f"{value}; or leave it out: --on-conflict skip" if skip else value
    if conflict.kind is ConflictKind.TRIGGER:
        switch = f"ALTER TABLE {conflict.table} DISABLE TRIGGER …"
        return f"switch the trigger off ({switch}), run it again, then switch it on (ENABLE TRIGGER …)"
    if not skip or not conflict.key:
        erased = conflict.kind is ConflictKind.ERASED
        return "it stays erased: korrigo-backup forget --list" if erased else "mend what is in the way, then run again"
    return "mend what is in the way, or leave it out with what needs it: --on-conflict skip"


def _overwriting(option: str, name: str, *, skip: bool) -> str:
    if skip:
        return f"make it that of the backup: {option} {quote(name)}; or leave it as it is: --on-conflict skip"
    return f"make it that of the backup: {option} {quote(name)}"
