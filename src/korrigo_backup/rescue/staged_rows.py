"""Rows of a backup in temporary tables of one session on the live database: nothing stays when the session ends.

For each table of the backup there are two: `then_N` holds all its rows, `gone_N` those whose key is not live any more,
with columns of our own: the number of the row, its mark (`RowMark`), the relation by which it was found, the round.
Rows whose live namesake may be overwritten count as deleted, too; `over_N` holds those live rows.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING

from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.server_error import NotPermitted
from korrigo_backup.postgres.session_settings import options
from korrigo_backup.postgres.site_path import explicit_type, site_path, use_own_path
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.saved_types import narrowed
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from korrigo_backup.postgres.client import Postgres, Session
    from korrigo_backup.postgres.dump.rows import TableText
    from korrigo_backup.postgres.tables import TableLayout
    from korrigo_backup.rescue.relations import RowRelation

LOCK_WAIT = "10s"
"""How long a rescue waits for a row or table that another session has locked: the site goes on serving meanwhile."""

SETTINGS = options({"client_encoding": "UTF8", "lock_timeout": LOCK_WAIT, "timezone": "UTC", "lc_monetary": "C"})
"""The zone, which is Django's own too, and the form of money are fixed: a later session compares the texts of values in
a record. The search path is the site's own until `use_own_path`."""

ROW, MARK, VIA, LEVEL, OVER = (identifier(f"korrigo_backup_{name}") for name in ("row", "mark", "via", "level", "over"))

_OWN_COLUMNS = f"row_number() OVER () AS {ROW}, NULL::smallint AS {MARK}, NULL::int AS {VIA}, NULL::int AS {LEVEL}"

_CHECK_ROLE = "SELECT to_json(has_database_privilege(current_database(), 'TEMP'))"


@dataclass(frozen=True)
class StagedTable:
    """A table of the backup: its live table, the columns that both have, the columns that the live table lacks.

    `new` are the columns that the backup does not have, `given` those of them that get a typed value. `overwrites`:
    some of its live rows may be overwritten. `key` are the columns by which a row is the same row; without a key in the
    database all columns are.
    """

    number: int
    live: TableLayout
    columns: tuple[str, ...]
    lost: tuple[str, ...]
    new: tuple[str, ...]
    overwrites: bool = False
    given: tuple[str, ...] = ()
    saved_types: Mapping[str, str] = field(default_factory=dict)
    """The saved type of each column whose live type may hold less: `then` has its text, too (`saved_text`)."""

    @property
    def over(self) -> str:
        """The temporary table of the live rows that may be overwritten."""
        return f"pg_temp.korrigo_backup_over_{self.number}"

    @property
    def then(self) -> str:
        """The temporary table of all rows."""
        return f"pg_temp.korrigo_backup_then_{self.number}"

    @property
    def gone(self) -> str:
        """The temporary table of the deleted rows."""
        return f"pg_temp.korrigo_backup_gone_{self.number}"

    @property
    def has_key(self) -> bool:
        """Whether a key of the live table is in the backup, too."""
        return bool(self.live.key) and set(self.live.key) <= set(self.columns)

    @property
    def key(self) -> tuple[str, ...]:
        """The columns that say which row it is."""
        return self.live.key if self.has_key else self.columns

    @property
    def written(self) -> tuple[str, ...]:
        """The columns of a row that comes back: those of the backup, and those with a typed value."""
        return (*self.columns, *self.given)

    @property
    def listed(self) -> str:
        """The columns of a statement."""
        return ", ".join(map(identifier, self.columns))

    def same(self, one: str, other: str) -> str:
        """Return the condition that two aliases are the same row."""
        if self.has_key:
            return " AND ".join(
                self.live.equal(name, *(f"{x}.{identifier(name)}" for x in (one, other))) for name in self.key
            )
        return f"{self.content(one)} = {self.content(other)}"

    def content(self, alias: str) -> str:
        """Return the expression of all columns of a row of the backup, as text."""
        return _row_text(self.columns, alias)

    def numbers(self, rows: str) -> str:
        """Return the query for the number of equal rows among some rows, by their content."""
        return f"SELECT {self.content('r')} AS content, count(*) AS number FROM {rows} r GROUP BY 1"

    def still_in(self, later: StagedTable) -> str:
        """Return the condition that a deleted row `g` is in a later backup; of equal rows those that it has."""
        if self.has_key:
            return f"EXISTS (SELECT FROM {later.then} t WHERE {self.same('g', 't')})"
        content = self.content("n")
        own = f"SELECT {ROW}, {content} AS content, row_number() OVER (PARTITION BY {content}) AS nth"
        return (
            f"g.{ROW} IN (SELECT x.{ROW} FROM ({own} FROM {self.gone} n) x JOIN ({self.numbers(self.then)}) s"
            f" USING (content) LEFT JOIN ({self.numbers(later.then)}) l USING (content)"
            " WHERE x.nth > s.number - coalesce(l.number, 0))"
        )

    @property
    def recorded(self) -> tuple[str, ...]:
        """The columns by whose content the undo knows a row again; without a key they are the key, too."""
        return self.written if self.has_key else self.columns

    def recorded_content(self, alias: str) -> str:
        """Return the expression of the columns `recorded`, as text."""
        return _row_text(self.recorded, alias)

    def written_content(self, alias: str) -> str:
        """Return the expression of all columns of a row that comes back, as text."""
        return _row_text(self.written, alias)

    def key_text(self, alias: str) -> str:
        """Return the expression of the values of the key, as an array of text."""
        return f"ARRAY[{', '.join(f'{alias}.{identifier(name)}::text' for name in self.key)}]::text[]"

    def saved_text(self, column: str) -> str:
        """Return the column of `then` with the text of the backup for a column of `saved_types`."""
        return identifier(f"korrigo_backup_saved_{self.columns.index(column)}")

    def name_text(self, alias: str) -> str:
        """Return the expression of the value by which people know the row, NULL if no column looks like it."""
        texts = [name for name in self.live.texts if name in self.columns and name not in self.key]
        named = next((name for name in _NAMES if name in texts), None)
        return f"left({alias}.{identifier(named)}, 60)" if named else "NULL::text"


def _row_text(columns: tuple[str, ...], alias: str) -> str:
    return f"ROW({', '.join(f'{alias}.{identifier(name)}' for name in columns)})::text"


_NAMES = ("name", "title", "label", "username", "code", "slug", "subject", "filename")
"""Columns by which people know a row, the best first."""


@dataclass
class StagedRows:
    """The tables of a backup that were staged in a session, by name; `live` are all tables of the database."""

    session: Session
    live: Mapping[str, TableLayout]
    tables: dict[str, StagedTable] = field(default_factory=dict)
    first: int = 1
    """The number of the first table: two sets of rows in a session have different numbers."""
    named: Collection[str] = ()
    """Tables that a person named. Others without a key have no deleted rows: a changed row would look like one."""
    overwritable: Mapping[str, str] = field(default_factory=dict)
    """The condition on the live rows of a table that may be overwritten, by its name."""

    def gone(self, relation: RowRelation) -> tuple[StagedTable, StagedTable] | None:
        """Return both tables of a relation, None if one of them is not staged or a column is not in the backup."""
        child, parent = self.tables.get(relation.table), self.tables.get(relation.to)
        if child is None or parent is None:
            return None
        known = set(relation.columns) | ({relation.type_column} if relation.generic else set())
        if not known <= set(child.columns) or not set(relation.to_columns) <= set(parent.columns):
            return None
        return child, parent

    def stage(self, text: TableText, live: TableLayout) -> None:
        """Load a table of the backup, and find its deleted rows; raises as `load`."""
        if (table := self.load(text, live)) is None:
            return
        over, others = "false", ""
        if table.overwrites:
            self.session.run(
                f"CREATE TEMP TABLE korrigo_backup_over_{table.number} AS SELECT {table.listed} FROM ONLY {live.sql}"
                f" WHERE {self.overwritable[live.name]}"
            )
            over = f"EXISTS (SELECT FROM {table.over} o WHERE {table.same('o', 't')})"
            other = f"{table.content('o')} <> {table.content('t')}"
            others = f" OR EXISTS (SELECT FROM {table.over} o WHERE {table.same('o', 't')} AND {other})"
        self.session.run(
            f"CREATE TEMP TABLE korrigo_backup_gone_{table.number} AS"
            f" SELECT {_OWN_COLUMNS}, {over} AS {OVER}, {', '.join(f't.{identifier(name)}' for name in table.columns)}"
            f" FROM {self._not_live(table)}{others}; ANALYZE {table.gone}"
        )

    def _not_live(self, table: StagedTable) -> str:
        """Return the FROM and WHERE of the rows, alias `t`, that are not live; of equal rows those that are too few."""
        if table.has_key:
            same = table.same("l", "t")
            return f"{table.then} t WHERE NOT EXISTS (SELECT FROM ONLY {table.live.sql} l WHERE {same})"
        if table.live.name not in self.named:
            return f"{table.then} t WHERE false"
        nth = f"row_number() OVER (PARTITION BY {table.content('t')}) AS korrigo_backup_nth"
        live = table.numbers(f"ONLY {table.live.sql}")
        return (
            f"(SELECT t.*, {nth} FROM {table.then} t) t LEFT JOIN ({live}) c ON c.content = {table.content('t')}"
            " WHERE t.korrigo_backup_nth > coalesce(c.number, 0)"
        )

    @phase("stage rows")
    def load(self, text: TableText, live: TableLayout) -> StagedTable | None:
        """Load a table of the backup; None if it has no column of the live table.

        Raises ProofFailed for rows that end in their middle, StatementFailed for a value that the live column does not
        take.
        """
        here = set(live.columns)
        columns = tuple(name for name in text.columns if name in here)
        if not columns:
            return None
        lost = tuple(name for name in text.columns if name not in here)
        new = tuple(name for name in live.columns if name not in text.columns)
        overwrites = live.name in self.overwritable
        types = narrowed(text.types, {name: live.types[name] for name in columns})
        number = len(self.tables) + self.first
        table = StagedTable(number, live, columns, lost, new, overwrites, saved_types=types)
        as_text = [*map(identifier, lost), *map(table.saved_text, types)]
        more = "".join(f"ALTER TABLE {table.then} ADD {name} text; " for name in as_text)
        self.session.run(
            f"CREATE TEMP TABLE korrigo_backup_then_{table.number} AS SELECT {table.listed} FROM ONLY"
            f" {live.sql} WITH NO DATA; {more}"
        )
        with site_path(self.session):  # the checks of domains
            self.session.feed(_copy(table, text))
            if types:
                values = (
                    f"{identifier(n)} = CAST({table.saved_text(n)} AS {explicit_type(live.types[n])})" for n in types
                )
                self.session.run(f"UPDATE {table.then} SET {', '.join(values)}")
        self.session.run(f"ANALYZE {table.then}")
        self.tables[live.name] = table
        return table

    def count(self, condition: str, table: StagedTable) -> int:
        """Return the number of deleted rows, alias `g`, for which a condition holds."""
        return self.session.ask(f"SELECT to_json(count(*)) FROM {table.gone} g WHERE {condition}", int)


@contextmanager
def rescue_session(server: Postgres) -> Iterator[Session]:
    """Yield a session on the live database that may make temporary tables; NotPermitted if its role may not.

    It finds names in pg_catalog alone; `site_path` and `in_steps` run the code of the site with the site's path.
    """
    with server.session(options=SETTINGS) as session:
        use_own_path(session)
        if not session.ask(_CHECK_ROLE, bool):
            raise NotPermitted(
                f"the site's role may not make temporary tables in {server.database}",
                hint=f"as a superuser: GRANT TEMPORARY ON DATABASE {identifier(server.database)} TO the site's role",
            )
        yield session


def _copy(table: StagedTable, text: TableText) -> Iterable[bytes]:
    columns = ", ".join(table.saved_text(n) if n in table.saved_types else identifier(n) for n in text.columns)
    head = f"COPY {table.then} ({columns}) FROM STDIN WITH (ENCODING {literal(text.encoding)});\n"
    return chain((head.encode(),), _plain(text), (b"\\.\n",))


def _plain(text: TableText) -> Iterator[bytes]:
    """Yield the rows; ProofFailed for text that psql would take for the end of the rows."""
    for block in text.blocks:
        if block.startswith(b"\\.") or b"\n\\." in block:
            raise ProofFailed(
                f"the rows of {text.table} hold a line that pg_dump does not write",
                hint="use another backup: korrigo-backup list",
            )
        yield block
