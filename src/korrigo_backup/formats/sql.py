"""The `sql` kind: a plain pg_dump, gzip, with row counts and digests of the very snapshot that was dumped."""

from __future__ import annotations

import re
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.domain.encodings import dump_encoding
from korrigo_backup.domain.manifest import DatabaseProof, LargeObjectsProof, SequenceProof, TableProof
from korrigo_backup.errors import KorrigoBackupError, ProofFailed, Refused
from korrigo_backup.formats.sqlforeign import as_data
from korrigo_backup.formats.sqlload import load_shared
from korrigo_backup.formats.sqlscan import DumpScanner, Places, ScanResult, Sort
from korrigo_backup.site.digests import RULE, Snapshot, prove_all, snapshot
from korrigo_backup.site.properties import read_properties, read_roles, read_tablespaces
from korrigo_backup.site.schema import fingerprint, schema_differences
from korrigo_backup.site.session_settings import DUMPING, LOCK_WAIT
from korrigo_backup.system.blocks import Effort
from korrigo_backup.system.files import CHUNK
from korrigo_backup.system.streams import GzipWriter, HashingReader, HashingWriter, Source, gunzip

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator
    from concurrent.futures import Future

    from korrigo_backup.site.digests import Facts
    from korrigo_backup.site.postgres import Postgres

EFFORT = {True: Effort.SMALL, False: Effort.QUICK}
"""With digests, a backup is as small as gzip's; without (in a hurry), it is a few percent larger."""


@dataclass(frozen=True)
class Checked:
    """What reading a whole dump gave: its content, and size and SHA-256 of the file as it was read."""

    scan: ScanResult
    size: int
    sha256: str


def create(
    server: Postgres,
    target: HashingWriter,
    *,
    database: str | None = None,
    digest: bool = True,
    observe: Callable[[Snapshot], None] | None = None,
) -> DatabaseProof:
    """Dump a database into `target` and return the proof of what is in it; `observe` sees the same snapshot.

    Raises ProofFailed when the rows in the dump are not those of the snapshot, or the dump has no end mark,
    whatever pg_dump's exit status says.
    """
    name = database or server.database
    with snapshot(server, database=name) as taken, ThreadPoolExecutor(1) as pool:
        facts = taken.facts()
        sequences = taken.sequences()
        with taken.returning_locks():
            schema = fingerprint(taken)
            properties, roles, tablespaces = read_properties(taken), read_roles(taken), read_tablespaces(taken)
        migrations = taken.migrations()
        derived = {table.name for table in taken.tables() if table.derived}
        proving = pool.submit(prove_all, taken, digest=digest)
        try:
            scan = _dump(server, taken, GzipWriter(target, EFFORT[digest]), name, facts)
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
    _agree(scan, [table for table in tables if table.name not in derived], sequences)
    return DatabaseProof(
        name=name,
        server_version=facts.server_version,
        client_version=scan.client_version or "",
        digest=RULE if digest else None,
        tables=tables,
        sequences=tuple(scan.sequences[name] for name in sorted(scan.sequences)),
        schema=schema,
        large_objects=large_objects,
        size=facts.size,
        migrations=migrations,
        properties=properties,
        roles=roles,
        tablespaces=tablespaces,
    )


def check(file: IO[bytes], source: str) -> Checked:
    """Read a whole dump and return what it holds; `file` is left at its start.

    Raises ProofFailed when it is not gzip, is cut or damaged, is not a complete pg_dump, or holds what psql
    must not be given.
    """
    reader, scanner = HashingReader(file), DumpScanner(source)
    for piece in gunzip(reader, source):
        scanner.feed(piece)
    file.seek(0)
    return Checked(scanner.finish(), reader.size, reader.sha256)


def read_back(file: Source, source: str) -> str:
    """Read a dump that is being or was just written, against its gzip checksums, and return the SHA-256 of the file.

    What is inside was scanned on its way into the compressor, whose checksums are of those very bytes. Raises
    ProofFailed when they do not fit.
    """
    reader = HashingReader(file)
    for _ in gunzip(reader, source):
        pass
    return reader.sha256


def load(
    server: Postgres,
    file: IO[bytes],
    source: str,
    *,
    database: str,
    without: Places = (),
    foreign: Collection[Sort] | None = None,
    restricted: bool = False,
) -> str:
    r"""Load a dump into an empty database and return the SHA-256 of the file as it was read now.

    The first SQL error stops it. The texts `without`, each at its offset, are left out. A `foreign` dump is rewritten
    (`sqlforeign.py`), without the given sorts of statements. `restricted` says that psql knows `\restrict`. Raises
    KorrigoBackupError with the server's words, ProofFailed when one of those texts is not there.
    """
    reader = HashingReader(file)
    pieces = gunzip(reader, source)
    script = left_out(pieces, without, source) if foreign is None else as_data(pieces, source, foreign)
    load_shared(server, script, source, database=database, restricted=restricted)
    for _ in reader:  # what follows the last gzip member counts for the checksum, too
        pass
    return reader.sha256


def undressing(expected: DatabaseProof) -> list[str]:
    """Return what drops the things that a new database is born with and the saved one had not.

    pg_dump does not say that they were dropped.
    """
    had = {(one.kind, one.name) for one in expected.schema}
    return [f"DROP {kind.upper()} {name}" for kind, name in _BORN_WITH if had and (kind, name) not in had]


_BORN_WITH = (("schema", "public"), ("extension", "plpgsql"))


def prove(server: Postgres, expected: DatabaseProof, *, database: str, roles: bool = True) -> tuple[TableProof, ...]:
    """Return the proof of a loaded database; raises ProofFailed, naming what differs, if it is not as `expected`.

    Without `roles`, owners and grants are not compared: the statements that make them were left out.
    """
    with snapshot(server, database=database) as taken:
        return prove_taken(taken, expected, roles=roles)


def prove_taken(taken: Snapshot, expected: DatabaseProof, *, roles: bool = True) -> tuple[TableProof, ...]:
    """Do what `prove` does, in a session that is open."""
    tables = prove_all(taken, digest=expected.digest == RULE)
    if lines := differences(taken, expected, tables, roles=roles):
        raise ProofFailed(
            f"what was loaded is not what was saved: {some(lines)}",
            hint="use another backup, and keep this one: korrigo-backup verify tells whether its file is damaged",
        )
    return tables


def holds(server: Postgres, expected: DatabaseProof) -> bool:
    """Tell whether the live database holds exactly what was saved."""
    with snapshot(server) as taken:
        return not differences(taken, expected, prove_all(taken, digest=expected.digest == RULE))


def comparable(taken: Snapshot, expected: DatabaseProof, tables: Iterable[TableProof]) -> list[TableProof]:
    """Leave out materialised views where only the dump tells what was saved: it holds no rows of theirs."""
    derived = {table.name for table in taken.tables() if table.derived} if not expected.schema else set()
    return [table for table in tables if table.name not in derived - {one.name for one in expected.tables}]


def counted_alone(
    taken: Snapshot, expected: DatabaseProof, tables: Iterable[TableProof]
) -> tuple[DatabaseProof, list[TableProof]]:
    """Return the expectation and the tables of which a dump by another tool tells the rows, by the server's names.

    Such a dump has no manifest: rows are counted where they come by COPY, and names may be quoted without need.
    """
    names = {bare(one.name): one.name for one in tables}
    names |= {bare(one.name): one.name for one in taken.sequences()}
    known = replace(
        expected,
        tables=tuple(replace(one, name=names.get(bare(one.name), one.name)) for one in expected.tables),
        sequences=tuple(replace(one, name=names.get(bare(one.name), one.name)) for one in expected.sequences),
    )
    counted = {one.name for one in known.tables}
    return known, [table for table in tables if table.name in counted]


def bare(name: str) -> tuple[str, ...]:
    """Return the parts of a name as SQL writes it, without quotes."""
    return tuple(quoted.replace('""', '"') or plain.lower() for quoted, plain in _IDENTIFIER.findall(name))


_IDENTIFIER = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


def differences(
    taken: Snapshot, expected: DatabaseProof, tables: Iterable[TableProof], *, roles: bool = True
) -> list[str]:
    """Return in words how what a snapshot holds differs from what was saved; `tables` is its proof."""
    if not expected.name:
        expected, tables = counted_alone(taken, expected, tables)
    tables = comparable(taken, expected, tables)
    lines = [*_differences(expected.tables, tables), *_moved(expected.sequences, taken.sequences())]
    if (want := expected.large_objects) is not None:
        lines += _large_objects(want, taken.large_objects(digest=want.digest is not None))
    if expected.schema:
        version = taken.facts().server_version
        lines += schema_differences(expected, fingerprint(taken), version, roles=roles)
    return lines


def _dump(server: Postgres, taken: Snapshot, target: GzipWriter, database: str, facts: Facts) -> ScanResult:
    arguments = (
        "--format=plain",
        "--no-password",
        f"--lock-wait-timeout={LOCK_WAIT}",
        f"--snapshot={taken.id}",
        f"--encoding={dump_encoding(facts.encoding)}",  # no conversion, so nothing that cannot be converted
        f"--role={facts.role}",  # whatever role `ALTER ROLE … SET role` gives to new sessions
    )
    scanner = DumpScanner("the dump")
    with (
        target as gzip,
        server.watched("pg_dump", *arguments, database=database, options=DUMPING) as pg_dump,
    ):
        while piece := pg_dump.read(CHUNK):
            scanner.feed(piece)
            gzip.write(piece)
        pg_dump.require_success()
    if _LEFT_OUT in pg_dump.process.stderr:
        raise Refused(
            "pg_dump leaves out the subscriptions of this database: only a superuser may read them",
            hint="back up as a superuser (POSTGRES_USER), or drop them: DROP SUBSCRIPTION …",
        )
    return scanner.finish()


def _first_to_fail(problem: KorrigoBackupError, proving: Future[tuple[TableProof, ...]]) -> BaseException:
    """Return the cause: where the session that holds the snapshot ends, pg_dump only says that the snapshot is gone."""
    if _NO_SNAPSHOT in problem.message:
        return proving.exception(_GRACE) or problem
    return problem


_LEFT_OUT = "subscriptions not dumped"
_NO_SNAPSHOT = "invalid snapshot identifier"
_GRACE = 10.0
"""Seconds for the other session to say why it ended; it has ended already."""


def left_out(pieces: Iterable[bytes], without: Places, source: str) -> Iterator[bytes]:
    """Yield the pieces without some texts of known places; a text may lie across pieces."""
    places, offset, rest = deque(without), 0, b""
    for piece in pieces:
        data, rest = rest + piece, b""
        start = 0
        while places and places[0][0] < offset + len(data):
            place, text = places[0]
            at = place - offset
            if at + len(text) > len(data):
                rest = data[at:]
                break
            if data[at : at + len(text)] != text:
                raise ProofFailed(f"{source} changed while it was read", hint="find out what writes to it, then retry")
            yield data[start:at]
            start = at + len(text)
            places.popleft()
        yield data[start : len(data) - len(rest)]
        offset += len(data) - len(rest)


def _agree(scan: ScanResult, tables: Iterable[TableProof], sequences: Iterable[SequenceProof]) -> None:
    """Hold the stream against the snapshot: same tables, same rows; sequences move on, never back."""
    counted = {table.name: table.rows for table in tables}
    differences = [
        f"{name}: {counted.get(name, 0)} rows in the snapshot, {rows} in the dump"
        for name, rows in scan.rows.items()
        if counted.get(name, 0) != rows
    ]
    differences += [f"{name}: not in the dump" for name in counted if name not in scan.rows]
    differences += [
        f"{one.name}: at {one.last_value}, in the dump at {scan.sequences[one.name].last_value}"
        for one in sequences
        if one.name in scan.sequences and _behind(scan.sequences[one.name], one)
    ]
    if differences:
        raise ProofFailed(
            f"pg_dump did not write what the snapshot holds: {some(differences)}",
            hint="run the backup again; if it happens twice, check the server's log and disk",
        )


def _behind(one: SequenceProof, other: SequenceProof) -> bool:
    return 0 <= one.last_value < other.last_value


def _differences(expected: Iterable[TableProof], found: Iterable[TableProof]) -> list[str]:
    left, right = {t.name: t for t in expected}, {t.name: t for t in found}
    lines = []
    for name in sorted(left.keys() | right.keys()):
        want, have = left.get(name), right.get(name)
        if want is None or have is None:
            lines.append(f"{name} is {'missing' if have is None else 'unexpected'}")
        elif want.rows != have.rows:
            lines.append(f"{name} has {have.rows} rows, not {want.rows}")
        elif want.digest != have.digest:
            lines.append(f"{name} has other content")
    return lines


def _moved(expected: Iterable[SequenceProof], found: Iterable[SequenceProof]) -> list[str]:
    have = {one.name: one for one in found}
    return [f"{one.name} does not stand at {one.last_value}" for one in expected if have.get(one.name) != one]


def _large_objects(want: LargeObjectsProof, have: LargeObjectsProof) -> list[str]:
    if want.count != have.count:
        return [f"there are {have.count} large objects, not {want.count}"]
    return ["the large objects have other content"] if want != have else []


_SHOWN = 5
"""Differences named in a message; the count tells of the rest."""


def some(lines: list[str]) -> str:
    """Return the first few differences and how many more there are."""
    more = f" and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
    return "; ".join(lines[:_SHOWN]) + more
