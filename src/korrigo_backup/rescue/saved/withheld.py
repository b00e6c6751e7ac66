"""Rows of a backup that nobody is shown: those erased on request, and those that a restore would erase with them.

Nothing is loaded. The tables through which a table hangs on erased rows are read, as often as new erased rows are found
in them; memory grows with the number of erased rows alone. A reference to an erased row, which a restore would empty,
is hidden.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.erasure.entry import OnDelete, Subject
from korrigo_backup.erasure.erased import ErasedKeys, erased_keys
from korrigo_backup.erasure.references import Fate, fate, read_references
from korrigo_backup.errors import Refused, Unreachable
from korrigo_backup.postgres.session_settings import PROVING
from korrigo_backup.postgres.tables import read_tables
from korrigo_backup.site.erasures import entries_about, ledger_keys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.site.site import Site

    Cells = Mapping[str, bytes]
    """The cells of a row by column, as COPY writes them in UTF-8."""

    Scan = Callable[[Collection[str]], Iterator[tuple[str, Cells]]]
    """Yields the rows of some tables of a backup, each with the name of its table."""

CONTENT_TYPES = "public.django_content_type"


@dataclass(frozen=True)
class Tie:
    """Rows of `table` refer with `columns` to rows of `to`; they are erased with them, or their reference is emptied.

    `is_one_object`: both rows are one (multi-table inheritance). In a generic relation `type_column` must name the
    `content_type`.
    """

    table: str
    columns: tuple[str, ...]
    to: str
    to_columns: tuple[str, ...]
    is_emptied: bool = False
    is_one_object: bool = False
    type_column: str = ""
    content_type: tuple[str, str] = ("", "")


@dataclass
class WithheldRows:
    """The erased rows of a backup, as far as the rows of `table` hang on them. `count` is the number of its own."""

    table: str
    erased: ErasedKeys
    ties: tuple[Tie, ...]
    count: int = 0
    _gone: dict[tuple[str, tuple[str, ...]], set[tuple[bytes, ...]]] = field(default_factory=dict)
    _types: dict[tuple[str, str], set[bytes]] = field(default_factory=dict)
    _is_hashed: bool = False

    @property
    def tables(self) -> frozenset[str]:
        """The tables that are read: those between an erased row and a row of the table; none if there is no way."""
        up = _reached({self.table}, [(one.table, one.to) for one in self.ties] + self._links())
        down = _reached(
            set(self.erased.tables), [(one.to, one.table) for one in self.ties if not one.is_emptied] + self._links()
        )
        between = up & down
        return frozenset({*between, self.table}) if between else frozenset()

    def _links(self) -> list[tuple[str, str]]:
        """Return the pairs of tables whose rows are one object, both ways."""
        one_object = [one for one in self.ties if one.is_one_object]
        return [pair for one in one_object for pair in ((one.table, one.to), (one.to, one.table))]

    def close(self, scan: Scan) -> None:
        """Find the erased rows, by reading the tables until no more are found."""
        tables = self.tables
        if any(one.type_column and one.table in tables for one in self.ties):
            for one in self.ties:
                self.know_type(one.content_type, natural_type(*one.content_type))
            for _, row in scan({CONTENT_TYPES}):
                self.know_type((_text(row, "app_label"), _text(row, "model")), row.get("id", b""))
        asked = {(one.to, one.to_columns) for one in self.ties if not one.is_emptied and {one.table, one.to} <= tables}
        while True:
            before, self.count = self._known(asked), 0
            for name, row in scan(tables):
                if self.is_erased(name, row):
                    self._note(name, row)
                    self.count += name == self.table
            self._is_hashed = True
            if self._known(asked) == before:
                return

    def know_type(self, content_type: tuple[str, str], cell: bytes) -> None:
        """Note how the rows of the backup name a content type."""
        self._types.setdefault(content_type, set()).add(cell)

    def is_erased(self, table: str, row: Cells) -> bool:
        """Return whether a row of one of the tables is not shown."""
        for (name, columns), gone in self._gone.items():
            if name == table and _values(row, columns) in gone:
                return True
        if not self._is_hashed and self.erased.holds(table, row):
            return True
        return any(self._refers(one, row) for one in self.ties if one.table == table and not one.is_emptied)

    def emptied(self, row: Cells) -> tuple[str, ...]:
        """Return the columns of a row of the table whose values name an erased row."""
        ties = (one for one in self.ties if one.table == self.table and one.is_emptied)
        return tuple(name for one in ties if self._refers(one, row) for name in one.columns)

    def _known(self, places: Collection[tuple[str, tuple[str, ...]]]) -> int:
        """Return how many erased rows are known by the columns by which rows of the tables name them."""
        return sum(len(self._gone.get(place, ())) for place in places)

    def _refers(self, tie: Tie, row: Cells) -> bool:
        gone = self._gone.get((tie.to, tie.to_columns))
        if not gone or _values(row, tie.columns) not in gone:
            return False
        return not tie.type_column or row.get(tie.type_column) in self._types.get(tie.content_type, ())

    def _note(self, table: str, row: Cells) -> None:
        """Note an erased row by each set of columns by which another row may name it."""
        keys = {(table, columns): columns for columns in self.erased.tables.get(table, ())}
        keys |= {(table, one.to_columns): one.to_columns for one in self.ties if one.to == table}
        keys |= {(one.to, one.to_columns): one.columns for one in self.ties if one.table == table and one.is_one_object}
        for place, columns in keys.items():
            if (values := _values(row, columns)) is not None:
                self._gone.setdefault(place, set()).add(values)


def _values(row: Cells, columns: tuple[str, ...]) -> tuple[bytes, ...] | None:
    """Return the cells of some columns; None if one is missing or NULL."""
    values = tuple(row.get(name, _NULL) for name in columns)
    return None if _NULL in values else values


_NULL = rb"\N"


def _text(row: Cells, column: str) -> str:
    return row.get(column, b"").decode(errors="replace")


def _reached(start: set[str], ways: Iterable[tuple[str, str]]) -> set[str]:
    found, ways = set(start), list(ways)
    while more := {to for table, to in ways if table in found} - found:
        found |= more
    return found


def erased_row(name: str) -> Refused:
    """Return the error about a row that was erased on request."""
    return Refused(
        f"{name} was erased on request: what the backups still have of it is not shown",
        hint="korrigo-backup forget --list shows the ledger",
        id_="erasure.row",
    )


def withheld_rows(site: Site, artifact: Artifact, table: str, scan: Scan) -> WithheldRows | None:
    """Return the rows of a table of an artifact that are not shown, None if none can be among them.

    Raises UnreadableLedger.
    """
    entries = entries_about(site, artifact)
    if not any(one.subject is Subject.ROW for one in entries):
        return None
    found = WithheldRows(table, erased_keys(entries, ledger_keys(site)), _ties(site, entries))
    if not found.tables:
        return None
    found.close(scan)
    return found


def _ties(site: Site, entries: tuple[Entry, ...]) -> tuple[Tie, ...]:
    """Return the references of the live database and of the site's code; without the database those of the code."""
    links = {(one.table, one.columns, one.to, one.content_type): one for entry in entries for one in entry.links}
    of_code = [
        Tie(
            link.table,
            link.columns,
            link.to,
            link.to_columns,
            is_emptied=decided is Fate.EMPTIED,
            is_one_object=link.parent_link,
            type_column=link.type_column,
            content_type=link.content_type,
        )
        for link in links.values()
        if (decided := _fate(link.rule)) is not Fate.LEFT or link.parent_link
    ]
    try:
        with site.postgres.session() as session:
            session.run(PROVING)
            session.adapt()
            held = read_references(session, read_tables(session), entries)
    except Unreachable:
        return tuple(of_code)
    of_database = [
        Tie(
            one.table.name,
            one.columns,
            one.to.name,
            one.to_columns,
            is_emptied=one.fate is Fate.EMPTIED or (one.fate is Fate.SERVER and bool(one.emptied)),
            is_one_object=one.parent_link,
        )
        for one in held
        if one.fate is not Fate.LEFT and not one.type_column
    ]
    known = {(one.table, one.columns, one.to) for one in of_database}
    return (*of_database, *(one for one in of_code if one.type_column or (one.table, one.columns, one.to) not in known))


def _fate(rule: str) -> Fate:
    """Return the fate of a row by a rule of the site's code alone: a column that must have a value is not known."""
    return fate(rule, "", can_be_empty=rule not in {OnDelete.SET, OnDelete.SET_DEFAULT})


def natural_type(app: str, model: str) -> bytes:
    """Return a content type as a Django backup names it."""
    return msgspec.json.encode([app, model])
