"""The pages that look into a backup which the site's process can read: its tables, rows of one, one row."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from django.http import Http404
from django.utils.translation import pgettext

from korrigo_backup.artifact.history import members_of
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.credentials import HIDDEN, is_secret
from korrigo_backup.djangoapp.location import erasure_directory
from korrigo_backup.djangoapp.look.computed import OBJECT, ListColumn, computed, computed_details, list_columns
from korrigo_backup.djangoapp.look.presented import Presented, migrations_of, presented
from korrigo_backup.djangoapp.look.tables import (
    SavedTable,
    layout_of,
    live_keys,
    live_row,
    tables_of,
    uncompared,
)
from korrigo_backup.djangoapp.signing import KEY_FILE
from korrigo_backup.djangoapp.status.page import NoBackupsError, seen
from korrigo_backup.djangoapp.status.wording import in_language, local
from korrigo_backup.erasure.ledger import NAME
from korrigo_backup.erasure.marker import is_marked
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.rescue.saved.page import PAGE, LookTooLongError, look_into

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.kinds import Kind
    from korrigo_backup.artifact.manifest import ModelColumns
    from korrigo_backup.status.model import Facts

SHOWN, WHOLE = 80, 20_000
"""Characters of a value in a list, and on the page of its row."""

_LAST = 100_000
"""The last page that a reader may ask for."""


class Saved(NamedTuple):
    """A backup that is looked into, its dump (of a Django backup itself), and the tables that the user may see.

    `models` gives tables and columns of a Django backup; `migrations` are those of the backup.
    """

    backup: Artifact
    dump: Artifact
    tables: list[SavedTable]
    models: Mapping[str, ModelColumns]
    migrations: tuple[str, ...]


def can_look(artifact: Artifact, facts: Facts, place: Path) -> bool:
    """Return whether the rows of a backup can be read by the site's process."""
    return place.is_dir() and not hides_erased(place) and _dump(artifact, facts) is not None


def hides_erased(place: Path) -> bool:
    """Return whether rows may have been erased on request, which the host alone knows: then the host shows the rows.

    `place` is the directory of the backups.
    """
    keys = os.environ.get(KEY_FILE)
    return (
        is_marked(place) or erasure_directory() is not None or bool(keys and os.path.lexists(Path(keys).parent / NAME))
    )


def _dump(artifact: Artifact, facts: Facts) -> Artifact | None:
    """Return the artifact with the rows of an artifact of this site, if it has one that can be relied on."""
    names = {artifact.name, *members_of(artifact)}
    found = next((one for one in facts.artifacts if _has_rows(one.kind) and one.name in names), None)
    if found is None or found.problem or found.header is None or found.authenticity is Authenticity.FORGED:
        return None
    return found if found.ours else None


def _has_rows(kind: Kind) -> bool:
    return KINDS[kind].is_dump or KINDS[kind].loaded_by_django


def opened(user: Any, name: str) -> Saved:
    """Return a backup to look into; Http404 if there is none of that name that can be read from here."""
    try:
        facts, _goals, place = seen(datetime.now(UTC))
    except NoBackupsError as problem:
        raise Http404(str(problem)) from None
    artifact = next((one for one in facts.artifacts if one.name == name), None)
    dump = _dump(artifact, facts) if artifact and can_look(artifact, facts, place) else None
    if artifact is None or dump is None:
        raise Http404(f"no backup {name} can be looked into from here")
    try:
        manifest = dump.manifest
    except (KorrigoBackupError, OSError) as problem:
        raise Http404(str(problem)) from None
    if manifest is None:
        raise Http404(f"{name} has no manifest")
    return Saved(artifact, dump, tables_of(manifest, user), layout_of(manifest), migrations_of(manifest))


def heading(saved: Saved) -> dict[str, Any]:
    """Return the values that each of the pages has."""
    return {"backup": saved.backup, "made": local(saved.dump.created)}


def table_of(saved: Saved, name: str) -> SavedTable:
    """Return a table that the user may see; Http404 for any other."""
    found = next((one for one in saved.tables if one.name == name), None)
    if found is None:
        raise Http404(f"the backup has no table {name} that you may see")
    return found


def page_number(query: Mapping[str, str]) -> int:
    """Return the number of the page that is asked for, 1 for a text that is none."""
    text = query.get("p", "")
    return min(_LAST, max(1, int(text))) if text.isascii() and text.isdigit() and len(text) < 10 else 1  # noqa: PLR2004


def rows(saved: Saved, table: SavedTable, query: Mapping[str, str], admins: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the values of the list of rows."""
    number, words = page_number(query), query.get("q", "").strip()[:200]
    values = {"table": table, "words": words, "page": number, "total": table.rows, **heading(saved)}
    try:
        with look_into(saved.dump, models=saved.models) as dump:
            found = dump.page(table.name, number, words)
    except LookTooLongError:
        return {**values, "trouble": _too_long()}
    except KorrigoBackupError as problem:
        return {**values, "trouble": in_language(problem.message)}
    view = presented(table, saved.migrations)
    admin = admins.get(table.model)
    columns = list_columns(view, found.rows[0].columns, admin) if found.rows else []
    left = uncompared(table, saved.dump.kind)
    keys = [key for one in found.rows if (key := one.values().get(table.key)) is not None] if table.key else []
    live = live_keys(table, keys)
    return {
        **values,
        "columns": columns,
        "is_alike": view.is_alike,
        "rows": [_line(view, one.values(), columns, admin, live, left) for one in found.rows],
        "has_state": live is not None,
        "before": number - 1 if number > 1 else None,
        "after": number + 1 if found.has_next else None,
        "first": (number - 1) * PAGE + 1,
    }


def _line(
    view: Presented,
    values: Mapping[str, str | None],
    columns: list[ListColumn],
    admin: Any,
    live: set[str] | None,
    left: Collection[str],
) -> dict[str, Any]:
    key = values.get(view.table.key) if view.table.key else None
    return {
        "key": key,
        "cells": list_cells(view, values, columns, admin, left),
        "is_gone": live is not None and key is not None and key not in live,
    }


def list_cells(
    view: Presented,
    values: Mapping[str, str | None],
    columns: Sequence[ListColumn],
    admin: Any,
    left: Collection[str] = (),
) -> list[Any]:
    """Return the cells of a row in a list, None for NULL and for what cannot be computed; `left` are not whole."""
    asked = [one.entry for one in columns if not one.column]
    made = iter(computed(view, values, asked, admin, left) if asked else ())
    return [
        view.words(one.column, values.get(one.column)) or _shown(one.column, values.get(one.column), SHOWN)
        if one.column
        else next(made)
        for one in columns
    ]


def row(saved: Saved, table: SavedTable, key: str, admins: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the values of the page of a row: each saved value next to the live value. Http404 for no such row."""
    values = {"table": table, "key": key, "object": table.object(key), **heading(saved)}
    try:
        with look_into(saved.dump, models=saved.models) as dump:
            found = dump.row(table.name, table.key, key)
    except LookTooLongError:
        return {**values, "trouble": _too_long()}
    except KorrigoBackupError as problem:
        return {**values, "trouble": in_language(problem.message)}
    if found is None:
        raise Http404(f"the backup has no row {key}")
    view, left = presented(table, saved.migrations), uncompared(table, saved.dump.kind)
    told = object_of(view, found.values(), admins, left)
    return {**values, **told, **compared(view, key, found.values(), left, saved.tables)}


def object_of(
    view: Presented, values: Mapping[str, str | None], admins: Mapping[Any, Any], left: Collection[str]
) -> dict[str, Any]:
    """Return the object in the words of its model, and what its ModelAdmin computes: heading and value of each."""
    admin = admins.get(view.table.model)
    heads = computed_details(view, admin)
    said, *made = computed(view, values, [OBJECT, *(one.entry for one in heads)], admin, left)
    return {"said": said, "computed": [(one.head, value) for one, value in zip(heads, made, strict=True)]}


def compared(
    view: Presented,
    key: str,
    saved: Mapping[str, str | None],
    left: Collection[str],
    tables: Collection[SavedTable],
) -> dict[str, Any]:
    """Return each saved value next to the live value; columns that are `left` are not compared.

    `tables` are those that the user may see: a foreign key to one of them leads to its row.
    """
    table = view.table
    live = live_row(table, {name: text for name, text in saved.items() if name not in left and text != HIDDEN})
    is_gone = (live_keys(table, [key]) or set()) == set() if live is None else False
    return {
        "is_gone": is_gone,
        "is_compared": live is not None,
        "is_alike": view.is_alike,
        "fields": [
            {
                "name": name,
                "label": view.label(name),
                "saved": _shown(name, text, WHOLE),
                "words": view.words(name, text),
                "target": view.target(name, text, tables),
                "live": _shown(name, live[name].text, WHOLE) if live and name in live else None,
                "live_words": view.words(name, live[name].text) if live and name in live else "",
                "is_known": bool(live and name in live),
                "differs": bool(live and name in live and live[name].differs),
            }
            for name, text in saved.items()
        ],
        "changed": sum(one.differs for one in live.values()) if live else 0,
    }


def _shown(column: str, text: str | None, most: int) -> str | None:
    if text is None:
        return None
    if is_secret(column):
        return HIDDEN
    return text if len(text) <= most else f"{text[:most]}…"


def _too_long() -> str:
    return str(
        pgettext("korrigo_backup", "This takes longer than a page may take: the operator of the host can look it up.")
    )
