"""The tables in which a site keeps who changed an object, and the columns of each: decided here by their names.

Known are Django's own admin log, django-auditlog, the tables of django-simple-history, and the table that
`[rescue] audit` names, whose columns have usual names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.rescue.objects import plain_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ADMIN_LOG, AUDITLOG, CONTENT_TYPES = "django_admin_log", "auditlog_logentry", "django_content_type"

_HISTORICAL = "_historical"

_KEYS = ("object_id", "object_pk", "record_id", "row_id")
_MOMENTS = ("action_time", "timestamp", "history_date", "created_at", "created", "date_created", "changed_at", "at")
_USERS = ("user_id", "actor_id", "history_user_id", "changed_by_id", "user", "username", "changed_by")
_ACTIONS = ("action_flag", "action", "history_type", "operation", "event")
_MESSAGES = ("change_message", "changes", "history_change_reason", "comment", "message", "changed_data")

_ACTION_WORDS: Mapping[str, Mapping[str, str]] = {
    "action_flag": {"1": "added", "2": "changed", "3": "deleted"},
    "action": {"0": "added", "1": "changed", "2": "deleted", "3": "seen"},
    "history_type": {"+": "added", "~": "changed", "-": "deleted"},
}


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of an audit table about an object: when, by whom (a name, or the key of a user), what."""

    at: datetime
    by: str
    action: str
    message: str
    table: str


@dataclass(frozen=True)
class AuditTable:
    """An audit table and its columns; those that it lacks are "". `content_type` refers to django_content_type."""

    table: str
    key: str
    moment: str
    user: str
    action: str
    message: str
    content_type: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that an entry is made of, without those that are lacking."""
        return tuple(filter(None, (self.key, self.moment, self.user, self.action, self.message, self.content_type)))


def audit_tables(
    tables: Mapping[str, Sequence[str]], table: str, key: str, configured: str = ""
) -> tuple[AuditTable, ...]:
    """Return the audit tables that may have entries about the rows of a table.

    `tables` gives the columns of each table by its qualified name, `key` is the column of the table's primary key,
    `configured` the plain or qualified name of the site's own audit table.
    """
    historical = _of_history(table)
    found = []
    for name, columns in tables.items():
        plain = _plain(name)
        if plain in {ADMIN_LOG, AUDITLOG} or (configured and configured in {name, plain}):
            made = _audit_table(name, columns, _first(_KEYS, columns) or (key if configured else ""))
        elif plain in historical:
            made = _audit_table(name, columns, key if key in columns else "")
        else:
            continue
        if made.key and made.moment:
            found.append(made)
    return tuple(found)


def _audit_table(name: str, columns: Sequence[str], key: str) -> AuditTable:
    user, action, message = (_first(names, columns) for names in (_USERS, _ACTIONS, _MESSAGES))
    content_type = _first(("content_type_id",), columns)
    return AuditTable(name, key, _first(_MOMENTS, columns), user, action, message, content_type)


def _of_history(table: str) -> set[str]:
    """Return the names that django-simple-history may give to the history of a table: `exams_historicalexam`."""
    parts = _plain(table).split("_")
    return {"_".join(parts[:at]) + _HISTORICAL + "_".join(parts[at:]) for at in range(1, len(parts))}


def entry(table: AuditTable, values: Mapping[str, str | None]) -> AuditEntry | None:
    """Return the entry of a row of an audit table; None if its time cannot be read."""
    try:
        moment = datetime.fromisoformat(values.get(table.moment) or "")
    except ValueError:
        return None
    action = values.get(table.action) or ""
    return AuditEntry(
        at=moment.astimezone(UTC),
        by=values.get(table.user) or "",
        action=_ACTION_WORDS.get(table.action, {}).get(action, action),
        message=_in_words(values.get(table.message) or ""),
        table=_plain(table.table),
    )


def _in_words(message: str) -> str:
    """Return the names of the fields in a message of Django's admin, another message as it is."""
    try:
        parts = msgspec.json.decode(message, type=list[dict[str, dict[str, object]]])
    except (msgspec.DecodeError, UnicodeError):
        return message
    named = [field for part in parts for what in part.values() for field in _fields(what.get("fields"))]
    return ", ".join(named)


def _fields(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def together(*sources: Iterable[AuditEntry]) -> tuple[AuditEntry, ...]:
    """Return the entries of several sources once each, oldest first; the first source knows the names of users."""
    found: dict[tuple[object, ...], AuditEntry] = {}
    for source in sources:
        for one in source:
            found.setdefault((one.table, one.at, one.action, one.message), one)
    return tuple(sorted(found.values(), key=lambda one: one.at))


def _plain(name: str) -> str:
    return plain_parts(name)[1]


def _first(names: Iterable[str], columns: Sequence[str]) -> str:
    return next((name for name in names if name in columns), "")
