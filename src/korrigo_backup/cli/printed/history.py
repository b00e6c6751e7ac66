"""A history, printed for people."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from msgspec import UNSET

from korrigo_backup.cli.output import say, say_data
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import listed
from korrigo_backup.core.paths import printable
from korrigo_backup.rescue.diagnosis.moments import MomentKind
from korrigo_backup.rescue.history.row_changes import LIVE, RowEventKind
from korrigo_backup.rescue.history.table_changes import ChangeKind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from msgspec import UnsetType

    from korrigo_backup.rescue.diagnosis.moments import TableMoment
    from korrigo_backup.rescue.history.audit_tables import AuditEntry
    from korrigo_backup.rescue.history.files import FileHistory
    from korrigo_backup.rescue.history.row_changes import FieldChange, RowEvent
    from korrigo_backup.rescue.history.rows import RowHistory
    from korrigo_backup.rescue.history.table_changes import TableChanges
    from korrigo_backup.rescue.history.tables import TableHistory

LONGEST = 70
"""Characters of a value that are shown; --json has the whole value."""


def say_row_history(history: RowHistory, away: str) -> None:
    """Print the history of a row, oldest first; `away` is why the live database was not asked, "" if it was."""
    say(f"{history.object}, a row of {history.table}")
    if history.note:
        say(f"  {history.note}")
    dumps = counted(history.dumps, "dump")
    say(f"  {dumps} from {minute(history.since)} to {minute(history.until)}, {history.read} read")
    lines = [(one.at, 1, one) for one in history.events]
    entries = [(one.at, 0, one) for one in history.entries]
    for _, is_event, one in sorted(chain(lines, entries), key=lambda line: line[:2]):
        if is_event:
            _say_event(one)  # type: ignore[arg-type]  # the second item of its line says so
        else:
            _say_entry(one)  # type: ignore[arg-type]
    _say_now(history.events, is_live=history.is_live)
    if not history.events:
        say(f"no change of {history.field}" if history.field else "no change")
    if away := away or history.unseen:
        say(f"⚠️ the live state is not known: {away}")


def say_file_history(history: FileHistory, away: str) -> None:
    """Print the history of a media file; `away` as above."""
    say(f"{printable(history.file)}, a media file")
    backups = counted(history.backups, "media backup")
    say(f"  {backups} from {minute(history.since)} to {minute(history.until)}")
    for event in history.events:
        _say_event(event)
    _say_now(history.events, is_live=history.is_live)
    if history.without_listing:
        say(f"⚠️ without a listing, so not looked into: {listed(history.without_listing)}")
    if away:
        say(f"⚠️ the live state is not known: {away}")


def say_table_history(history: TableHistory, away: str) -> None:
    """Print when a table changed; `away` as above."""
    say(f"{history.table}")
    if history.note:
        say(f"  {history.note}")
    say(f"  {counted(history.dumps, 'dump')} from {minute(history.since)} to {minute(history.until)}, none opened")
    for one in history.moments:
        say_moment(one)
    if not history.moments:
        say("no change")
    if history.without_manifest:
        say(f"⚠️ {counted(history.without_manifest, 'dump')} without a manifest: not known")
    if history.without_digest:
        say(f"⚠️ between {history.without_digest} of these states only the number of rows is known")
    if away := away or history.unseen:
        say(f"⚠️ the live state is not known: {away}")


def say_moment(moment: TableMoment, name: str = "") -> None:
    """Print a change of a table between two states, with its name if that does not stand above."""
    until = "now" if moment.source == LIVE else minute(moment.at)
    rows = {
        MomentKind.NEW: f"new, {moment.rows} rows",
        MomentKind.GONE: f"gone, with {moment.rows_before} rows",
        MomentKind.EMPTIED: f"emptied: {moment.rows_before} rows before",
        MomentKind.FEWER: f"{moment.rows_before} → {moment.rows} rows",
        MomentKind.MORE: f"{moment.rows_before} → {moment.rows} rows",
        MomentKind.CHANGED: f"changed, {moment.rows} rows as before",
    }
    say(f"{minute(moment.after)} to {until}  {f'{name}: ' if name else ''}{rows[moment.kind]}")


def say_table_changes(changes: TableChanges) -> None:
    """Print the rows of a table that changed."""
    say(f"{changes.table}")
    if changes.note:
        say(f"  {changes.note}")
    say(f"  from {changes.first} ({minute(changes.first_at)})")
    say(f"  to {changes.later} ({minute(changes.later_at)})")
    counts = changes.change
    least = "" if counts.exact else "at least "
    say(f"  {least}{counts.changed} changed, {counts.removed} removed, {counts.added} added")
    for row in changes.rows:
        key = ", ".join(f"{printable(name)}={_value(value)}" for name, value in row.key.items())
        fields = ", ".join(_change(one, first=row.kind is not ChangeKind.CHANGED) for one in row.fields)
        say_data(
            f"  {_MARKS[row.kind]} {key or fields}{f'  {fields}' if key and row.kind is ChangeKind.CHANGED else ''}"
        )
    if (left := counts.count - len(changes.rows)) > 0:
        say(f"  and {left} more (--rows)")
    for word, columns in (("new", counts.new_columns), ("lost", counts.lost_columns)):
        if columns:
            say(f"  {word} columns, left out of the comparison: {', '.join(columns)}")


_MARKS = {ChangeKind.ADDED: "+", ChangeKind.CHANGED: "~", ChangeKind.REMOVED: "-"}


def minute(moment: datetime) -> str:
    """Return a time for people: local, to the minute."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M}"


def _say_event(event: RowEvent) -> None:
    place = event.point or event.source
    at = "now             " if event.source == LIVE else minute(event.at)
    since = f" since {minute(event.after)}" if event.after else ""
    words = {
        RowEventKind.FIRST: f"{at}  first seen in {place}",
        RowEventKind.CHANGED: f"{at}  changed{since}: {place}",
        RowEventKind.GONE: f"{at}  gone{since}: {place}",
        RowEventKind.BACK: f"{at}  back{since}: {place}",
    }
    if event.kind is RowEventKind.GONE and event.source == LIVE and event.after:
        say(f"now               gone: last seen {minute(event.after)}")
    else:
        say(words[event.kind])
    for one in event.fields:
        say_data(f"    {_change(one, first=event.kind is RowEventKind.FIRST)}")


def _say_now(events: Sequence[RowEvent], *, is_live: bool | None) -> None:
    """Print how the object stands now, if the last event is older."""
    if is_live is not None and events and events[-1].source != LIVE:
        say("now               live, unchanged since" if is_live else "now               gone")


def _change(change: FieldChange, *, first: bool) -> str:
    name = printable(change.field)
    return (
        f"{name} = {_value(change.old if change.new is UNSET else change.new)}"
        if first
        else f"{name}: {_value(change.old)} → {_value(change.new)}"
    )


def _value(value: str | UnsetType | None) -> str:
    if value is None:
        return "NULL"
    if not isinstance(value, str):
        return "-"
    text = printable(value)
    return f"{text[:LONGEST]}…" if len(text) > LONGEST else text


def _say_entry(entry: AuditEntry) -> None:
    what = f": {_value(entry.message)}" if entry.message else ""
    say(f"{minute(entry.at)}  {entry.table}: {entry.by or '-'} {entry.action or '-'}{what}")
