"""Prove a loaded dump: saved facts must be as they were, derived facts are reported when they are not.

Saved are the rows that pg_dump writes, large objects, sequences as the dump sets them, and the objects of the schema.
Derived are the rows of materialised views and the values of generated columns: the server computes them at each load.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.postgres.difference import Acceptance, Difference, name, require_accepted, saved
from korrigo_backup.postgres.digest import known_rule, prove_all, snapshot
from korrigo_backup.postgres.dump.guard import implied, report_failures, without_proof
from korrigo_backup.postgres.schema import brought_schemas, fingerprint, schema_differences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from korrigo_backup.artifact.manifest import DatabaseProof, LargeObjectsProof, SequenceProof, TableProof
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.postgres.dump.guard import Failure

_BORN_WITH = (("schema", "public"), ("extension", "plpgsql"))


def undressing(expected: DatabaseProof, kind: str) -> list[str]:
    """Return DROP statements for objects of a kind that a new database has and the saved database lacked.

    A dump does not record that they were dropped. A schema is dropped before the load, while no event trigger can see
    it; the extension plpgsql after it, because the load needs it.
    """
    had = {(one.kind, one.name) for one in expected.schema}
    return [
        f"DROP {kind.upper()} {name}" for born, name in _BORN_WITH if born == kind and had and (born, name) not in had
    ]


def prove(
    server: Postgres,
    expected: DatabaseProof,
    *,
    database: str,
    accept: Acceptance,
    report: Callable[[Finding], None],
    failed: tuple[Failure, ...] = (),
    roles: bool = True,
) -> tuple[TableProof, ...]:
    """Return the proof of a loaded database; raises ProofFailed, naming the differences, if it is not as `expected`.

    Differences named in `accept` are reported as losses; `failed` are the failures of the load. Without `roles`, owners
    and grants are not compared: the statements that make them were left out.
    """
    with snapshot(server, database=database, search_path=expected.search_path) as taken:
        return prove_taken(taken, expected, accept=accept, report=report, failed=failed, roles=roles)


def prove_taken(
    taken: Snapshot,
    expected: DatabaseProof,
    *,
    accept: Acceptance,
    report: Callable[[Finding], None],
    failed: tuple[Failure, ...] = (),
    roles: bool = True,
) -> tuple[TableProof, ...]:
    """Prove as `prove` does, in a session that is open."""
    tables = prove_all(taken, rule=known_rule(expected.digest))
    missing = report_failures(failed, report)
    named = implied(missing) | without_proof(failed)
    found = differences(taken, expected, tables, roles=roles)
    found = [*missing, *(one for one in found if one.name not in named)]
    require_accepted(found, accept, report, what="the loaded data differs from the saved data")
    return tables


def holds(server: Postgres, expected: DatabaseProof) -> bool:
    """Return whether the live database holds exactly the saved facts of a backup."""
    with snapshot(server, search_path=expected.search_path) as taken:
        return not saved(differences(taken, expected, prove_all(taken, rule=known_rule(expected.digest))))


def comparable(taken: Snapshot, expected: DatabaseProof, tables: Iterable[TableProof]) -> list[TableProof]:
    """Leave out tables that the saved side has no facts about.

    A dump alone holds no rows of materialised views; former manifests do not name configuration tables of extensions.
    """
    known = {one.name for one in expected.tables}
    silent = {
        table.name
        for table in taken.tables()
        if table.name not in known and (table.condition is not None or (table.derived and not expected.schema))
    }
    return [table for table in tables if table.name not in silent]


def counted_alone(
    taken: Snapshot, expected: DatabaseProof, tables: Iterable[TableProof]
) -> tuple[DatabaseProof, list[TableProof]]:
    """Return the expectation and the tables whose rows are known from a dump by another tool, by the server's names.

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
) -> list[Difference]:
    """Return the differences between a snapshot and the saved data; `tables` is the proof of the snapshot."""
    if not expected.name:
        expected, tables = counted_alone(taken, expected, tables)
    tables = comparable(taken, expected, tables)
    found = [*_rows(expected.tables, tables, taken.views()), *_moved(expected.sequences, taken.sequences())]
    if (want := expected.large_objects) is not None:
        found += _large_objects(want, taken.large_objects(digest=want.digest is not None))
    if expected.schema:
        version = taken.facts().server_version
        brought = brought_schemas(taken)
        found += schema_differences(expected, fingerprint(taken), version, roles=roles, brought=brought)
    return found


def _rows(expected: Iterable[TableProof], found: Iterable[TableProof], views: frozenset[str]) -> list[Difference]:
    left, right = {t.name: t for t in expected}, {t.name: t for t in found}
    return [
        one
        for table in sorted(left.keys() | right.keys())
        if (one := _view(table, left.get(table), right.get(table)) if table in views
            else _table(table, left.get(table), right.get(table)))
    ]  # fmt: skip


def _table(table: str, want: TableProof | None, have: TableProof | None) -> Difference | None:
    called = name("table", table)
    if want is None or have is None:
        return Difference(called, f"{table} is {'missing' if have is None else 'unexpected'}")
    if want.rows != have.rows:
        return Difference(called, f"{table} has {have.rows} rows, not {want.rows}")
    if want.digest != have.digest:
        return Difference(called, f"{table} has other content")
    if want.generated != have.generated:
        words = f"the generated columns of {table} have other values: the server has computed them again at the load"
        return Difference(called, words, derived=True)
    return None


def _view(table: str, want: TableProof | None, have: TableProof | None) -> Difference | None:
    """Return how a materialised view differs; the load fills it from the tables as they were saved."""
    called, refresh = name("view", table), f"REFRESH MATERIALIZED VIEW {table}"
    if have is None:
        return Difference(called, f"the materialised view {table} is not filled", derived=True, repair=refresh)
    if want is None or want.same_rows(have):
        return None
    words = f"the materialised view {table} has other rows than when it was saved ({have.rows} now, {want.rows} then)"
    return Difference(called, f"{words}: the load has refreshed it", derived=True)


def _moved(expected: Iterable[SequenceProof], found: Iterable[SequenceProof]) -> list[Difference]:
    have = {one.name: one for one in found}
    return [
        Difference(
            name("sequence", one.name),
            f"{one.name} does not stand at {one.last_value}",
            repair=f"SELECT setval('{one.name}', {one.last_value}, {str(one.is_called).lower()})",
        )
        for one in expected
        if have.get(one.name) != one
    ]


def _large_objects(want: LargeObjectsProof, have: LargeObjectsProof) -> list[Difference]:
    if want.count != have.count:
        return [Difference("large-objects", f"there are {have.count} large objects, not {want.count}")]
    return [Difference("large-objects", "the large objects have other content")] if want != have else []
