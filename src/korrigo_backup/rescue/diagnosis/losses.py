"""The losses of a site, and their times: the live tables and files against the saved states. Reads only, loads nothing.

The manifests tell when a table lost rows. Each such table is then compared, row by row, with the last dump before its
newest loss; a table that has only changed since the newest dump, with that. Tables that changed between dumps are
looked at in `look_back.py`.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.rescue.diagnosis.altered import altered_columns
from korrigo_backup.rescue.diagnosis.deletions import holding, only_replaced
from korrigo_backup.rescue.diagnosis.live_files import file_moments, file_state
from korrigo_backup.rescue.diagnosis.live_site import rows_since
from korrigo_backup.rescue.diagnosis.look_back import LookBack
from korrigo_backup.rescue.diagnosis.moments import MomentKind, PointTables, TableMoment, last_losses, moments
from korrigo_backup.rescue.diagnosis.offers import states_of
from korrigo_backup.rescue.diagnosis.states import FileState, TableState
from korrigo_backup.rescue.diagnosis.steps import TableStep  # noqa: TC001 - msgspec reads it when it encodes
from korrigo_backup.rescue.history.row_changes import LIVE
from korrigo_backup.rescue.history.table_changes import PASSING
from korrigo_backup.rescue.history.tables import live_tables, saved_tables
from korrigo_backup.rescue.points import unread_of_django
from korrigo_backup.rescue.relations import references_by_models
from korrigo_backup.rescue.source_dumps import newest_replaced, of_the_site
from korrigo_backup.site.erasures import LedgerFiles

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.rescue.diagnosis.live_site import LiveSite
    from korrigo_backup.rescue.diagnosis.steps import FoundSteps
    from korrigo_backup.rescue.points import Points


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """The losses of a site: `moments` are those of its tables in time, `tables` the live tables that differ.

    `returned` names tables whose newest loss is no loss any more: all its rows are live again. `replaced` are tables of
    which a safety backup has rows that are not live: a restore has replaced them. `steps` are those between two dumps
    in which many rows of a table changed or vanished, newest first; `often` tables have many of them, and `ordinary`
    tables changed by few rows at a time. `unseen` names parts that could not be looked at, each with the reason.
    `references` are the foreign keys of the live database, and the relations that the site's models declare besides
    between tables that have lost rows: a table, and the table that its rows refer to. `altered` are columns of tables
    with differing rows that are defined otherwise than in the dumps compared, or are gone.
    """

    dumps: int
    media: int
    moments: tuple[TableMoment, ...] = ()
    tables: tuple[TableState, ...] = ()
    returned: tuple[str, ...] = ()
    steps: tuple[TableStep, ...] = ()
    often: tuple[str, ...] = ()
    ordinary: tuple[str, ...] = ()
    replaced: tuple[TableState, ...] = ()
    files: FileState | None = None
    file_moments: tuple[TableMoment, ...] = ()
    unseen: tuple[str, ...] = ()
    references: tuple[tuple[str, str], ...] = ()
    altered: dict[str, tuple[str, ...]] = {}


def diagnose_losses(points: Points, live: LiveSite, *, contents: bool = False) -> Diagnosis:
    """Return the losses since the first of the points; with `contents` all live files are read.

    Raises ProofFailed for a dump that is not as it was saved.
    """
    unseen = [f"{name} {why}" for name, why in points.passed_over]
    unseen += [words] if (words := unread_of_django(points)) else []
    seen = _SeenStates()
    changes = moments(_states(of_the_site(points.dumps), live, seen))
    present = seen.present
    back = LookBack(points.dumps, seen.dumps, live)
    found = back.large_steps(changes, present)
    unseen += [*back.problems, *_unread(found)]
    losses = tuple(one for one in changes if one.is_loss and not _is_passing(one.table))
    tables = _table_states(points, live, present, changes) if present else ()
    tables = tuple(one for one in tables if not _is_return(one, found.steps))
    lost = {one.table for one in tables if one.change is None or one.change.removed}
    closed = present.unseen if present else {}
    unseen += [f"the live table {table}: {why}" for table, why in sorted(closed.items())]
    replaced = only_replaced(_replaced(points, live, present), states_of(tables, found.steps)) if present else ()
    files, changes_of_files = None, tuple[TableMoment, ...]()
    try:
        changes_of_files = file_moments(points)
        if live.tree is not None:
            files = file_state(
                points, live.tree, changes_of_files, contents=contents, erased_of=partial(LedgerFiles, live.site)
            )
    except (KorrigoBackupError, OSError) as problem:
        unseen.append(f"the media were not compared: {problem}")
    return Diagnosis(
        dumps=len(points.dumps),
        media=len(points.media),
        moments=losses,
        tables=tables,
        returned=tuple(sorted({one.table for one in losses} - lost - closed.keys())) if present else (),
        steps=tuple(found.steps),
        often=tuple(sorted(found.often)),
        ordinary=tuple(sorted(found.ordinary)),
        replaced=replaced,
        files=files,
        file_moments=tuple(one for one in changes_of_files if one.is_loss),
        unseen=tuple(unseen),
        references=_references(live, lost),
        altered=_altered(points, live, (*tables, *replaced), found.steps),
    )


def _altered(
    points: Points, live: LiveSite, states: Sequence[TableState], steps: Sequence[TableStep]
) -> dict[str, tuple[str, ...]]:
    """Return the columns that are defined otherwise than in the dumps with which the tables were compared."""
    compared = {(one.table, one.reference) for one in states_of(states, steps) if one.change is not None}
    compared |= {(one.moment.table, one.moment.former) for one in steps if one.is_open}
    names = {dump for _, dump in compared}
    if live.taken is None or not compared:
        return {}
    dumps = [one for one in points.dumps if one.name in names]
    return altered_columns(dumps, live.taken, {table for table, _ in compared})


def _references(live: LiveSite, lost: Collection[str]) -> tuple[tuple[str, str], ...]:
    """Return which tables are above which; the site's Django is asked only if several tables have lost rows."""
    if live.taken is None:
        return ()
    held = live.taken.references()
    known = {(table, to) for table, to, _ in held}
    named = references_by_models(live.site, lost) if len(lost) > 1 else ()
    return holding([*held, *(one for one in named if one[:2] not in known)])


class TableDiagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """A table: its state if it differs, as `tables` and `replaced` of a diagnosis, and its steps, oldest first.

    The rows of the steps in `unread` were not compared.
    """

    tables: tuple[TableState, ...] = ()
    replaced: tuple[TableState, ...] = ()
    steps: tuple[TableStep, ...] = ()
    unread: tuple[TableMoment, ...] = ()
    problems: tuple[str, ...] = ()
    altered: dict[str, tuple[str, ...]] = {}


def diagnose_table(points: Points, live: LiveSite, table: str) -> TableDiagnosis:
    """Return the state of a table against its dumps, and the rows that changed in each step."""
    seen = _SeenStates()
    changes = moments(_states(of_the_site(points.dumps), live, seen, {table}), {table})
    back = LookBack(points.dumps, seen.dumps, live)
    steps, unread = back.steps_of(changes, table, seen.present)
    problems = tuple(back.problems)
    if seen.present is None:
        return TableDiagnosis(steps=steps, unread=unread, problems=problems)
    tables = _table_states(points, live, seen.present, changes)
    replaced = only_replaced(_replaced(points, live, seen.present, {table}), states_of(tables, steps))
    return TableDiagnosis(
        tables=tables,
        replaced=replaced,
        altered=_altered(points, live, (*tables, *replaced), steps),
        steps=steps,
        unread=unread,
        problems=problems,
    )


def _unread(found: FoundSteps) -> list[str]:
    """Return the tables whose rows were not compared from dump to dump, in words."""
    return [
        f"the rows of {table} that changed until {one.source}: korrigo-backup rescue {quote(table)}"
        for table, one in sorted(found.unread.items())
    ]


@dataclass
class _SeenStates:
    """The names of the dumps whose states were read, and the live state, None if it is not known."""

    dumps: list[str] = field(default_factory=list)
    present: PointTables | None = None


def _states(
    dumps: Sequence[Artifact], live: LiveSite, seen: _SeenStates, wanted: Collection[str] | None = None
) -> Iterator[PointTables]:
    """Yield the saved states and then the live state, and note them."""
    newest = None
    for state in saved_tables(dumps, wanted):
        newest = state
        seen.dumps.append(state.source)
        yield state
    if live.taken is not None and newest is not None:
        seen.present = live_tables(live.taken, newest, live.now, wanted)
        yield seen.present


def _is_return(state: TableState, steps: Sequence[TableStep]) -> bool:
    """Return whether a table that changed since the newest dump has gone back to before a step with many rows."""
    if state.moment.source != LIVE or state.change is None or state.change.removed or state.change.lost_columns:
        return False
    since = [one.live for one in steps if one.moment.table == state.table and one.live is not None]
    return any(one.changed + one.removed < state.change.changed for one in since)


def _is_passing(table: str) -> bool:
    return table.rpartition(".")[2] in PASSING


def _table_states(
    points: Points, live: LiveSite, present: PointTables, changes: Sequence[TableMoment]
) -> tuple[TableState, ...]:
    """Return the live tables that differ from before their newest loss, or from the newest dump."""
    since = {one.table: one for one in changes if one.source == LIVE and one.kind is not MomentKind.NEW}
    chosen = {**since, **last_losses(changes)}
    by_dump: dict[str, dict[str, TableMoment]] = defaultdict(dict)
    for table, moment in chosen.items():
        if not _is_passing(table) and table not in present.unseen:
            by_dump[moment.former][table] = moment
    dumps = {one.name: one for one in points.dumps}
    found = [
        TableState(table=table, reference=name, moment=moment, change=changes_of.get(table))
        for name, wanted in by_dump.items()
        for changes_of in [rows_since(dumps[name], live, present, wanted)]
        for table, moment in wanted.items()
    ]
    return tuple(sorted((one for one in found if one.is_lost), key=_weight))


def _replaced(
    points: Points, live: LiveSite, present: PointTables, wanted: Collection[str] | None = None
) -> tuple[TableState, ...]:
    """Return the live tables with fewer rows than the newest safety backup has, and rows of it that are not live."""
    safety = newest_replaced(points.dumps)
    if safety is None:
        return ()
    states = list(saved_tables([safety], wanted))
    found = [
        one
        for one in moments([*states, present])
        if one.is_loss and not _is_passing(one.table) and one.rows is not None
    ]
    changes = rows_since(safety, live, present, {one.table: one for one in found})
    made = (
        TableState(table=one.table, reference=safety.name, moment=one, change=changes.get(one.table)) for one in found
    )
    return tuple(sorted((one for one in made if one.change and one.change.removed), key=_weight))


def _weight(state: TableState) -> tuple[bool, int, str]:
    """Order tables: those that lost rows first, most rows first."""
    removed = state.change.removed if state.change else state.moment.rows_before or 0
    return not removed, -removed, state.table
