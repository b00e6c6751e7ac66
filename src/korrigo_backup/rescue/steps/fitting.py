"""Tables of a backup that are loaded into the types of the live tables, or refused in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.counted import counted
from korrigo_backup.errors import Refused
from korrigo_backup.postgres.server_error import StatementFailed
from korrigo_backup.rescue.staged_rows import misfit
from korrigo_backup.rescue.steps.rounded_values import NARROWER, misfits

if TYPE_CHECKING:
    from korrigo_backup.postgres.dump.rows import TableText
    from korrigo_backup.postgres.tables import TableLayout
    from korrigo_backup.rescue.staged_rows import StagedRows


def stage_fitting(rows: StagedRows, live: TableLayout, text: TableText) -> None:
    """Stage a table. StatementFailed in words if its rows do not fit the live table, Refused if a key does not."""
    try:
        rows.stage(text, live)
    except StatementFailed as problem:
        raise misfit(problem, live.name) from None
    _require_keys(rows, live)


def load_fitting(rows: StagedRows, live: TableLayout, text: TableText) -> None:
    """Load a table without looking for deleted rows; raises as `stage_fitting`."""
    try:
        rows.load(text, live)
    except StatementFailed as problem:
        raise misfit(problem, live.name) from None
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
