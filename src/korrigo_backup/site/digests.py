"""Row-level proof: the row count and digest of every table, taken in one snapshot.

The digest of a table is the sum, modulo 2^128, of a 64-bit hash of each row; it does not depend on the order of
rows, nor on the order of columns (which pg_dump may change below an inheritance parent). The hash of a row joins
the hashes of its values (`site/rowhash.py`). It finds damage and loss, not forgery: a forger could choose rows that
match.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import msgspec
from msgspec.structs import replace

from korrigo_backup.domain.manifest import LargeObjectsProof, SequenceProof, TableProof
from korrigo_backup.domain.sqlname import normal_name
from korrigo_backup.site.rowhash import row_hash
from korrigo_backup.site.session_settings import PROVING
from korrigo_backup.site.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.site.postgres import Postgres, Session

T = TypeVar("T")

RULE = "values-hashed/sum-2"
"""Names the rule above in manifests; a change of the rule is a new name."""

_MODULUS = 1 << 128

_TOGETHER = 16
"""Tables read before their locks go back: a query locks a table with all its indexes, and the server has room for
`max_locks_per_transaction` (64) locks a connection."""

# Tables whose rows pg_dump writes: ordinary ones and leaf partitions, not what an extension or the system owns,
# nor the content of foreign tables; and materialised views, whose rows are made anew on load.
_TABLES = """
SELECT coalesce(json_agg(json_build_object(
         'name', quote_ident(n.nspname) || '.' || quote_ident(c.relname),
         'schema', n.nspname, 'table', c.relname, 'derived', c.relkind = 'm',
         'columns', (SELECT coalesce(json_agg(json_build_array(a.attname, CASE WHEN a.atttypid < 10000
                                                                              THEN a.atttypid::regtype::text END)
                                              ORDER BY a.attname COLLATE "C"), '[]')
                     FROM pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped))
       ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE (c.relkind = 'r' OR (c.relkind = 'm' AND c.relispopulated))
  AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""

_SEQUENCES = """
SELECT coalesce(json_agg(json_build_object(
         'name', quote_ident(schemaname) || '.' || quote_ident(sequencename),
         'last_value', coalesce(last_value, start_value), 'is_called', last_value IS NOT NULL)
       ORDER BY schemaname COLLATE "C", sequencename COLLATE "C"), '[]')
FROM pg_sequences
"""

# Read in pieces, because one may be larger than a value can be; opened and not read from pg_largeobject, which only a
# superuser may see. 262144 is INV_READ, 2 SEEK_END. The size is a scalar subquery, not a LATERAL join: PostgreSQL 14
# and newer would memoize that by the descriptor, which is 0 each time.
_LARGE_OBJECTS = """
SELECT json_build_array(count(DISTINCT p.oid),
         sum(hashtextextended(p.oid || ':' || p.n || ':' || md5(lo_get(p.oid, p.n * 1048576, 1048576)), 0))::text)
FROM (SELECT s.oid, generate_series(0, greatest(s.size - 1, 0) / 1048576) AS n
      FROM (SELECT m.oid, (SELECT lo_lseek64(o.fd, 0, 2) + 0 * lo_close(o.fd)
                           FROM (SELECT lo_open(m.oid, 262144) AS fd OFFSET 0) o) AS size
            FROM pg_largeobject_metadata m OFFSET 0) s) p
"""

_COUNT_LARGE_OBJECTS = "SELECT to_json(count(*)) FROM pg_largeobject_metadata"

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


class Table(msgspec.Struct, frozen=True):
    """A table whose rows are proven.

    `name` is as pg_dump writes it; `columns` are in a fixed order, each with its type where that is built in.
    The rows of a `derived` one (a materialised view) are not in a dump but made anew by it.
    """

    name: str
    schema: str
    table: str
    derived: bool
    columns: tuple[tuple[str, str | None], ...]


class Facts(msgspec.Struct, frozen=True):
    """Facts about the server and the database.

    `size` is in bytes on the server's disk, `role` is the one we log in as, `encoding` is named as the server does.
    """

    server_version: str
    size: int
    role: str = ""
    encoding: str = ""


class Snapshot:
    """One moment of a database, seen through a session that holds it."""

    def __init__(self, session: Session, id_: str) -> None:
        self._session = session
        self.id = id_

    def facts(self) -> Facts:
        """Return version and size."""
        return self._session.ask(_FACTS, Facts)

    def tables(self) -> tuple[Table, ...]:
        """Return the tables to prove, in a fixed order."""
        found = self._session.ask(_TABLES, tuple[Table, ...])
        return tuple(replace(table, name=normal_name(table.name)) for table in found)

    def sequences(self) -> tuple[SequenceProof, ...]:
        """Return the positions of all sequences. They are not part of a snapshot: this is their state now."""
        found = self._session.ask(_SEQUENCES, tuple[SequenceProof, ...])
        return tuple(replace(one, name=normal_name(one.name)) for one in found)

    def prove(self, table: Table, *, digest: bool = True) -> TableProof:
        """Return row count and, if wanted, digest of one table."""
        source = f"{identifier(table.schema)}.{identifier(table.table)}"
        if not digest:
            return TableProof(table.name, self._session.ask(f"SELECT count(*) FROM ONLY {source}", int))
        rows, total = self._session.ask(
            f"SELECT json_build_array(count(*), sum({row_hash(table.columns)})::text) FROM ONLY {source} t",
            tuple[int, str | None],
        )
        return TableProof(table.name, rows, f"{int(total or 0) % _MODULUS:032x}")

    def large_objects(self, *, digest: bool = True) -> LargeObjectsProof:
        """Return number and, if wanted, digest of all large objects; without any, it costs one short question."""
        count = self._session.ask(_COUNT_LARGE_OBJECTS, int)
        if not digest or not count:
            return LargeObjectsProof(count, f"{0:032x}" if digest else None)
        count, total = self._session.ask(_LARGE_OBJECTS, tuple[int, str | None])
        return LargeObjectsProof(count, f"{int(total or 0) % _MODULUS:032x}")

    def ask(self, sql: str, answer: type[T]) -> T:
        """Return the answer to a query in this snapshot whose one value is JSON."""
        return self._session.ask(sql, answer)

    def run(self, sql: str) -> bytes:
        """Run statements in this snapshot and return what they print."""
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
        """Give the locks that the block takes back at its end; the snapshot stays. What it changes is undone."""
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
def snapshot(server: Postgres, *, database: str | None = None) -> Iterator[Snapshot]:
    """Yield a snapshot of the database; it ends with the block.

    Row-level security is off: a role that may not see all rows gets an error, never a part of them.
    """
    with server.session(database=database) as session:
        session.run(f"{PROVING} BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        session.adapt()
        yield Snapshot(session, session.run("SELECT pg_export_snapshot()").decode().strip())


def prove_all(taken: Snapshot, *, digest: bool = True) -> tuple[TableProof, ...]:
    """Return the proof of every table of a snapshot."""
    tables, found = taken.tables(), []
    for start in range(0, len(tables), _TOGETHER):
        with taken.returning_locks():
            found += [taken.prove(table, digest=digest) for table in tables[start : start + _TOGETHER]]
    return tuple(found)
