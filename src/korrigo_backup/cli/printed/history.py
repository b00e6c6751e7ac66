"""A history, printed for people."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from korrigo_backup.cli.output import say, say_data
from korrigo_backup.core.counted import counted
from korrigo_backup.core.paths import printable
from korrigo_backup.rescue.row_changes import LIVE, RowEventKind

if TYPE_CHECKING:
    from datetime import datetime

    from msgspec import UnsetType

    from korrigo_backup.rescue.audit_tables import AuditEntry
    from korrigo_backup.rescue.row_changes import FieldChange, RowEvent
    from korrigo_backup.rescue.row_history import RowHistory

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
    if not history.events:
        say(f"no change of {history.field}" if history.field else "no change")
    if away:
        say(f"⚠️ the live state is not known: {away}")


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
    say(words[event.kind])
    for one in event.fields:
        say_data(f"    {_change(one, first=event.kind is RowEventKind.FIRST)}")


def _change(change: FieldChange, *, first: bool) -> str:
    name = printable(change.field)
    return f"{name} = {_value(change.new)}" if first else f"{name}: {_value(change.old)} → {_value(change.new)}"


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
