"""Parts of a site that a Django backup does not hold, by kind: found at the backup, kept in its manifest."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, warning

if TYPE_CHECKING:
    from collections.abc import Iterable

_NAMED = 8

SCHEMAS = "schemas"
"""The name by which tables of the site in other schemas are accepted as missing (`--accept schemas`)."""


class LeftOutKind(StrEnum):
    """Why something is not in a backup; each is the end of a finding's id: `django.left-out.schema`."""

    SCHEMA = "schema"
    DATABASE = "database"
    TABLE = "table"
    COLUMN = "column"
    STORAGE = "storage"
    LARGE_OBJECT = "large-object"
    RIGHT = "right"


class LeftOut(msgspec.Struct, frozen=True):
    """An object of the site that is not in the backup; `facts` are further details for a person."""

    kind: LeftOutKind
    name: str
    facts: str = ""


_WORDS = {
    LeftOutKind.SCHEMA: (
        "not in this backup, tables of the site's apps in other schemas",
        "back them up by method 1: korrigo-backup backup full",
    ),
    LeftOutKind.DATABASE: (
        "not in this backup, other databases of DATABASES",
        "make a backup of each: python manage.py backup --database ALIAS",
    ),
    LeftOutKind.TABLE: (
        "not in this backup, tables without a model",
        "a restore leaves their rows as they are; method 1 holds them: korrigo-backup backup full",
    ),
    LeftOutKind.COLUMN: (
        "not in this backup, columns of models' tables that no model has",
        "a restore gives them their defaults; method 1 holds them: korrigo-backup backup full",
    ),
    LeftOutKind.STORAGE: (
        "not in this backup, files that are not stored below MEDIA_ROOT",
        "back that storage up by its own means",
    ),
    LeftOutKind.LARGE_OBJECT: (
        "not in this backup, large objects",
        "method 1 holds them: korrigo-backup backup full",
    ),
    LeftOutKind.RIGHT: (
        "a restore needs the owner of these tables, which this role is not",
        "make the site's role their owner: ALTER TABLE … OWNER TO …",
    ),
}


def media_findings(notes: Iterable[str]) -> list[Finding]:
    """Return a warning for each thing of the media tree that a Django backup does not hold, from its manifest."""
    hint = "method 1 holds links, owners and modes: korrigo-backup backup full"
    return [warning("django.left-out.media", f"media: {note}", hint) for note in notes]


def left_out_findings(found: Iterable[LeftOut]) -> list[Finding]:
    """Return a warning for each kind, with the names."""
    by_kind: dict[LeftOutKind, list[LeftOut]] = {}
    for one in found:
        by_kind.setdefault(one.kind, []).append(one)
    return [_finding(kind, by_kind[kind]) for kind in LeftOutKind if kind in by_kind]


def _finding(kind: LeftOutKind, found: list[LeftOut]) -> Finding:
    words, hint = _WORDS[kind]
    names = first_of([f"{one.name} ({one.facts})" if one.facts else one.name for one in found], _NAMED)
    return warning(f"django.left-out.{kind}", f"{words}: {names}", hint)
