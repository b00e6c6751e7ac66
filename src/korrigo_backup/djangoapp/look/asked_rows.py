"""Rows of a backup that only the host can read: asked for by a request, shown as the host answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from django.http import Http404
from django.utils.translation import pgettext

from korrigo_backup.djangoapp.look.asking import answer_about, ask, who
from korrigo_backup.djangoapp.look.computed import list_columns, needed_columns
from korrigo_backup.djangoapp.look.pages import compared, list_cells, object_of
from korrigo_backup.djangoapp.look.presented import presented
from korrigo_backup.djangoapp.look.sent import host_look
from korrigo_backup.djangoapp.look.tables import SavedTable, live_keys, models_of, uncompared
from korrigo_backup.djangoapp.status.wording import with_next_step
from korrigo_backup.requests.model import MOST_COLUMNS, LookRequest, State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.djangoapp.look.presented import Presented
    from korrigo_backup.requests.model import SavedPage
    from korrigo_backup.requests.spool import Spool


def form(user: Any, given: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the form: the models that the user may see."""
    return {"tables": models_of(user), "label": given.get("table", ""), "words": given.get("q", "")}


def ask_for_rows(user: Any, found: Spool, backup: Artifact, given: Mapping[str, str], admins: Mapping[Any, Any]) -> str:
    """Ask the host for rows of a model, or for a row; return the id. ValueError with the reason of a refusal."""
    label, _, other = given.get("row", "").partition(":")  # a row that a foreign key of another row names
    table = next((one for one in models_of(user) if one.label == (label or given.get("table"))), None)
    if table is None:
        raise ValueError(pgettext("korrigo_backup", "Choose what to look at."))
    number, key, text = given.get("p", "1"), other or given.get("key", ""), given.get("q", "").strip()
    fields = {
        "wants": "look",
        **who(user),
        "backup": backup.name,
        "table": table.name,
        "page": int(number) if number.isascii() and number.isdigit() and len(number) < len("100000") else 1,
        "words": text,
        "columns": needed_columns(table, admins.get(table.model), MOST_COLUMNS),
        "column": table.key,
        "key": key,
        "model": table.model._meta.label_lower,  # noqa: SLF001 - Django's documented name
    }
    try:
        asked = msgspec.convert(fields, type=LookRequest)
    except msgspec.ValidationError:
        raise ValueError(pgettext("korrigo_backup", "Choose what to look at.")) from None
    words = table.object(key) if key else f"rows of {table.name}, page {number}, search {text!r}"
    return ask(user, found, backup.name, asked, f"asked to look at {words}", given.get("once", ""))


def shown(user: Any, found: Spool, backup: Artifact, id_: str, admins: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the values of the host's answer. Http404 for none about this backup and a model that the user may see."""
    answer = answer_about(found, backup.name, id_)
    if answer is None or answer.state is State.TAKEN:
        return {"is_waiting": True, "is_taken": answer is not None, **host_look(found)}
    if answer.found is None:
        return {"trouble": with_next_step(answer.message, answer.hint)}
    plain = answer.found.table.rpartition(".")[2].strip('"')
    table = next((one for one in models_of(user) if one.name == plain), None)
    if table is None:
        raise Http404("no such answer")
    values = {"asked_table": table, "found": answer.found}
    view = presented(table, answer.found.migrations)
    if answer.found.key:
        return {**values, **_row(view, answer.found, backup, models_of(user), admins)}
    return {**values, **_rows(view, answer.found, backup, admins.get(table.model))}


def _rows(view: Presented, found: SavedPage, backup: Artifact, admin: Any) -> dict[str, Any]:
    table, left = view.table, {*found.cut, *uncompared(view.table, backup.kind)}
    columns = list_columns(view, found.columns, admin)
    place = found.columns.index(table.key) if table.key in found.columns else None
    keys = [str(row[place]) for row in found.rows if row[place] is not None] if place is not None else []
    live = live_keys(table, keys)
    return {
        "rows": [
            {
                "key": row[place] if place is not None else None,
                "cells": list_cells(view, dict(zip(found.columns, row, strict=True)), columns, admin, left),
                "is_gone": live is not None and place is not None and row[place] not in live,
            }
            for row in found.rows
        ],
        "columns": columns,
        "is_alike": view.is_alike,
        "has_state": live is not None,
        "before": found.page - 1 if found.page > 1 else None,
        "after": found.page + 1 if found.has_next else None,
    }


def _row(
    view: Presented, found: SavedPage, backup: Artifact, tables: list[SavedTable], admins: Mapping[Any, Any]
) -> dict[str, Any]:
    saved = dict(zip(found.columns, found.rows[0], strict=True))
    left = {*found.cut, *uncompared(view.table, backup.kind)}
    told = {"object": view.table.object(found.key), "asks": True, **object_of(view, saved, admins, left)}
    return {**told, **compared(view, found.key, saved, left, tables)}
