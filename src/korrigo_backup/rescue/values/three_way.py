"""The decision on one value of a row: as it was then, after the accident, and now; without input or output.

The server decides, for all rows at once. Values are compared as text: types such as json have no equality of their own,
and 1.0 is not the 1.00 that was saved.
"""

from __future__ import annotations

from enum import StrEnum

from korrigo_backup.postgres.sql import identifier


class ValueVerdict(StrEnum):
    """The verdict on a value; the letter stands for it in the text of all verdicts of a row."""

    SAME = "="
    """It is as it was then."""
    PUT_BACK = "p"
    """It is as the accident has left it, and gets the value of then."""
    NEWER = "n"
    """The accident has not touched it, somebody changed it afterwards: it stays."""
    AGAIN = "a"
    """The accident has changed it, and somebody since: it stays, and is a conflict."""


def verdict(column: str, *, then: str, now: str, after: str | None) -> str:
    """Return the expression of SQL for the verdict on a column; `then`, `now` and `after` are aliases of the rows.

    `after` is None if no backup was made between the accident and now: then every other value is put back. The row of
    `after` is left joined, and has a column `korrigo_backup_here`, which is NULL if that backup lacks the row.
    """
    name = identifier(column)
    same = _equal(f"{now}.{name}", f"{then}.{name}")
    if after is None:
        return f"CASE WHEN {same} THEN '{ValueVerdict.SAME}' ELSE '{ValueVerdict.PUT_BACK}' END"
    here = f"{after}.{HERE} IS NOT NULL"
    return (
        f"CASE WHEN {same} THEN '{ValueVerdict.SAME}'"
        f" WHEN {here} AND {_equal(f'{now}.{name}', f'{after}.{name}')} THEN '{ValueVerdict.PUT_BACK}'"
        f" WHEN {here} AND {_equal(f'{after}.{name}', f'{then}.{name}')} THEN '{ValueVerdict.NEWER}'"
        f" ELSE '{ValueVerdict.AGAIN}' END"
    )


HERE = identifier("korrigo_backup_here")
"""The column that is not NULL in a row that a left join has found."""


def _equal(one: str, other: str) -> str:
    return f"CAST({one} AS text) IS NOT DISTINCT FROM CAST({other} AS text)"
