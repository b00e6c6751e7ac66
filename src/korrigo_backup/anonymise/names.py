"""The tables and columns that the rules name, looked up before anything is loaded or changed."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Protocol, TypeVar

from korrigo_backup.anonymise.rules import EMPTIED
from korrigo_backup.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from korrigo_backup.anonymise.rules import Rules
    from korrigo_backup.postgres.dump.tables import DumpedTable


class RulesTable(Protocol):
    """A table of a dump or of a loaded copy."""

    @property
    def schema(self) -> str:
        """The name of its schema."""

    @property
    def table(self) -> str:
        """Its own name."""

    @property
    def name(self) -> str:
        """The name for people: without the schema `public`."""


T = TypeVar("T", bound=RulesTable)


def meant_table(wanted: str, tables: Sequence[T], where: str) -> T:
    """Return the table that a rule names. Raises UsageError, with near names, if `where` has none."""
    found = [one for one in tables if wanted in {one.name, one.table, f"{one.schema}.{one.table}"}]
    if not found:
        hint = near_names(wanted, [one.name for one in tables], f"write the names that {where} has")
        raise UsageError(f"{where} has no table {wanted!r}", hint=hint)
    return next((one for one in found if one.schema == "public"), found[0])


def require_column(table: RulesTable, name: str, columns: Iterable[str]) -> None:
    """Raise UsageError, with near names, for a column that a table does not have."""
    columns = tuple(columns)
    if name not in columns:
        hint = near_names(name, columns, f"write a column of {table.name}: {', '.join(columns[:10])}")
        raise UsageError(f"table {table.name} has no column {name!r}", hint=hint)


def near_names(name: str, names: Iterable[str], otherwise: str) -> str:
    """Return the hint that asks whether a near name is meant, `otherwise` if none is near."""
    near = get_close_matches(name, tuple(names), 3)
    return f"is {' or '.join(near)} meant?" if near else otherwise


def require_names(rules: Rules, tables: Sequence[DumpedTable], dump: str) -> None:
    """Raise UsageError for a table or column of the rules, of `empty` or of `accept` that a dump does not have."""
    for wanted, columns in rules.columns.items():
        table = meant_table(wanted, tables, dump)
        for column in columns if table.columns is not None else ():
            require_column(table, column, table.columns or ())
    for wanted in rules.empty:
        if wanted not in EMPTIED:
            meant_table(wanted, tables, dump)
    for wanted in rules.accept:
        name, _, column = wanted.rpartition(".")
        if not name:
            raise UsageError(f"accept: {wanted!r} is no column", hint="write TABLE.COLUMN")
        table = meant_table(name, tables, dump)
        if table.columns is not None:
            require_column(table, column, table.columns)
