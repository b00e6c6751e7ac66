"""Compare a saved state (a backup, a kept database, a state file) with the present state, down to rows and files.

Tables are compared by row count and digest first; only those that differ are read row by row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from korrigo_backup.artifact.manifest import LARGEST, DatabaseProof, TableProof
from korrigo_backup.compare.differences import Comparison, RowChange, TableDifference
from korrigo_backup.compare.erased import NONE, RowsToErase, erased_in_copy, erased_in_dump, without_erased
from korrigo_backup.compare.present import DumpRows, LiveRows
from korrigo_backup.compare.rows import SHOWN, database_rows, dump_rows, narrow, narrow_under
from korrigo_backup.errors import NotFound, ProofFailed, UsageError
from korrigo_backup.postgres import rows as site_rows
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.digest import RULE, Snapshot, known_rule, prove_all, snapshot
from korrigo_backup.postgres.dump.proof import comparable
from korrigo_backup.postgres.schema import fingerprint
from korrigo_backup.system.files import explained, open_plain, write_private
from korrigo_backup.system.timings import phase
from korrigo_backup.verify.dump_source import open_sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.manifest import SequenceProof
    from korrigo_backup.compare.rows import Saved
    from korrigo_backup.site.site import Site

STATE_SCHEMA = "korrigo-backup/state-1"


@dataclass(frozen=True)
class Present:
    """The present side: the live database, or another of the same server; and the parts of interest.

    `tables` are names with or without schema, () for all; `shown` is how many keys of each kind are named.
    """

    site: Site
    database: str | None = None
    tables: tuple[str, ...] = ()
    shown: int = SHOWN

    @property
    def name(self) -> str:
        """The database's name."""
        return self.database or self.site.postgres.database

    @property
    def described(self) -> str:
        """Where the present side is, in words."""
        return f"database {self.name} at {self.site.postgres.access.description}"


class SavedState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a database at a moment, as `--save` writes it: no rows, only counts and digests."""

    schema: str
    taken: datetime
    database: DatabaseProof


@dataclass(frozen=True)
class _Side:
    """The saved side: its proof, whether with materialised views, and a reader of its rows.

    `settings` are those under which its rows may have been written; without a manifest they are not known.
    """

    name: str
    proof: DatabaseProof
    with_views: bool = True
    rows: Saved | None = None
    settings: tuple[str, ...] = (site_rows.SAME,)
    erased: RowsToErase = NONE
    """Rows that were erased on request: they are counted, and not named."""


@phase("comparison")
def compare_artifact(present: Present, artifact: Artifact) -> Comparison:
    """Compare a dump, which is verified first, with a database; raises ProofFailed for a bad dump."""
    with (
        open_sql(artifact, present.site.postgres.access) as source,
        snapshot(present.site.postgres, database=present.name) as now,
    ):
        foreign = artifact.manifest is None or artifact.manifest.database is None
        rows = dump_rows(source.file, artifact.name)
        saved = _Side(
            name=artifact.name,
            proof=source.expected,
            rows=rows,
            erased=erased_in_dump(present.site, artifact, rows),
            settings=(*site_rows.FOREIGN, site_rows.OURS) if foreign else (site_rows.OURS,),
            with_views=not foreign,
        )
        return _compare(saved, present, now)


def compare_database(present: Present, kept: str) -> Comparison:
    """Compare a database of the same server, such as a previous copy, with the present one."""
    if kept not in (names := Databases(present.site.postgres).names()):
        beside = sorted(name for name in names if name.startswith(present.name))
        raise NotFound(f"there is no database {kept}", hint=f"there are: {', '.join(beside) or 'none of this site'}")
    server = present.site.postgres
    with snapshot(server, database=kept) as then, snapshot(server, database=present.name) as now:
        rows = database_rows(then)
        erased = erased_in_copy(present.site, rows)
        saved = _Side(f"database {kept}", _prove(then, kept, rule=RULE), rows=rows, erased=erased)
        return _compare(saved, present, now)


def compare_state(present: Present, file: Path) -> Comparison:
    """Compare a state file with a database: tables, sequences and objects; it does not hold single rows."""
    state = read_state(file)
    with snapshot(present.site.postgres, database=present.name) as now:
        return _compare(_Side(f"{file} of {state.taken:%Y-%m-%d %H:%M:%S %Z}", state.database), present, now)


def save_state(present: Present, file: Path, *, now: datetime) -> SavedState:
    """Write the state of a database to a new private file; UsageError if a file of that name exists."""
    require_new(file)
    with snapshot(present.site.postgres, database=present.name) as taken:
        state = SavedState(schema=STATE_SCHEMA, taken=now, database=_prove(taken, present.name, rule=RULE))
    with explained(f"write {file}"):
        write_private(file, msgspec.json.format(msgspec.json.encode(state), indent=2) + b"\n")
    return state


def read_state(file: Path) -> SavedState:
    """Return the state that `save_state` wrote; NotFound, or ProofFailed for a file of another kind."""
    if not file.exists():
        raise NotFound(f"there is no file {file}", hint=_SAVE_HINT)
    try:
        with explained(f"read {file}"), open_plain(file) as opened:
            state = msgspec.json.decode(opened.read(LARGEST), type=SavedState)
    except (msgspec.DecodeError, ValueError) as problem:
        raise ProofFailed(f"{file} is not a state file: {problem}", hint=_SAVE_HINT) from None
    if state.schema != STATE_SCHEMA:
        raise ProofFailed(f"{file} has the schema {state.schema}, not {STATE_SCHEMA}", hint=_SAVE_HINT)
    return state


def require_new(file: Path) -> None:
    """Raise UsageError when there is a file of that name: a state that was saved is never replaced."""
    if file.exists():
        raise UsageError(f"{file} exists already", hint="name another file, or remove this file")


_SAVE_HINT = "save a state: korrigo-backup compare --save FILE.json"


def _prove(taken: Snapshot, name: str, *, rule: str | None) -> DatabaseProof:
    return DatabaseProof(
        name=name,
        server_version=taken.facts().server_version,
        client_version="",
        digest=rule,
        tables=prove_all(taken, rule=rule),
        sequences=taken.sequences(),
        schema=fingerprint(taken),
    )


def _compare(saved: _Side, present: Present, now: Snapshot) -> Comparison:
    rule = known_rule(saved.proof.digest)
    proof = _prove(now, present.name, rule=rule)
    then = saved.proof.tables if rule else [TableProof(table.name, table.rows) for table in saved.proof.tables]
    views = {table.name for table in now.tables() if table.derived}
    tables = comparable(now, saved.proof, proof.tables)
    here = [table for table in tables if saved.with_views or table.name not in views]
    left, right = _chosen(then, here, present.tables)
    rows = _narrowed(saved, now, _doubtful(left, right), present.shown)
    different = tuple(_different(left, right, rows))
    same = len(left.keys() | right.keys()) - len(different)
    comparison = Comparison(saved=saved.name, now=present.described, tables=different, same=same)
    return comparison if present.tables else _with_surroundings(comparison, saved.proof, proof)


@phase("comparison")
def compare_dumps(first: Artifact, later: Artifact, site: Site, wanted: tuple[str, ...], shown: int) -> Comparison:
    """Compare two dumps, which are verified first; nothing is loaded. `wanted` are tables, () for all.

    Rows are compared by the primary key of the later dump. Raises ProofFailed for a bad dump.
    """
    access = site.postgres.access
    with open_sql(first, access) as then, open_sql(later, access) as now:
        rule = known_rule(then.expected.digest)
        one_rule = rule is not None and then.expected.digest == now.expected.digest
        saved, present = (
            proof.tables if one_rule else tuple(TableProof(table.name, table.rows) for table in proof.tables)
            for proof in (then.expected, now.expected)
        )
        left, right = _chosen(saved, present, wanted)
        doubtful = _doubtful(left, right)
        before, after = dump_rows(then.file, first.name), dump_rows(now.file, later.name)
        rows = narrow(before, DumpRows(now.file, later.name), doubtful, shown=shown)
        gone, gone_later = erased_in_dump(site, first, before), erased_in_dump(site, later, after)
        hidden = {name: n for name, n in doubtful.items() if name in gone.counts or name in gone_later.counts}
        if hidden:
            others = DumpRows(now.file, later.name, gone_later.numbers)
            rows = without_erased(rows, narrow(gone.left_out_of(before), others, hidden, shown=shown), both=True)
    different = tuple(_different(left, right, rows))
    same = len(left.keys() | right.keys()) - len(different)
    comparison = Comparison(saved=first.name, now=later.name, tables=different, same=same)
    return comparison if wanted else _with_surroundings(comparison, then.expected, now.expected)


def _doubtful(left: Mapping[str, TableProof], right: Mapping[str, TableProof]) -> dict[str, int]:
    """Return the tables on both sides whose rows are not known to be equal, with the greater number of rows."""
    return {name: max(left[name].rows, right[name].rows) for name in left.keys() & right.keys()
            if left[name].digest is None or not left[name].same_rows(right[name])}  # fmt: skip


def _narrowed(saved: _Side, now: Snapshot, doubtful: Mapping[str, int], shown: int) -> dict[str, RowChange]:
    """Return which rows differ, under those settings that let most be equal."""
    if not saved.rows:
        return {}
    found = narrow_under(saved.settings, saved.rows, LiveRows(now), doubtful, shown=shown)
    hidden = {name: rows for name, rows in doubtful.items() if name in saved.erased.counts}
    others = saved.erased.left_out_of(saved.rows)
    clean = narrow_under(saved.settings, others, LiveRows(now), hidden, shown=shown) if hidden else {}
    return without_erased(found, clean)


def _chosen(
    saved: Iterable[TableProof], now: Iterable[TableProof], wanted: tuple[str, ...]
) -> tuple[dict[str, TableProof], dict[str, TableProof]]:
    left, right = {t.name: t for t in saved}, {t.name: t for t in now}
    if not wanted:
        return left, right
    names = left.keys() | right.keys()
    asked = {name: {n for n in names if n == name or n.endswith((f".{name}", f'."{name}"'))} for name in wanted}
    if unknown := [name for name, matching in asked.items() if not matching]:
        raise UsageError(f"there is no table {unknown[0]}", hint=f"there are: {', '.join(sorted(names))}")
    chosen = set().union(*asked.values())
    return ({n: t for n, t in left.items() if n in chosen}, {n: t for n, t in right.items() if n in chosen})


def _different(
    left: Mapping[str, TableProof], right: Mapping[str, TableProof], rows: Mapping[str, RowChange]
) -> Iterable[TableDifference]:
    for name in sorted(left.keys() | right.keys()):
        then, now, change = left.get(name), right.get(name), rows.get(name)
        proven = then is not None and now is not None and then.same_rows(now) and then.digest is not None
        read = change is not None and change.nothing and (then is None or then.digest is None)
        if not (proven or read):
            yield TableDifference(name, then.rows if then else None, now.rows if now else None, change)


def _with_surroundings(comparison: Comparison, saved: DatabaseProof, now: DatabaseProof) -> Comparison:
    """Compare everything except rows.

    Definitions may be rendered differently once loaded: objects go by kind and name.
    """
    stand = {one.name: one for one in now.sequences}
    had, have = ({(o.kind, o.name) for o in side.schema} for side in (saved, now))
    return replace(
        comparison,
        sequences=tuple(
            f"{one.name} stands at {_position(stand[one.name])}, not {_position(one)}"
            for one in saved.sequences
            if stand.get(one.name, one) != one
        ),
        new_objects=tuple(f"{kind} {name}" for kind, name in sorted(have - had) if saved.schema and now.schema),
        lost_objects=tuple(f"{kind} {name}" for kind, name in sorted(had - have) if saved.schema and now.schema),
    )


def _position(sequence: SequenceProof) -> str:
    return f"{sequence.last_value}{'' if sequence.is_called else ' (not used yet)'}"
