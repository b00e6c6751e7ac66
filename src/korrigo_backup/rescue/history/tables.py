"""The tables of a site in each dump and now, by what the manifests say: no dump is opened."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.postgres.digest import TOGETHER, known_rule
from korrigo_backup.postgres.tables import unreadable_tables
from korrigo_backup.rescue.diagnosis.moments import PointTables, TableMoment, moments, unknown_between
from korrigo_backup.rescue.history.row_changes import LIVE
from korrigo_backup.rescue.points import database_proof

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.manifest import TableProof
    from korrigo_backup.postgres.digest import Snapshot


class TableHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The history of a table: the times between which it changed.

    `dumps` counts the dumps with a manifest, `without_manifest` the others, which say nothing. Between
    `without_digest` neighbouring states only the number of rows was compared. `unseen` is why the live table could not
    be read, "" if it could.
    """

    table: str
    dumps: int
    since: datetime
    until: datetime
    moments: tuple[TableMoment, ...]
    without_manifest: int = 0
    without_digest: int = 0
    note: str = ""
    unseen: str = ""


def saved_tables(dumps: Sequence[Artifact], wanted: Collection[str] | None = None) -> Iterator[PointTables]:
    """Yield the tables of the dumps that have a manifest; each manifest is read once and not kept."""
    for dump in dumps:
        try:
            proof = database_proof(dump)
        except KorrigoBackupError:  # it changed since the list was read
            continue
        if proof is not None:
            tables = ((normal_name(one.name), one) for one in proof.tables)
            chosen = {name: (one.rows, one.digest) for name, one in tables if wanted is None or name in wanted}
            yield PointTables(dump.created, dump.name, known_rule(proof.digest), chosen)


def live_tables(
    taken: Snapshot, former: PointTables, now: datetime, wanted: Collection[str] | None = None
) -> PointTables:
    """Return the live tables, digested by the rule of a saved state; materialised views as it has them.

    A table that our role may not read is unseen.
    """
    proofs: list[TableProof] = []
    found = [
        one
        for one in taken.tables()
        if (wanted is None or one.name in wanted) and (not one.derived or one.name in former.tables)
    ]
    closed = unreadable_tables(taken)
    tables = [one for one in found if one.name not in closed]
    for start in range(0, len(tables), TOGETHER):
        with taken.returning_locks():
            proofs += [taken.prove(table, rule=former.rule) for table in tables[start : start + TOGETHER]]
    unseen = {one.name: closed[one.name] for one in found if one.name in closed}
    return PointTables(now, LIVE, former.rule, {one.name: (one.rows, one.digest) for one in proofs}, unseen)


def table_history(
    dumps: Sequence[Artifact], taken: Snapshot | None, table: str, *, now: datetime, note: str = ""
) -> TableHistory:
    """Return when a table changed: between the dumps, and since the newest of them if the database answers."""
    states, unseen = list(saved_tables(dumps, {table})), ""
    if taken is not None and states:
        live = live_tables(taken, states[-1], now, {table})
        unseen = live.unseen.get(table, "")
        states += [] if unseen else [live]
    return TableHistory(
        table=table,
        dumps=sum(1 for one in states if one.source != LIVE),
        since=states[0].at if states else dumps[0].created,
        until=states[-1].at if states else dumps[-1].created,
        moments=moments(states, {table}),
        without_manifest=len(dumps) - sum(1 for one in states if one.source != LIVE),
        without_digest=unknown_between(states),
        note=note,
        unseen=unseen,
    )
