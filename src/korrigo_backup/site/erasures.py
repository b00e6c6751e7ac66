"""The entries of the erasure ledger that are about a site, and about some data of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from korrigo_backup.erasure.entry import Scope
from korrigo_backup.erasure.erased import erased_keys
from korrigo_backup.erasure.files import PathColumns, named_of_rows
from korrigo_backup.errors import Unreachable
from korrigo_backup.postgres.session_settings import PROVING
from korrigo_backup.postgres.site_path import use_role_path
from korrigo_backup.site.path_columns import URL_ROOT

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Mapping
    from datetime import datetime

    from korrigo_backup.artifact.header import ManifestHeader
    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.erasure.erased import ErasedKeys
    from korrigo_backup.site.site import Site


class SavedData(Protocol):
    """Some data that were saved: the head of their manifest, and their time; None if it is not known."""

    @property
    def header(self) -> ManifestHeader | None:
        """The head of the manifest, None without a usable manifest."""
        ...

    @property
    def created(self) -> datetime | None:
        """The time at which the data were saved."""
        ...


@dataclass(frozen=True)
class CopiedData:
    """Data of the site itself, copied at a time."""

    created: datetime | None
    header: ManifestHeader | None = None


@dataclass(frozen=True)
class LedgerFiles:
    """The files of some data that were erased on request, asked path by path; those of `known` are among them.

    A live row keeps the file that only an erased row had named. Raises UnreadableLedger.
    """

    site: Site
    data: SavedData
    known: Container[object] = frozenset()

    def __contains__(self, path: object) -> bool:
        """Return whether a file was erased."""
        if path in self.known or not isinstance(path, str):
            return path in self.known
        return self._erased.holds_file(path) or (self._erased.holds_file_of_row(path) and path not in self._named)

    @cached_property
    def _erased(self) -> ErasedKeys:
        return erased_keys(entries_about(self.site, self.data), ledger_keys(self.site))

    @cached_property
    def _named(self) -> set[str]:
        return named_live(self.site, self._erased)


def path_columns(site: Site, entries: Iterable[Entry]) -> PathColumns:
    """Return the path columns of the site's configuration, and those of its code at the erasures."""
    root = (str(site.media.root),) if site.media else ()
    return PathColumns(site.columns, (URL_ROOT, site.archive_root, *root)).with_entries(entries)


def ledger_keys(site: Site) -> Mapping[str, Key]:
    """Return the keys of the ledger by id."""
    return site.ledger.keyring.by_id if site.ledger else {}


def entries_about(site: Site, data: SavedData | None, *, copied: datetime | None = None) -> tuple[Entry, ...]:
    """Return the entries about some data, or of a copy of the site that was made at a time.

    An entry is about data from before it. Raises UnreadableLedger.
    """
    if site.ledger is None:
        return ()
    live = scope_of(site)
    taken = data.created if data else copied
    return tuple(
        one
        for one in site.ledger.read()
        if one.scope.holds(data.header if data else None, live) and one.is_about_data_of(taken)
    )


def erased_from(site: Site, data: SavedData) -> ErasedKeys:
    """Return the rows of some data that were erased on request; raises UnreadableLedger."""
    return erased_keys(entries_about(site, data), ledger_keys(site))


def erased_among_files(site: Site, saved: Iterable[tuple[SavedData, Collection[str]]]) -> set[str]:
    """Return those of the files of some backups that were erased on request.

    A live row keeps the file that only an erased row had named.
    """
    found: set[str] = set()
    for data, paths in saved:
        erased = erased_keys(entries_about(site, data), ledger_keys(site))
        typed = {path for path in paths if erased.holds_file(path)}
        of_rows = {path for path in paths if path not in typed and erased.holds_file_of_row(path)}
        found |= typed | (of_rows - named_live(site, erased)) if of_rows else typed
    return found


def named_live(site: Site, erased: ErasedKeys) -> set[str]:
    """Return the files that an erased row had named and a live row names; none where the database does not answer."""
    try:
        with site.postgres.session() as session:
            session.run(PROVING)
            session.adapt()
            use_role_path(session)
            return named_of_rows(session, path_columns(site, entries_about(site, None)), erased)
    except Unreachable:
        return set()


def scope_of(site: Site) -> Scope:
    """Return the site as an entry names it."""
    return Scope(site.name, site.environment, site.postgres.database)
