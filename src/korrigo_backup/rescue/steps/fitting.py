"""Tables of a backup that are loaded into the types of the live tables, or refused in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.counted import counted
from korrigo_backup.errors import KorrigoBackupError, Refused
from korrigo_backup.postgres.server_error import StatementFailed
from korrigo_backup.rescue.steps.rounded_values import NARROWER, misfits

if TYPE_CHECKING:
    from korrigo_backup.postgres.dump.rows import TableText
    from korrigo_backup.postgres.tables import TableLayout
    from korrigo_backup.rescue.staged_rows import StagedRows


class Misfit(Refused):
    """Rows of the backup have values that a live column does not take any more."""

    id = "server.statement"


_OF_VALUES = frozenset({"22", "23", "P0"})
"""SQLSTATE classes of a value that a type, a domain or its function does not take."""


def _misfit(problem: StatementFailed, table: str) -> KorrigoBackupError:
    """Return the error for rows of the backup that a live table does not take; another problem is returned as it is."""
    if problem.server.sqlclass not in _OF_VALUES:
        return problem
    return Misfit(
        f"the rows of {table} in the backup do not fit the live table: {problem.message}",
        hint="a column has another type now, or its type takes other values (an enum whose value was renamed):"
        " take that change back first, or restore the point",
        detail=problem.detail,
    )


def stage_fitting(rows: StagedRows, live: TableLayout, text: TableText) -> None:
    """Stage a table. Misfit if its rows do not fit the live table, Refused if a key does not."""
    try:
        rows.stage(text, live)
    except StatementFailed as problem:
        raise _misfit(problem, live.name) from None
    _require_keys(rows, live)


def load_fitting(rows: StagedRows, live: TableLayout, text: TableText) -> None:
    """Load a table without looking for deleted rows; raises as `stage_fitting`."""
    try:
        rows.load(text, live)
    except StatementFailed as problem:
        raise _misfit(problem, live.name) from None
    _require_keys(rows, live)


def _require_keys(rows: StagedRows, live: TableLayout) -> None:
    """Raise Refused if a key of the backup is another key in the live type: it would be that of another row."""
    table = rows.tables.get(live.name)
    for column in table.key if table and table.has_key else ():
        if table is None or (saved := table.saved_types.get(column)) is None:
            continue
        count, _ = misfits(rows.session, table, column, saved, "true")
        if count:
            raise Refused(
                f"{live.name}.{column} was {saved} in the backup, and is {live.types[column]}: {counted(count, 'key')}"
                " of the backup would be that of another row",
                hint="give the column its former type first, or restore the point",
                id_=NARROWER,
            )
