"""Rows that the ledger names are taken out of restored data again: after the proof, before the swap.

The backup itself stays as it is; it was proven before. Afterwards the rows of every table and the files are counted:
those of the backup without the erased ones must be there. A file is erased if an entry names it, or if only erased rows
did; a file that an erased row had named stays where a row names it that is restored with it, or is live.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import listed
from korrigo_backup.core.finding import warning
from korrigo_backup.erasure.entry import Subject
from korrigo_backup.erasure.erased import erased_keys, journaled_hash
from korrigo_backup.erasure.files import named_of_rows
from korrigo_backup.erasure.findings import erased_finding, files_findings
from korrigo_backup.erasure.rows import ErasedRows, erase_rows
from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.site_path import use_role_path
from korrigo_backup.postgres.tables import count_rows
from korrigo_backup.site.erasures import LedgerFiles, entries_about, ledger_keys, named_live, path_columns
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.erasure.erased import ErasedKeys
    from korrigo_backup.media.port import Tree
    from korrigo_backup.postgres.client import Postgres, Session
    from korrigo_backup.site.erasures import SavedData
    from korrigo_backup.site.site import Site


@dataclass(frozen=True)
class Erasing:
    """The erasure of one restore. A hold on the artifact wins, `held` says by whom: its data come back as saved.

    `rows` are the erased rows by table, `emptied` the rows whose reference was emptied, once it is done. `files` are
    the paths that only erased rows named, `named` those that an erased row had named and another row names, once a
    database was looked at. `gone` are the files that were erased. `of_copy`: the data are a
    previous copy.
    """

    held: str = ""
    of_copy: bool = False
    rows: dict[str, int] = field(default_factory=dict)
    emptied: dict[str, int] = field(default_factory=dict)
    files: set[str] = field(default_factory=set)
    named: list[set[str]] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def planned(self, site: Site, artifact: Artifact) -> list[Finding]:
        """Return the finding that says, before anything is changed, that the ledger will be applied or why not."""
        left_out = {Subject.RULES, *((Subject.ROW,) if KINDS[artifact.kind].has_files_alone else ())}
        entries = [one for one in entries_about(site, artifact) if one.subject not in left_out]
        if not entries:
            return []
        number = counted(len(entries), "entry", "entries")
        if self.held:
            return [
                warning(
                    "erasure.held",
                    f"the erasure ledger ({number}) is not applied: {artifact.name} is {self.held}",
                    "what was erased comes back; after the hold: korrigo-backup hold release, and restore again",
                )
            ]
        return [warning("erasure.planned", f"the erasure ledger ({number}) will be applied: rows and files that it"
                        " names are taken out again", "korrigo-backup forget --list")]  # fmt: skip

    def wanted(self, site: Site, data: SavedData | None) -> bool:
        """Return whether there are entries about some data; raises UnreadableLedger."""
        return bool(self._wanted(site, data))

    def files_of(self, site: Site, data: SavedData) -> Container[str]:
        """Return the files of some data that the erasure takes out by their own names, asked path by path."""
        return frozenset() if self.held else LedgerFiles(site, data)

    def erase_staged(
        self,
        site: Site,
        data: SavedData | None,
        server: Postgres,
        *,
        database: str,
        report: Callable[[Finding], None],
    ) -> None:
        """Erase from a database that was loaded and proven; raises as `erase_rows`."""
        entries = self._wanted(site, data)
        if not entries:
            return
        with server.session(database=database) as session:
            session.run("BEGIN")
            session.adapt()
            self._erase(session, entries, site)
            session.run("COMMIT")
        self._tell(report)

    def erase_loaded(
        self,
        site: Site,
        data: SavedData | None,
        database: str | None,
        media: Tree | None,
        *,
        report: Callable[[Finding], None],
        copied: datetime | None = None,
        expect: Callable[[], None] = lambda: None,
    ) -> None:
        """Erase from a database of the site's server and from the media that belong to it; None for no such part.

        The files go before the rows are committed: the rows name them, so an erasure that was cut off can be done
        again. `expect` is called when all is known and nothing is changed for others to see.
        """
        entries = self._wanted(site, data, copied)
        if not entries:
            return
        with ExitStack() as stack:
            session = stack.enter_context(site.postgres.session(database=database)) if database else None
            if session:
                session.run("BEGIN")
                session.adapt()
                self._erase(session, entries, site)
            if media:
                with explained(f"erase files from {media.root}"):
                    self.erase_files(site, data, media, report=report, copied=copied, expect=expect)
            else:
                expect()
            if session:
                session.run("COMMIT")
        self._tell(report)

    def erase_open(self, site: Site, data: SavedData, session: Session, *, report: Callable[[Finding], None]) -> None:
        """Erase in the open transaction of a restore in place; raises as `erase_rows`."""
        if entries := self._wanted(site, data):
            self._erase(session, entries, site)
            self._tell(report)

    def erase_files(
        self,
        site: Site,
        data: SavedData | None,
        tree: Tree,
        *,
        report: Callable[[Finding], None],
        copied: datetime | None = None,
        expect: Callable[[], None] = lambda: None,
    ) -> None:
        """Erase from a media tree that was loaded and proven, or from a copy of the site's.

        Where files come without a database, the live one shows which of them a row names. `expect` is called when the
        files are known, before they are removed. Raises ProofFailed if the
        remaining files are not those of before without the erased ones.
        """
        erased = erased_keys(self._wanted(site, data, copied), ledger_keys(site))
        if not (self.files or erased.files or erased.files_of_rows):
            expect()
            return
        typed, of_rows, before = set[str](), set[str](), 0
        for path in _files(tree):
            before += 1
            if erased.holds_file(path):
                typed.add(path)
            elif path in self.files or erased.holds_file_of_row(path):
                of_rows.add(path)
        left = of_rows & self._named(site, erased) if of_rows else set[str]()
        gone = sorted(typed | (of_rows - left))
        self.gone[:] = gone
        expect()
        if gone:
            tree.remove_files(gone)
            if (after := sum(1 for _ in _files(tree))) != before - len(gone):
                raise ProofFailed(
                    f"the erasure has left {after} files, not {before - len(gone)}",
                    hint="find the program that writes to the media tree; nothing was swapped in",
                    id_="erasure.protected",
                )
        for finding in files_findings(gone, left):
            report(finding)

    @property
    def journaled_rows(self) -> dict[str, int]:
        """The erased rows by table as the journal keeps them; 0 for a table with emptied references alone."""
        return dict.fromkeys(self.emptied, 0) | self.rows

    def hashed_files(self, site: Site) -> tuple[str, ...]:
        """Return the files that were erased as the journal keeps them, so that checks do not miss them."""
        key = next(iter(ledger_keys(site).values()), None)
        return tuple(journaled_hash(key, path) for path in self.gone) if key else ()

    def _named(self, site: Site, erased: ErasedKeys) -> set[str]:
        """Return the files that an erased row had named and a row names that is restored with them, or is live."""
        return self.named[-1] if self.named else named_live(site, erased)

    def _wanted(self, site: Site, data: SavedData | None, copied: datetime | None = None) -> tuple[Entry, ...]:
        return () if self.held else entries_about(site, data, copied=copied)

    def _erase(self, session: Session, entries: tuple[Entry, ...], site: Site) -> None:
        use_role_path(session, site.postgres.database)
        columns, keys = path_columns(site, entries), ledger_keys(site)
        done = ErasedRows()
        if any(one.subject is Subject.ROW for one in entries):
            before = count_rows(session)
            done = erase_rows(session, entries, keys, columns)
            if done.count:
                require_counts(before, done, count_rows(session))
        self.rows.clear()
        self.rows.update(done.rows)
        self.emptied.clear()
        self.emptied.update(done.emptied)
        self.files.clear()
        self.files.update(done.files)
        self.named[:] = [named_of_rows(session, columns, erased_keys(entries, keys))]

    def again(self) -> Erasing:
        """Return an erasure of the same data for what `forget` has recorded since this one."""
        return replace(self, rows={}, emptied={}, files=set(), named=[], gone=[])

    def add(self, other: Erasing) -> None:
        """Add what another erasure of the same data has taken out."""
        for mine, others in ((self.rows, other.rows), (self.emptied, other.emptied)):
            mine.update({name: number + mine.get(name, 0) for name, number in others.items()})
        self.gone.extend(other.gone)

    def _tell(self, report: Callable[[Finding], None]) -> None:
        if self.rows:
            report(erased_finding(self.rows, of_copy=self.of_copy))


def require_counts(before: Mapping[str, int], done: ErasedRows, after: Mapping[str, int]) -> None:
    """Raise ProofFailed unless each table has its rows without those that were erased."""
    wrong = [
        f"{name} has {after.get(name)} rows, not {rows - done.rows.get(name, 0)}"
        for name, rows in before.items()
        if after.get(name) != rows - done.rows.get(name, 0)
    ]
    if wrong:
        raise ProofFailed(
            f"the erasure has changed other rows than those of the ledger: {listed(wrong)}",
            hint="look for triggers and rules of those tables (\\d in psql); nothing was swapped in",
            id_="erasure.protected",
        )


def _files(tree: Tree) -> Iterable[str]:
    return (entry.path for entry in tree.walk() if not entry.is_directory)
