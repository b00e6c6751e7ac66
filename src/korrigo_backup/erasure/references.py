"""The references between the tables of a database, and the fate of a row whose reference is erased.

The rule of the site's code at the time of the erasure decides. Where no entry has a rule, the database's own action
decides; where it has none either, the row is erased, too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import TYPE_CHECKING

from korrigo_backup.erasure.entry import OnDelete
from korrigo_backup.postgres.foreign_keys import foreign_keys, live_content_types
from korrigo_backup.postgres.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from korrigo_backup.erasure.entry import Entry, Link
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.tables import TableLayout


class Fate(Enum):
    """The fate of a row that refers to an erased row."""

    ERASED = auto()
    EMPTIED = auto()
    """Its reference is emptied."""
    SERVER = auto()
    """The database does what its foreign key says."""
    FORBIDDEN = auto()
    """The erasure stops unless the row is erased for another reason."""
    LEFT = auto()


@dataclass(frozen=True)
class LoadedReference:
    """Rows of `table` refer with `columns` to rows of `to`; `operators` compare both, "" as text."""

    table: TableLayout
    columns: tuple[str, ...]
    to: TableLayout
    to_columns: tuple[str, ...]
    operators: tuple[str, ...]
    fate: Fate
    parent_link: bool = False
    type_column: str = ""
    content_type: int = 0

    @property
    def name(self) -> str:
        """The reference as a person writes it."""
        return f"{self.table.name}({', '.join(self.columns)})"

    @property
    def emptied(self) -> tuple[str, ...]:
        """The columns that become NULL when the reference is emptied."""
        return tuple(name for name in self.columns if name in self.table.nullable)

    def joins(self, child: str, parent: str) -> str:
        """Return the condition that the row `child` refers to the row `parent`."""
        pairs = zip(map(identifier, self.columns), map(identifier, self.to_columns), self.operators, strict=True)
        parts = [
            f"{parent}.{theirs} OPERATOR({equal}) {child}.{mine}"
            if equal
            else f"{parent}.{theirs}::text = {child}.{mine}::text"
            for mine, theirs, equal in pairs
        ]
        if self.type_column:
            parts.append(f"{child}.{identifier(self.type_column)} = {self.content_type}")
        return " AND ".join(parts)


def read_references(
    session: Session,
    tables: Mapping[str, TableLayout],
    entries: Iterable[Entry],
    *,
    live: Mapping[str, TableLayout] | None = None,
) -> tuple[LoadedReference, ...]:
    """Return every reference, held by the database or named by an entry; of two rules the newer decides.

    With `live`, all tables of the database, `tables` are copies of some, whose content types are those of the database.
    """
    links = {(one.table, one.columns, one.to, one.content_type): one for entry in entries for one in entry.links}
    found = []
    for key in foreign_keys(session):
        table, to = key.table, key.to
        if key.inherited or table not in tables or to not in tables:
            continue
        if not set(key.columns) <= tables[table].all_columns or not set(key.to_columns) <= tables[to].all_columns:
            continue
        link = links.pop((table, key.columns, to, ("", "")), None)
        made = LoadedReference(tables[table], key.columns, tables[to], key.to_columns, key.operators, Fate.ERASED)
        found.append(_decided(made, link, key.action))
    types = live_content_types(session, live or tables) if any(link.type_column for link in links.values()) else {}
    return (*found, *_of_code(links.values(), tables, types))


def _of_code(
    links: Iterable[Link], tables: Mapping[str, TableLayout], types: Mapping[tuple[str, str], int]
) -> Iterable[LoadedReference]:
    """Yield the references that only the site's code knows, as far as their tables and columns are there."""
    for link in links:
        table, to = tables.get(link.table), tables.get(link.to)
        if table is None or to is None or not set(link.to_columns) <= to.all_columns:
            continue
        if not {*link.columns, *filter(None, (link.type_column,))} <= table.all_columns:
            continue
        number = types.get(link.content_type, 0)
        if link.type_column and not number:
            continue
        as_text = ("",) * len(link.columns)
        made = LoadedReference(table, link.columns, to, link.to_columns, as_text, Fate.LEFT)
        yield _decided(replace(made, type_column=link.type_column, content_type=number), link, "")


def _decided(one: LoadedReference, link: Link | None, action: str) -> LoadedReference:
    if link is None:
        return replace(one, fate=fate("", action, can_be_empty=bool(one.emptied)))
    decided = fate(link.rule, action, can_be_empty=bool(one.emptied))
    return replace(one, fate=Fate.ERASED if link.parent_link else decided, parent_link=link.parent_link)


def fate(rule: str, action: str, *, can_be_empty: bool) -> Fate:
    """Return the fate of a row that refers to an erased row.

    `rule` is Django's, "" if it is not known. `action` is the letter of the foreign key's ON DELETE, "" without a
    foreign key.
    """
    empties = Fate.EMPTIED if can_be_empty else Fate.ERASED
    by_rule = {
        OnDelete.CASCADE: Fate.ERASED,
        OnDelete.SET_NULL: empties,
        OnDelete.SET_DEFAULT: empties,
        OnDelete.SET: empties,
        OnDelete.PROTECT: Fate.FORBIDDEN,
        OnDelete.RESTRICT: Fate.FORBIDDEN,
    }
    by_action = {"n": Fate.SERVER, "d": Fate.SERVER, "r": Fate.FORBIDDEN, "c": Fate.ERASED}
    if rule in by_rule:
        return by_rule[OnDelete(rule)]
    if rule == OnDelete.DO_NOTHING and action not in by_action:
        return empties if action else Fate.LEFT
    return by_action.get(action, empties)
