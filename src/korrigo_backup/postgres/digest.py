"""Row-level proof: the row count and digest of every table, taken in one snapshot.

The digest of a table is the sum, modulo 2^128, of a 64-bit hash of each row; it does not depend on the order of rows,
nor on the order of columns (which pg_dump may change below an inheritance parent). The hash of a row joins the hashes
of its values (`postgres/row_hash.py`). It finds damage and loss, not forgery: a forger could choose rows that match.

A dump holds no values of generated columns: the server computes them anew. They have a digest of their own, whose
difference is reported and never refuses a restore.

One file: the query of a digest and the rules that make two digests comparable belong together.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from korrigo_backup.artifact.manifest import LargeObjectsProof, SequenceProof, TableProof
from korrigo_backup.core.encodings import to_text
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.postgres.foreign_keys import foreign_keys
from korrigo_backup.postgres.row_hash import row_hash
from korrigo_backup.postgres.schema_details import COMPUTES, CONFIG_TABLES
from korrigo_backup.postgres.session_settings import PROVING
from korrigo_backup.postgres.site_path import role_path
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.system.progress import Unit, Work, under_way

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.postgres.client import Postgres, Session

T = TypeVar("T")

RULE = "values-hashed/sum-3"
"""Names the rule above in manifests; a change of the rule is a new name."""

WITH_GENERATED = "values-hashed/sum-2"
"""The rule of former versions: the values of generated columns count as rows."""

RULES = frozenset({RULE, WITH_GENERATED})

_MODULUS = 1 << 128

TOGETHER = 16
"""Tables read before their locks go back: a query locks a table with all its indexes, and the server has room for
`max_locks_per_transaction` (64) locks a connection."""

# Tables whose rows pg_dump writes: ordinary tables and leaf partitions, without tables of an extension or the system,
# and without the content of foreign tables; materialised views, whose rows are made anew on load; and the configuration
# tables of extensions.
_TABLES = f"""
WITH config AS ({CONFIG_TABLES})
SELECT coalesce(json_agg(json_build_object(
         'name', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
         'schema', n.nspname, 'table', c.relname, 'derived', c.relkind = 'm', 'condition', config.condition,
         'computes', {COMPUTES},
         'columns', (SELECT coalesce(json_agg(json_build_object(
                                                'name', a.attname, 'generated', a.attgenerated <> '',
                                                'stored', a.attgenerated <> 'v',
                                                'type', CASE WHEN a.atttypid < 10000 THEN a.atttypid::regtype::text END)
                                              ORDER BY a.attname COLLATE "C"), '[]')
                     FROM pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
       ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN config ON config.oid = c.oid
WHERE (c.relkind = 'r' OR (c.relkind = 'm' AND c.relispopulated))
  AND c.relpersistence <> 't'
  AND (config.oid IS NOT NULL
       OR n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
       AND NOT EXISTS (SELECT FROM pg_depend d
                       WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'))
"""

# The position of a used sequence is in the view. The view has no position for the others: `setval(…, false)` and
# `RESTART WITH` write a position that pg_dump saves, so each of them is read itself.
_SEQUENCES = """
SELECT coalesce(json_agg(json_build_object(
         'name', quote_ident(schemaname) || '.' || quote_ident(sequencename),
         'last_value', coalesce(last_value, 0), 'is_called', last_value IS NOT NULL)
       ORDER BY schemaname COLLATE "C", sequencename COLLATE "C"), '[]')
FROM pg_sequences
"""

_ONE_SEQUENCE = "SELECT {number} AS number, last_value, is_called FROM {name}"
_AT_ONCE = 50
"""Sequences that are read by a single query."""

# Read in pieces, because an object may be larger than a value can be; opened and not read from pg_largeobject, which
# only a superuser may see. 262144 is INV_READ, 2 SEEK_END. The size is a scalar subquery, not a LATERAL join:
# PostgreSQL 14 and newer would memoize that by the descriptor, which is 0 each time.
_LARGE_OBJECTS = """
SELECT json_build_array(count(DISTINCT p.oid),
         sum(hashtextextended(p.oid || ':' || p.n || ':' || md5(lo_get(p.oid, p.n * 1048576, 1048576)), 0))::text)
FROM (SELECT s.oid, generate_series(0, greatest(s.size - 1, 0) / 1048576) AS n
      FROM (SELECT m.oid, (SELECT lo_lseek64(o.fd, 0, 2) + 0 * lo_close(o.fd)
                           FROM (SELECT lo_open(m.oid, 262144) AS fd OFFSET 0) o) AS size
            FROM pg_largeobject_metadata m OFFSET 0) s) p
"""

_COUNT_LARGE_OBJECTS = "SELECT to_json(count(*)) FROM pg_largeobject_metadata"

_PATH = f"""
SELECT set_config('search_path', {role_path()}, true);
SELECT pg_catalog.to_json(pg_catalog.current_schemas(false));
SET LOCAL search_path = pg_catalog
"""

_VIEWS = """
SELECT coalesce(json_agg(quote_ident(n.nspname) || '.' || quote_ident(c.relname)), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'm'
"""

_FACTS = """
SELECT json_build_object('server_version', current_setting('server_version'),
                         'size', pg_database_size(current_database()), 'role', session_user,
                         'encoding', current_setting('server_encoding'))
"""

_HAS_MIGRATIONS = """
SELECT to_json(EXISTS (SELECT FROM pg_class WHERE oid = to_regclass('public.django_migrations') AND relkind = 'r'))
"""

_MIGRATIONS = """
SELECT coalesce(json_agg(app || '.' || name ORDER BY app COLLATE "C", name COLLATE "C"), '[]')
FROM public.django_migrations
"""


class Column(msgspec.Struct, frozen=True):
    """A column, with its type where that is built in. The value of a generated column is computed by the server.

    PostgreSQL 18 computes it at each reading where it is not `stored`.
    """

    name: str
    type: str | None
    generated: bool = False
    stored: bool = True


class Table(msgspec.Struct, frozen=True):
    """A table whose rows are proven.

    `name` is as pg_dump writes it; `columns` are in a fixed order. A dump does not hold the rows of a `derived` table
    (a materialised view): they are made anew. Of an extension's configuration table pg_dump writes the rows that fulfil
    `condition` (SQL that follows the table's name, perhaps empty); it is None for every other table. Where an index or
    a statistic `computes` an expression, a query of the table is planned with its functions.
    """

    name: str
    schema: str
    table: str
    derived: bool
    columns: tuple[Column, ...]
    condition: str | None = None
    computes: bool = False

    @property
    def source(self) -> str:
        """The text behind FROM for the rows that are proven; they are called `t`."""
        name = f"{identifier(self.schema)}.{identifier(self.table)}"
        return f"(SELECT * FROM {name} {self.condition}) t" if self.condition else f"ONLY {name} t"

    def hashed(self, rule: str) -> tuple[tuple[str, str | None], ...]:
        """Return the columns, with their types, whose values are rows by a rule."""
        return tuple((c.name, c.type) for c in self.columns if rule == WITH_GENERATED or not c.generated)

    @property
    def generated(self) -> tuple[tuple[str, str | None], ...]:
        """The columns whose values the server has computed and stored."""
        return tuple((c.name, c.type) for c in self.columns if c.generated and c.stored)


class DatabaseFacts(msgspec.Struct, frozen=True):
    """Facts about the server and the database.

    `size` is in bytes on the server's disk, `role` is our role, `encoding` is named as the server does.
    """

    server_version: str
    size: int
    role: str = ""
    encoding: str = ""


class Snapshot:
    """A moment of a database, seen through a session that keeps the snapshot open."""

    def __init__(self, session: Session, id_: str, search_path: tuple[str, ...] = ()) -> None:
        self._session = session
        self.id = id_
        self.search_path = search_path
        """The schemas where functions find names without a schema."""

    def facts(self) -> DatabaseFacts:
        """Return version and size."""
        return self._session.ask(_FACTS, DatabaseFacts)

    def tables(self) -> tuple[Table, ...]:
        """Return the tables to prove, in a fixed order."""
        found = self._session.ask(_TABLES, tuple[Table, ...])
        return tuple(replace(table, name=normal_name(table.name)) for table in found)

    def views(self) -> frozenset[str]:
        """Return the names of all materialised views."""
        return frozenset(normal_name(view) for view in self.ask(_VIEWS, frozenset[str]))

    def references(self) -> tuple[tuple[str, str, bool], ...]:
        """Return for each foreign key a table, the table that its rows refer to, and whether a deletion cascades."""
        return tuple((one.table, one.to, one.cascades) for one in foreign_keys(self._session))

    def sequences(self) -> tuple[SequenceProof, ...]:
        """Return the positions of all sequences, as pg_dump saves them.

        They are not part of a snapshot: this is their state now.
        """
        found = list(self._session.ask(_SEQUENCES, tuple[SequenceProof, ...]))
        unused = [number for number, one in enumerate(found) if not one.is_called]
        for start in range(0, len(unused), _AT_ONCE):
            parts = [
                _ONE_SEQUENCE.format(number=number, name=found[number].name)
                for number in unused[start : start + _AT_ONCE]
            ]
            asked = (
                f"SELECT json_agg(json_build_array(number, last_value, is_called)) FROM ({' UNION ALL '.join(parts)}) s"
            )
            with self.returning_locks():
                stand = self._session.ask(asked, list[tuple[int, int, bool]])
            for number, last_value, is_called in stand:
                found[number] = SequenceProof(found[number].name, last_value, is_called)
        return tuple(replace(one, name=normal_name(one.name)) for one in found)

    def prove(self, table: Table, *, rule: str | None = RULE) -> TableProof:
        """Return row count and the digest by a rule of a table; without a rule, the row count alone."""
        if rule is None:
            return TableProof(table.name, self._ask_of(table, "pg_catalog.count(*)", int))
        hashes = [row_hash(table.hashed(rule))]
        if rule != WITH_GENERATED and table.generated:
            hashes.append(row_hash(table.generated))
        sums = ", ".join(f"pg_catalog.sum({one})::text" for one in hashes)
        wanted = f"pg_catalog.json_build_array(pg_catalog.count(*)::text, {sums})"
        rows, *totals = self._ask_of(table, wanted, tuple[str | None, ...])
        digest, *generated = (f"{int(total or 0) % _MODULUS:032x}" for total in totals)
        return TableProof(table.name, int(rows or 0), digest, generated[0] if generated else UNSET)

    def _ask_of(self, table: Table, wanted: str, answer: type[T]) -> T:
        """Return `wanted` of a table's rows. The planner evaluates the expressions of its indexes in any query."""
        asked = f"SELECT {wanted} FROM {table.source}"
        if table.computes:
            asked = f"{self.with_functions}; {asked}; SET LOCAL search_path = pg_catalog"
        return self._session.ask(asked, answer)

    @property
    def with_functions(self) -> str:
        """The statement that lets functions find names without a schema, for the rest of a transaction."""
        return f"SET LOCAL search_path = {', '.join(identifier(one) for one in ('pg_catalog', *self.search_path))}"

    def planned(self, place: str) -> str:
        """Return statements after which a query of a table can be planned: the functions of its indexes are known."""
        return f"{self.with_functions}; SELECT FROM ONLY {place} LIMIT 0; SET LOCAL search_path = pg_catalog;"

    def large_objects(self, *, digest: bool = True) -> LargeObjectsProof:
        """Return number and, if wanted, digest of all large objects; without any, it costs a short query."""
        count = self._session.ask(_COUNT_LARGE_OBJECTS, int)
        if not digest or not count:
            return LargeObjectsProof(count, f"{0:032x}" if digest else None)
        count, total = self._session.ask(_LARGE_OBJECTS, tuple[int, str | None])
        return LargeObjectsProof(count, f"{int(total or 0) % _MODULUS:032x}")

    def ask(self, sql: str, answer: type[T]) -> T:
        """Return the answer to a query in this snapshot whose only value is JSON."""
        return self._session.ask(sql, answer)

    def run(self, sql: str) -> bytes:
        """Run statements in this snapshot and return their output."""
        return self._session.run(sql)

    def migrations(self) -> tuple[str, ...]:
        """Return Django's applied migrations as `app.name`, sorted; none where there is no such table.

        A view of that name is not read: it would run functions of its own, perhaps with a superuser's rights.
        """
        if not self.ask(_HAS_MIGRATIONS, bool):
            return ()
        return self.ask(_MIGRATIONS, tuple[str, ...])

    @contextmanager
    def returning_locks(self) -> Iterator[None]:
        """Give back the locks of the block at its end; the snapshot stays. Changes in the block are undone."""
        self._session.run("SAVEPOINT locks")
        yield
        self._session.run("ROLLBACK TO locks; RELEASE locks")

    def stream(self, sql: str) -> Iterator[bytes]:
        """Yield the lines that statements print in this snapshot; they must be read to the end."""
        return self._session.stream(sql)

    def abandon(self) -> None:
        """End the session from another thread; a question under way fails."""
        self._session.terminate()


@contextmanager
def snapshot(server: Postgres, *, database: str | None = None, search_path: tuple[str, ...] = ()) -> Iterator[Snapshot]:
    """Yield a snapshot of the database; it ends with the block.

    Row-level security is off: a role that may not see all rows gets an error, never a part of them. Functions find
    names without a schema in `search_path`, or else in the schemas of the role's own path.
    """
    with server.session(database=database) as session:
        session.adapt()
        begun = f"{PROVING} BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; {_PATH}; SELECT pg_export_snapshot()"
        *_, path, id_ = session.run(begun).splitlines()
        yield Snapshot(session, id_.decode(), search_path or msgspec.json.decode(to_text(path), type=tuple[str, ...]))


def prove_all(taken: Snapshot, *, rule: str | None = RULE) -> tuple[TableProof, ...]:
    """Return the proof of every table of a snapshot, by a rule; without a rule, by row counts."""
    tables, found = taken.tables(), []
    name = "computing the digests of tables" if rule else "counting the rows of tables"
    with under_way(Work(name=name, unit=Unit.TABLES, number=len(tables))) as work:
        for start in range(0, len(tables), TOGETHER):
            with taken.returning_locks():
                for table in tables[start : start + TOGETHER]:
                    work.item = table.name
                    found.append(taken.prove(table, rule=rule))
                    work.count += 1
    return tuple(found)


def known_rule(digest: str | None) -> str | None:
    """Return the rule by which a manifest's digests can be compared, None when there are none or it is not known."""
    return digest if digest in RULES else None
