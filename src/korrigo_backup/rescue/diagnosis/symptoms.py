"""Symptoms that a person types: an object, a table or a media file; their meanings, how each stood, its ways back."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.kinds import Origin
from korrigo_backup.core.paths import printable
from korrigo_backup.errors import KorrigoBackupError, NotFound, UsageError
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.diagnosis.losses import diagnose_table
from korrigo_backup.rescue.diagnosis.moments import TableMoment  # noqa: TC001 - msgspec reads it when it encodes
from korrigo_backup.rescue.diagnosis.offers import (
    NONE,
    RESTORE_FILE,
    REVERT,
    SERVES,
    UNDELETE,
    Offer,
    RescueFacts,
    offers,
)
from korrigo_backup.rescue.diagnosis.states import TableState  # noqa: TC001 - as below
from korrigo_backup.rescue.diagnosis.steps import TableStep  # noqa: TC001 - msgspec reads it when it encodes
from korrigo_backup.rescue.history.files import FileHistory, file_history, live_file, relative, saved_file
from korrigo_backup.rescue.history.row_changes import LIVE, RowEventKind
from korrigo_backup.rescue.history.rows import HistorySource, RowHistory, row_history
from korrigo_backup.rescue.history.tables import TableHistory, table_history
from korrigo_backup.rescue.media_files.saved import near_files
from korrigo_backup.rescue.objects import parse_object
from korrigo_backup.rescue.points import before
from korrigo_backup.rescue.source_dumps import of_the_site

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.rescue.diagnosis.live_site import LiveSite
    from korrigo_backup.rescue.history.row_changes import RowEvent
    from korrigo_backup.rescue.objects import NamedTable
    from korrigo_backup.rescue.points import Points
    from korrigo_backup.rescue.site_tables import NamedRow, SiteTables


OFFERED = 6
"""Steps of a table that have an offer."""


class Symptom(msgspec.Struct, frozen=True, kw_only=True):
    """A meaning of a typed text: how it stood and stands, and the ways back.

    One of `row`, `table` and `file` is there. `tables` are the differences of a table, row by row; `steps` its changes
    from dump to dump with their rows, but for those in `unread`. `is_as_saved` tells whether it is live as in the
    newest backup, None if the live side is not known.
    """

    symptom: str
    row: RowHistory | None = None
    table: TableHistory | None = None
    file: FileHistory | None = None
    tables: tuple[TableState, ...] = ()
    steps: tuple[TableStep, ...] = ()
    unread: tuple[TableMoment, ...] = ()
    problems: tuple[str, ...] = ()
    is_as_saved: bool | None
    offers: tuple[Offer, ...] = ()


@dataclass(frozen=True)
class TypedMeanings:
    """The meanings of a typed text: a row, a table, a media file by its path below the media root ("" for none)."""

    text: str
    row: NamedRow | None
    table: NamedTable | None
    path: str

    @property
    def is_ambiguous(self) -> bool:
        """Whether the text means more than one thing."""
        return bool(self.path) and (self.row is not None or self.table is not None)


@dataclass(frozen=True)
class Surroundings:
    """Where symptoms are looked for; `commands` are those of this version, `audit` names the site's audit table."""

    points: Points
    live: LiveSite
    tables: SiteTables
    commands: Container[str]
    audit: str = ""


def meanings(text: str, seen: Surroundings) -> TypedMeanings:
    """Return all that a text can mean.

    Raises NotFound, with near names, for a text that means nothing; UsageError for a model of several apps, and for a
    directory.
    """
    row, table, absent = None, None, None
    try:
        if _is_object(text):
            row = seen.tables.row(text)
        else:
            table = seen.tables.find(text)
    except NotFound as problem:
        absent = problem
    path = _file(text, seen)
    if absent and not path:
        raise _unknown(text, absent, seen)
    return TypedMeanings(text, row, table, path)


def _is_object(text: str) -> bool:
    with suppress(UsageError):
        return bool(parse_object(text))
    return False


def _file(text: str, seen: Surroundings) -> str:
    """Return the path below the media root if a backup or the live tree has that file, "" if none has."""
    tree = seen.live.tree
    try:
        path = relative(text, str(tree.root) if tree else "")
    except UsageError:
        return ""
    for backup in reversed(seen.points.media):
        with suppress(FileNotFoundError):
            if saved_file(backup, path):
                return path
    with suppress(OSError):
        return path if tree is not None and live_file(tree, path) else ""
    return ""


def _unknown(text: str, absent: NotFound, seen: Surroundings) -> KorrigoBackupError:
    """Return the error for a text that means nothing, with near tables and near files."""
    root = str(seen.live.tree.root) if seen.live.tree else ""
    try:
        path = relative(text, root)
    except UsageError:
        path = ""
    newest = list(reversed(seen.points.media))
    near = near_files(path, newest) if path else []
    if near and near[0].startswith(f"{path}/"):
        return UsageError(
            f"{printable(path)} is a directory of media files",
            hint=f"korrigo-backup restore --file {quote(path)} --dry-run names the files that are missing below it",
        )
    if not near:
        hint = f"{absent.hint}; korrigo-backup rescue, without a name, finds what is missing"
        return NotFound(absent.message, hint=hint, id_=absent.id)
    return NotFound(
        f"{absent.message}, and no media file {printable(path)}",
        hint=f"{absent.hint}; or the file {' or '.join(map(printable, near))}?",
        id_="rescue.no_table",
    )


def look_at(meant: TypedMeanings, seen: Surroundings) -> list[Symptom]:
    """Return a symptom for each meaning of a text; raises as the histories do."""
    found = []
    if meant.row:
        found.append(_of_row(meant, meant.row, seen))
    if meant.table:
        found.append(_of_table(meant, meant.table, seen))
    if meant.path:
        found.append(_of_file(meant, seen))
    return found


def _of_row(meant: TypedMeanings, row: NamedRow, seen: Surroundings) -> Symptom:
    live = seen.live
    source = HistorySource(live.site, seen.points, live.taken, live.now, seen.audit)
    history = row_history(source, seen.tables, row)
    former = _former(history.events, seen.points.dumps)
    made = row_offers(row, history, former, seen.commands) if former else ()
    if made and live.taken and history.table not in {one.name for one in live.taken.tables()}:
        made = _of_table(meant, row.table, seen).offers
    return Symptom(symptom=meant.text, row=history, is_as_saved=_is_as_saved(history), offers=made)


def row_offers(row: NamedRow, history: RowHistory, former: Artifact, commands: Container[str]) -> tuple[Offer, ...]:
    """Return the ways back for a row: it is gone, or was changed after the state `former`."""
    if history.is_live is False and UNDELETE in commands:
        return (
            Offer(
                brings=f"{row.name}, and what was deleted with it",
                loses=NONE,
                downtime=SERVES,
                command=f"korrigo-backup undelete {quote(row.name)} --from {quote(former.name)}",
            ),
        )
    if history.is_live and former.origin is not Origin.SAFETY and REVERT in commands:
        values = zip(row.key, row.values, strict=True)
        where = " AND ".join(f"{identifier(name)} = {literal(value)}" for name, value in values)
        table = quote(history.table)
        return (
            Offer(
                brings=f"the former values of {row.name}",
                loses="the values that it has now",
                downtime=SERVES,
                command=f"korrigo-backup revert --table {table} --where {quote(where)} --from {quote(former.name)}",
            ),
        )
    return ()


def _former(events: Sequence[RowEvent], artifacts: Sequence[Artifact]) -> Artifact | None:
    """Return the artifact with the state before the newest change or loss, None if there is none."""
    last = events[-1] if events else None
    if last is None or last.after is None or last.kind not in {RowEventKind.GONE, RowEventKind.CHANGED}:
        return None
    return before(artifacts, last.after)


def _of_table(meant: TypedMeanings, table: NamedTable, seen: Surroundings) -> Symptom:
    points, live = seen.points, seen.live
    history = table_history(points.require_dumps(), live.taken, table.table, now=live.now, note=table.note)
    found = diagnose_table(points, live, table.table)
    tables, replaced = found.tables, found.replaced
    shown = offered_steps(found.steps)
    reference = tables[0].reference if tables else shown[0].moment.former if shown else ""
    dump = next((one for one in points.dumps if one.name == reference), of_the_site(points.dumps)[-1])
    point = points.point_of(dump) or dump
    since = f"{dump.created.astimezone():%Y-%m-%d %H:%M}"
    made = offers(RescueFacts(tables, None, point.name, since, replaced, shown, altered=found.altered), seen.commands)
    same = None if live.taken is None or history.unseen else not (tables or replaced)
    return Symptom(
        symptom=meant.text,
        table=history,
        tables=(*tables, *replaced),
        steps=found.steps,
        unread=found.unread,
        problems=found.problems,
        is_as_saved=same,
        offers=made,
    )


def offered_steps(steps: Sequence[TableStep]) -> tuple[TableStep, ...]:
    """Return the steps that have an offer: whose rows still differ, those with many rows first, then the newest."""
    still = sorted((one for one in steps if one.is_open), key=lambda one: one.moment.at, reverse=True)
    return tuple(sorted(still, key=lambda one: not one.is_large)[:OFFERED])


def _is_as_saved(history: RowHistory | FileHistory) -> bool | None:
    if history.is_live is None:
        return None
    return history.is_live and not (history.events and history.events[-1].source == LIVE)


def _of_file(meant: TypedMeanings, seen: Surroundings) -> Symptom:
    history = file_history(seen.points, seen.live.tree, meant.path, now=seen.live.now)
    former = _former(history.events, seen.points.media)
    made = file_offers(history, former.name, seen.commands) if former else ()
    return Symptom(symptom=meant.text, file=history, is_as_saved=_is_as_saved(history), offers=made)


def file_offers(history: FileHistory, former: str, commands: Container[str]) -> tuple[Offer, ...]:
    """Return the ways back for a file that is gone, or was changed after the media backup `former`."""
    if RESTORE_FILE not in commands or history.is_live is None:
        return ()
    over = " --overwrite" if history.is_live else ""
    return (
        Offer(
            brings=f"{'the former content of ' if over else ''}{printable(history.file)}",
            loses="the content that it has now, kept for a rollback" if over else "nothing: no live file is replaced",
            downtime=SERVES,
            command=f"korrigo-backup restore --file {quote(history.file)}{over} {quote(former)}",
        ),
    )
