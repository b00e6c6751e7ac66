"""Entries that saved data cannot be searched for: the table or its key has another name there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.erasure.entry import Subject

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from korrigo_backup.erasure.entry import Entry


def not_applicable(
    entries: Iterable[Entry], saved: Mapping[str, Collection[str] | None], live: Collection[str] | None
) -> tuple[Entry, ...]:
    """Return the entries of rows that may be in saved data where nothing of their key would find them.

    `saved` has the columns of each saved table, None if they are not known; `live` the tables of the site, None if they
    are not known. A table that the data lack was made later, as long as each saved table is still in the site: none of
    them was renamed.
    """
    return lost_entries(entries, saved, renamed=live is None or not saved.keys() <= set(live))


def lost_entries(
    entries: Iterable[Entry], searched: Mapping[str, Collection[str] | None], *, renamed: bool
) -> tuple[Entry, ...]:
    """Return the entries of rows that the searched tables and columns would not find; `renamed`: a table was."""
    return tuple(one for one in entries if one.subject is Subject.ROW and _is_lost(one, searched, renamed=renamed))


def _is_lost(one: Entry, saved: Mapping[str, Collection[str] | None], *, renamed: bool) -> bool:
    if one.table not in saved:
        return renamed
    columns = saved[one.table]
    return columns is not None and not set(one.columns) <= set(columns)
