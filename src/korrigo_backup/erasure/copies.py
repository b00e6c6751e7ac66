"""Erased rows in temporary copies of tables, as a rescue stages them from a backup; no table of the site is changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from korrigo_backup.erasure.applicable import not_applicable
from korrigo_backup.erasure.erased import erased_keys
from korrigo_backup.erasure.references import Fate, read_references
from korrigo_backup.erasure.rows import MarkedRows
from korrigo_backup.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.erasure.references import LoadedReference
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.tables import TableLayout


class NotApplicable(Refused):
    """A backup cannot be searched for an erased row: it lacks the key that the ledger knows."""

    id = "erasure.not_applicable"


@dataclass(frozen=True)
class ErasedCopies:
    """The erased rows of each copy, as the temporary table of their places (`at`); the columns that were emptied."""

    places: Mapping[str, str]
    emptied: Mapping[str, tuple[str, ...]]


def mark_copies(
    session: Session,
    copies: Mapping[str, TableLayout],
    live: Mapping[str, TableLayout],
    entries: Sequence[Entry],
    keys: Mapping[str, Key],
) -> ErasedCopies:
    """Mark the rows that entries name, and those that a restore would erase with them; empty the other references.

    `copies` are the copies by the name of their table, `live` all tables of the database. A row that protects an erased
    row cannot come without it, and is erased, too.
    """
    erased = erased_keys(entries, keys)
    if not erased.tables.keys() & copies.keys():
        return ErasedCopies({}, {})
    saved = {name: copies[name].all_columns for name in erased.tables.keys() & copies.keys()}
    if lost := not_applicable([one for one in entries if one.table in saved], saved, ()):
        raise NotApplicable(
            f"the backup may hold erased rows of {lost[0].table}: it lacks their key ({', '.join(lost[0].columns)})",
            hint="take a younger backup (--from): korrigo-backup list",
        )
    session.run("BEGIN; SET LOCAL timezone = 'UTC'")
    marked = MarkedRows(session, copies)
    marked.mark_all(erased)
    references = tuple(map(_of_copy, read_references(session, copies, entries, live=live))) if marked.marked else ()
    marked.close(references)
    emptied: dict[str, tuple[str, ...]] = {}
    for name in marked.empty(references):
        of_table = [one for one in references if one.table.name == name and one.fate is Fate.EMPTIED]
        emptied[name] = tuple(dict.fromkeys(column for one in of_table for column in one.emptied))
    session.run("COMMIT")
    return ErasedCopies(
        {name: f"pg_temp.korrigo_backup_erased_{number}" for name, number in marked.marked.items()}, emptied
    )


def _of_copy(one: LoadedReference) -> LoadedReference:
    """Return a reference with the fate that a copy can have: no action of the server, and no stop."""
    if one.fate is Fate.FORBIDDEN:
        return replace(one, fate=Fate.ERASED)
    if one.fate is Fate.SERVER:
        return replace(one, fate=Fate.EMPTIED if one.emptied else Fate.ERASED)
    return one
