"""The `sql` kind: a plain pg_dump, gzip, with row counts and digests of the very snapshot that was dumped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from korrigo_backup.artifact.manifest import DatabaseProof
from korrigo_backup.core.encodings import dump_encoding
from korrigo_backup.errors import KorrigoBackupError, ProofFailed, Refused
from korrigo_backup.postgres.difference import some
from korrigo_backup.postgres.digest import RULE, Snapshot, prove_all, snapshot
from korrigo_backup.postgres.dump.scan import DumpScanner, ScanResult
from korrigo_backup.postgres.properties import read_properties, read_roles, read_tablespaces
from korrigo_backup.postgres.schema import fingerprint, not_dumped
from korrigo_backup.postgres.server_error import left_out_subscriptions
from korrigo_backup.postgres.session_settings import DUMPING, LOCK_WAIT
from korrigo_backup.system.blocks import Effort
from korrigo_backup.system.files import CHUNK
from korrigo_backup.system.progress import Unit, Work, reading, under_way
from korrigo_backup.system.streams import ByteSource, GzipWriter, HashingReader, HashingWriter, gunzip
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from concurrent.futures import Future

    from korrigo_backup.artifact.manifest import SchemaObject, TableProof
    from korrigo_backup.artifact.properties import Properties, RoleProof
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.postgres.digest import DatabaseFacts, Table

EFFORT = {True: Effort.SMALL, False: Effort.QUICK}
"""With digests, a backup is as small as gzip's; without (in a hurry), it is a few percent larger."""


@dataclass(frozen=True)
class CheckedDump:
    """The result of reading a whole dump: its content, and size and SHA-256 of the file as it was read."""

    scan: ScanResult
    size: int
    sha256: str


@dataclass(frozen=True)
class _SnapshotFacts:
    """The facts of a snapshot besides its rows."""

    facts: DatabaseFacts
    schema: tuple[SchemaObject, ...]
    left_out: tuple[str, ...]
    properties: Properties
    roles: tuple[RoleProof, ...]
    tablespaces: tuple[str, ...]
    migrations: tuple[str, ...]
    tables: tuple[Table, ...]


def create(
    server: Postgres,
    target: HashingWriter,
    *,
    database: str | None = None,
    digest: bool = True,
    observe: Callable[[Snapshot], None] | None = None,
    expected: int | None = None,
) -> DatabaseProof:
    """Dump a database into `target` and return the proof of its content; `observe` sees the same snapshot.

    `expected` are the bytes that `target` will probably get, for the display of progress. Raises
    ProofFailed if the rows in the dump are not those of the snapshot, or the dump has no end mark, even if pg_dump
    exits with 0.
    """
    name = database or server.database
    with snapshot(server, database=name) as taken, ThreadPoolExecutor(1) as pool:
        known = _snapshot_facts(taken)
        derived = {table.name for table in known.tables if table.derived}
        rule = RULE if digest else None
        proving = pool.submit(prove_all, taken, rule=rule)
        try:
            work = _work(target, expected, len(known.tables) - len(derived))
            scan = _dump(server, taken, GzipWriter(target, EFFORT[digest]), name, known.facts, work)
            with phase("digests, after the dump"):
                tables = proving.result()
                large_objects = taken.large_objects(digest=digest)
                if observe:
                    observe(taken)
        except KorrigoBackupError as problem:
            cause = _first_to_fail(problem, proving)
            taken.abandon()
            raise cause from None
        except BaseException:
            taken.abandon()
            raise
    _agree(scan, [table for table in tables if table.name not in derived])
    return DatabaseProof(
        name=name,
        server_version=known.facts.server_version,
        client_version=scan.client_version or "",
        digest=rule,
        tables=tables,
        sequences=tuple(scan.sequences[name] for name in sorted(scan.sequences)),
        schema=known.schema,
        large_objects=large_objects,
        size=known.facts.size,
        migrations=known.migrations,
        left_out=known.left_out,
        search_path=taken.search_path,
        properties=known.properties,
        roles=known.roles,
        tablespaces=known.tablespaces,
    )


@phase("snapshot and its facts")
def _snapshot_facts(taken: Snapshot) -> _SnapshotFacts:
    facts = taken.facts()
    with taken.returning_locks():
        schema, left_out = fingerprint(taken), not_dumped(taken)
        properties, roles, tablespaces = read_properties(taken), read_roles(taken), read_tablespaces(taken)
    return _SnapshotFacts(facts, schema, left_out, properties, roles, tablespaces, taken.migrations(), taken.tables())


def check(file: IO[bytes], source: str) -> CheckedDump:
    """Read a whole dump and return its content; `file` is left at its start.

    Raises ProofFailed if it is not gzip, is cut or damaged, is not a complete pg_dump, or contains text that psql must
    not be given.
    """
    reader, scanner = HashingReader(file), DumpScanner(source)
    with reading("reading the dump", file) as work:
        for piece in gunzip(reader, source):
            scanner.feed(piece)
            work.item = scanner.target
    file.seek(0)
    return CheckedDump(scanner.finish(), reader.size, reader.sha256)


def read_back(file: ByteSource, source: str) -> str:
    """Read a dump that is being or was just written, against its gzip checksums, and return the SHA-256 of the file.

    Its text was scanned on its way into the compressor, whose checksums are of those very bytes. Raises ProofFailed if
    they do not match.
    """
    reader = HashingReader(file)
    for _ in gunzip(reader, source):
        pass
    return reader.sha256


def _work(target: HashingWriter, expected: int | None, tables: int) -> Work:
    """Return the work of a dump: bytes of the compressed file, and tables."""

    def look(work: Work) -> None:
        work.size = target.size

    return Work(
        name="dumping the database", whole=expected, is_estimate=True, unit=Unit.TABLES, number=tables, look=look
    )


@phase("dump")
def _dump(
    server: Postgres, taken: Snapshot, target: GzipWriter, database: str, facts: DatabaseFacts, work: Work
) -> ScanResult:
    arguments = (
        "--format=plain",
        "--no-password",
        f"--lock-wait-timeout={LOCK_WAIT}",
        f"--snapshot={taken.id}",
        f"--encoding={dump_encoding(facts.encoding)}",  # no conversion, so no character that cannot be converted
        f"--role={facts.role}",  # regardless of the role that `ALTER ROLE … SET role` gives to new sessions
    )
    scanner = DumpScanner("the dump")
    with (
        under_way(work),
        target as gzip,
        server.watched("pg_dump", *arguments, database=database, options=DUMPING) as pg_dump,
    ):
        while piece := pg_dump.read(CHUNK):
            scanner.feed(piece)
            gzip.write(piece)
            work.item, work.count = scanner.target, len(scanner.result.rows)
        pg_dump.require_success()
    if left_out_subscriptions(pg_dump.process.stderr):
        raise Refused(
            "pg_dump leaves out the subscriptions of this database: only a superuser may read them",
            hint="back up as a superuser (POSTGRES_USER), or drop them: DROP SUBSCRIPTION …",
        )
    return scanner.finish()


def _first_to_fail(problem: KorrigoBackupError, proving: Future[tuple[TableProof, ...]]) -> BaseException:
    """Return the cause: if the session with the snapshot ends, pg_dump only reports that the snapshot is gone."""
    try:
        return proving.exception(_GRACE) or problem
    except TimeoutError:  # that session works on, so pg_dump has a reason of its own
        return problem


_GRACE = 2.0
"""Seconds for the other session to give the reason for its end; it has ended already."""


def _agree(scan: ScanResult, tables: Iterable[TableProof]) -> None:
    """Raise ProofFailed unless the dump holds the tables of the snapshot with as many rows.

    Sequences are not compared: they are not part of a snapshot, and the values that the dump sets are those to be
    saved.
    """
    counted = {table.name: table.rows for table in tables}
    differences = [
        f"{name}: {counted.get(name, 0)} rows in the snapshot, {rows} in the dump"
        for name, rows in scan.rows.items()
        if counted.get(name, 0) != rows
    ]
    differences += [f"{name}: not in the dump" for name in counted if name not in scan.rows]
    if differences:
        raise ProofFailed(
            f"the dump by pg_dump differs from its snapshot: {some(differences)}",
            hint="run the backup again; if it happens twice, check the server's log and disk",
        )
