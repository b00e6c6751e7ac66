"""A comparison, printed for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.cli.output import say, say_data, say_table
from korrigo_backup.compare.compare import read_state

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.compare.differences import Comparison, Counted, RowChange, TableDifference

USERS = "public.auth_user"
"""The table whose rows runbook 6.5 counts."""


def say_comparison(comparison: Comparison) -> None:
    """Print a comparison for people."""
    say(f"Comparing {comparison.saved}")
    say(f"     with {comparison.now}")
    if comparison.files:
        files = comparison.files
        _say_counted("+", "new", files.added)
        _say_counted("~", "changed", files.changed)
        _say_counted("-", "missing", files.removed)
        say(f"  files     {files.same} the same")
    if comparison.has_database:
        say(f"  tables    {len(comparison.tables)} differ, {comparison.same} are the same")
    if comparison.tables:
        header = ("  TABLE", "SAVED", "NOW", "ADDED", "CHANGED", "REMOVED")
        say_table(header, [_row(table) for table in comparison.tables], data={"  TABLE"})
    for table in comparison.tables:
        _say_rows(table)
    _say_surroundings(comparison)
    if not comparison.differences:
        say("✅ Identical")


def changes(rows: RowChange | None) -> tuple[str, str, str]:
    """Return added, changed, removed as cells of a table; `-` for unknown counts."""
    if rows is None:
        return "-", "-", "-"
    least = "" if rows.exact else "≥"
    return f"{least}{rows.added}", f"{least}{rows.changed}", f"{least}{rows.removed}"


def _row(table: TableDifference) -> tuple[str, ...]:
    counts = ("-" if rows is None else str(rows) for rows in (table.saved, table.now))
    return (f"  {table.name}", *counts, *changes(table.rows))


def _say_rows(table: TableDifference) -> None:
    rows = table.rows
    if rows is None or rows.nothing:
        return
    say(f"{table.name}")
    for mark, count, keys in (
        ("+", rows.added, rows.added_keys),
        ("~", rows.changed, rows.changed_keys),
        ("-", rows.removed, rows.removed_keys),
    ):
        for key in keys:
            say_data(f"  {mark} {key}")
        if count > len(keys) > 0:
            say(f"  {mark} … {'' if rows.exact else 'at least '}{count - len(keys)} more")
    for word, columns in (("new", rows.new_columns), ("lost", rows.lost_columns)):
        if columns:
            say(f"  {word} columns, left out of the comparison: {', '.join(columns)}")


def _say_surroundings(comparison: Comparison) -> None:
    if comparison.new_objects or comparison.lost_objects:
        say("schema")
    for mark, names in (("+", comparison.new_objects), ("-", comparison.lost_objects)):
        for name in names:
            say(f"  {mark} {name}")
    if comparison.sequences:
        say("sequences")
    for line in comparison.sequences:
        say(f"  ~ {line}")


def _say_counted(mark: str, word: str, names: Counted) -> None:
    for name in names.first:
        say_data(f"  {mark} {name}")
    if names.count:
        say(f"  files     {names.count} {word}")


def say_as_the_runbook(comparison: Comparison, file: Path) -> None:
    """Print the two lines that runbook 6.5 ends with."""
    saved = {table.name: table.rows for table in read_state(file).database.tables}
    users = next((table for table in comparison.tables if table.name == USERS), None)
    if users and users.saved != users.now:
        say(f"⚠️ User count differs: {users.saved}, now {users.now}")
    elif USERS in saved:
        say(f"✅ User count identical: {saved[USERS]}")
    structure = (*comparison.lost_objects, *comparison.new_objects)
    say(f"⚠️ Table structure differs: {', '.join(structure)}" if structure else "✅ Table structure identical")
