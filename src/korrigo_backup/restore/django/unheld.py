"""What a Django backup does not hold of a database: rows of other tables, sequences, large objects, the schema.

A restore beside the live database takes it from there: copied while the site serves, and compared once nobody can
write any more. Tables that have changed since are copied again where nothing depends on their rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.core.encodings import RAW, to_bytes
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.digest import TOGETHER, Snapshot
from korrigo_backup.postgres.schema import fingerprint
from korrigo_backup.postgres.session_settings import PROVING
from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from korrigo_backup.artifact.manifest import DatabaseProof, LargeObjectsProof, SequenceProof, TableProof
    from korrigo_backup.postgres.client import Postgres, Session
    from korrigo_backup.postgres.digest import Table

# The rows of a partitioned table stand in its partitions.
_HELD = """
WITH RECURSIVE held (oid) AS (
  SELECT to_regclass(w.name)::oid FROM unnest(ARRAY[{names}]::text[]) w (name)
  UNION
  SELECT c.oid FROM held h JOIN pg_inherits i ON i.inhparent = h.oid JOIN pg_class c ON c.oid = i.inhrelid
  WHERE c.relispartition)
SELECT coalesce(json_agg(quote_ident(n.nspname) || '.' || quote_ident(c.relname)), '[]')
FROM held JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace
"""

# Nothing fires, refers to such a table, reads it into a materialised view or takes part in its rows: they can be
# exchanged alone.
_ALONE = """
SELECT coalesce(json_agg(w.name), '[]') FROM unnest(ARRAY[{names}]::text[]) w (name)
JOIN pg_class c ON c.oid = to_regclass(w.name)
WHERE c.relkind = 'r' AND NOT c.relispartition AND NOT c.relrowsecurity
  AND NOT EXISTS (SELECT FROM pg_inherits WHERE c.oid IN (inhrelid, inhparent))
  AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid)
  AND NOT EXISTS (SELECT FROM pg_constraint WHERE contype = 'f' AND c.oid IN (conrelid, confrelid))
  AND NOT EXISTS (SELECT FROM pg_rewrite WHERE ev_class = c.oid)
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  AND NOT (EXISTS (SELECT FROM pg_class WHERE relkind = 'm')
           AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_rewrite'::regclass
                         AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid))
"""

_ASCENDS = "SELECT to_json(seqincrement > 0) FROM pg_sequence WHERE seqrelid = {name}::regclass"


_AGAIN = "run the restore again"


class Dependent(ProofFailed):
    """What has changed since the copy cannot be copied again alone."""


@dataclass(frozen=True)
class Unheld:
    """One moment of its rows. `tables` has no materialised views: their rows are made anew by each load."""

    tables: tuple[TableProof, ...]
    large_objects: LargeObjectsProof

    @classmethod
    def of(cls, taken: Snapshot, held: Collection[str]) -> Unheld:
        """Return what a snapshot holds besides the rows of the tables `held` (names as SQL writes them)."""
        found: list[TableProof] = []
        tables = _besides(taken, held)
        for start in range(0, len(tables), TOGETHER):
            with taken.returning_locks():
                found += map(taken.prove, tables[start : start + TOGETHER])
        return cls(tuple(found), taken.large_objects())


@dataclass(frozen=True)
class Copied:
    """The live database as it was copied: by its dump, but for rows, and by that moment of the tables besides `held`.

    `held` names the tables whose rows are those of the Django backup.
    """

    held: frozenset[str]
    unheld: Unheld
    dumped: DatabaseProof

    def require_equal(self, server: Postgres, database: str) -> None:
        """Raise ProofFailed unless a database holds the same rows besides those of the backup."""
        with server.session(database=database) as session:
            found = Unheld.of(_begun(session, "READ ONLY", self.dumped.search_path), self.held)
        if found != self.unheld:
            raise ProofFailed("the copy of the live database has other rows than it", hint=_AGAIN)

    def renew(self, live: Session, server: Postgres, database: str) -> tuple[str, ...]:
        """Copy again to `database` what has changed in the live one, where nobody writes; return the tables' names.

        Raises Dependent for what cannot be copied alone, ProofFailed where the copy is not equal then.
        """
        taken = _begun(live, "READ ONLY", self.dumped.search_path)
        now = Unheld.of(taken, self.held)
        changed = self._changed(taken, now)
        moved = [one for one in taken.sequences() if one not in self.dumped.sequences]
        if changed or moved:
            with server.session(database=database) as session:
                copy = _begun(session, "READ WRITE", self.dumped.search_path)
                for table in changed:
                    _copy(taken, copy, session, table, raw=taken.facts().encoding == RAW)
                self._move(copy, moved)
                same = {one.name: one for one in now.tables}
                if any(copy.prove(table) != same[table.name] for table in changed):
                    raise ProofFailed("rows were not copied as they are", hint="look at the types of their columns")
                session.run("COMMIT")
        return tuple(table.name for table in changed)

    def _changed(self, taken: Snapshot, now: Unheld) -> list[Table]:
        if fingerprint(taken) != self.dumped.schema:
            raise Dependent("the schema has changed since the copy", hint=_AGAIN)
        if now.large_objects != self.unheld.large_objects:
            raise Dependent("large objects have changed since the copy", hint=_AGAIN)
        before = {one.name: one for one in self.unheld.tables}
        names = {one.name for one in now.tables if one != before.get(one.name)}
        if not names:
            return []
        alone = taken.ask(_ALONE.format(names=_listed(names)), frozenset[str])
        if bound := sorted(names - alone):
            raise Dependent(f"rows of {first_of(bound)} have changed since the copy, and others depend on them",
                            hint=_AGAIN)  # fmt: skip
        return [table for table in taken.tables() if table.name in names]

    def _move(self, copy: Snapshot, moved: Iterable[SequenceProof]) -> None:
        """Set sequences to where the live ones are now, unless the load has moved them further."""
        dumped = {one.name: one for one in self.dumped.sequences}
        there = {one.name: one for one in copy.sequences()}
        for one in moved:
            if (loaded := there.get(one.name)) is None:
                raise Dependent(f"sequence {one.name} is not in the copy", hint=_AGAIN)
            ascends = copy.ask(_ASCENDS.format(name=literal(one.name)), bool)
            if loaded == dumped.get(one.name) or _is_further(one, loaded, ascends=ascends):
                called = "true" if one.is_called else "false"
                copy.run(f"SELECT setval({literal(one.name)}::regclass, {one.last_value}, {called})")


def held_tables(taken: Snapshot, names: Collection[str]) -> frozenset[str]:
    """Return the tables, partitions included, whose rows are those of the tables `names`."""
    if not names:
        return frozenset()
    found = taken.ask(_HELD.format(names=_listed(names)), frozenset[str])
    return frozenset(map(normal_name, found)) | frozenset(names)


def _besides(taken: Snapshot, held: Collection[str]) -> list[Table]:
    return [table for table in taken.tables() if table.name not in held and not table.derived]


def _begun(session: Session, access: str, search_path: tuple[str, ...]) -> Snapshot:
    session.adapt()
    session.run(f"{PROVING} BEGIN ISOLATION LEVEL REPEATABLE READ {access}")
    return Snapshot(session, "", search_path)


def _copy(taken: Snapshot, copy: Snapshot, session: Session, table: Table, *, raw: bool) -> None:
    name = f"{identifier(table.schema)}.{identifier(table.table)}"
    columns = ", ".join(identifier(column.name) for column in table.columns if not column.generated)
    copy.run(f"TRUNCATE ONLY {name}")
    command = f"COPY {name} ({columns}) FROM stdin;\n"

    def script() -> Iterator[bytes]:
        yield to_bytes(command) if raw else command.encode()
        for line in taken.stream(f"COPY {name} ({columns}) TO STDOUT"):
            yield line + b"\n"
        yield b"\\.\nSELECT 1;\n"  # psql repeats a COPY that is its last statement at the next lone semicolon

    if table.computes:
        copy.run(copy.with_functions)
    session.feed(script())


def _is_further(one: SequenceProof, other: SequenceProof, *, ascends: bool) -> bool:
    ours, theirs = (one.last_value, one.is_called), (other.last_value, other.is_called)
    return ours > theirs if ascends else (-ours[0], ours[1]) > (-theirs[0], theirs[1])


def _listed(names: Iterable[str]) -> str:
    return ", ".join(map(literal, sorted(names)))
