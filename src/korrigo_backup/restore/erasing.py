"""Rows that the ledger names are taken out of restored data again: after the proof, before the swap.

The backup itself stays as it is; it was proven before. Afterwards the rows of every table are counted: those of the
backup without the erased rows must be there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import listed
from korrigo_backup.core.finding import warning
from korrigo_backup.erasure.entry import Scope, Subject
from korrigo_backup.erasure.erased import erased_keys
from korrigo_backup.erasure.rows import count_rows, erase_rows
from korrigo_backup.errors import ProofFailed
from korrigo_backup.retention import holds
from korrigo_backup.retention.hold import standing
from korrigo_backup.retention.policy import own_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.erasure.erased import ErasedKeys
    from korrigo_backup.erasure.rows import ErasedRows
    from korrigo_backup.postgres.client import Postgres, Session
    from korrigo_backup.retention.hold import Hold
    from korrigo_backup.site.site import Site


_STAMP = 15
"""The length of the stamp at the end of the name of a previous copy: 20261231_235959."""


@dataclass(frozen=True)
class Erasing:
    """The erasure of one restore. A `hold` on the artifact wins: its data come back as they were saved.

    `rows` are the erased rows by table, `emptied` the rows whose reference was emptied, once it is done.
    """

    hold: Hold | None = None
    rows: dict[str, int] = field(default_factory=dict)
    emptied: dict[str, int] = field(default_factory=dict)

    def planned(self, site: Site, artifact: Artifact) -> list[Finding]:
        """Return the finding that says, before anything is changed, that the ledger will be applied or why not."""
        if KINDS[artifact.kind].has_files_alone:
            return []
        entries = [one for one in entries_about(site, artifact) if one.subject is not Subject.RULES]
        if not entries:
            return []
        number = counted(len(entries), "entry", "entries")
        if self.hold:
            return [
                warning(
                    "erasure.held",
                    f"the erasure ledger ({number}) is not applied: {artifact.name} is {self.hold.described()}",
                    "what was erased comes back; after the hold: korrigo-backup hold release, and restore again",
                )
            ]
        return [warning("erasure.planned", f"the erasure ledger ({number}) will be applied: what was erased on request"
                        " does not come back", "korrigo-backup forget --list")]  # fmt: skip

    def erase_staged(
        self,
        site: Site,
        artifact: Artifact | None,
        server: Postgres,
        *,
        database: str,
        report: Callable[[Finding], None],
        copied: datetime | None = None,
    ) -> None:
        """Erase from a database that was loaded and proven, or from a copy of the site; raises as `erase_rows`."""
        entries = self._wanted(site, artifact, copied)
        if not entries:
            return
        with server.session(database=database) as session:
            session.run("BEGIN")
            session.adapt()
            self._erase(session, entries, site)
            session.run("COMMIT")
        self._tell(report)

    def erase_open(
        self, site: Site, artifact: Artifact, session: Session, *, report: Callable[[Finding], None]
    ) -> None:
        """Erase in the open transaction of a restore in place; raises as `erase_rows`."""
        if entries := self._wanted(site, artifact):
            self._erase(session, entries, site)
            self._tell(report)

    def _wanted(self, site: Site, artifact: Artifact | None, copied: datetime | None = None) -> tuple[Entry, ...]:
        return () if self.hold else entries_about(site, artifact, copied=copied)

    def _erase(self, session: Session, entries: tuple[Entry, ...], site: Site) -> None:
        ledger = site.ledger
        before = count_rows(session)
        done = erase_rows(session, entries, ledger.keyring.by_id if ledger else {})
        if done.count:
            require_counts(before, done, count_rows(session))
        self.rows.clear()
        self.rows.update(done.rows)
        self.emptied.clear()
        self.emptied.update(done.emptied)

    def _tell(self, report: Callable[[Finding], None]) -> None:
        if self.rows:
            report(erased_finding(self.rows))


def erase_copy(site: Site, catalog: Catalog, database: str) -> tuple[Finding, ...]:
    """Take the rows erased on request out of a previous copy, before it is swapped in; a hold on the copy wins.

    A copy is younger than most backups, and still holds rows that were erased since.
    """
    found: list[Finding] = []
    hold = standing(holds.read(catalog.directory), datetime.now(UTC)).get(database)
    made = own_clock(database[-_STAMP:])
    copied = made.astimezone() if made else None
    Erasing(hold).erase_staged(site, None, site.postgres, database=database, report=found.append, copied=copied)
    return tuple(found)


def entries_about(site: Site, artifact: Artifact | None, *, copied: datetime | None = None) -> tuple[Entry, ...]:
    """Return the entries about the data of an artifact, or of a copy of the site that was made at a time.

    An entry is about data from before it. Raises UnreadableLedger.
    """
    if site.ledger is None:
        return ()
    live = scope_of(site)
    taken = artifact.created if artifact else copied
    return tuple(
        one
        for one in site.ledger.read()
        if one.scope.holds(artifact.header if artifact else None, live) and one.is_about_data_of(taken)
    )


def erased_from(site: Site, artifact: Artifact) -> ErasedKeys:
    """Return the rows of an artifact that were erased on request; raises UnreadableLedger."""
    return erased_keys(entries_about(site, artifact), site.ledger.keyring.by_id if site.ledger else {})


def scope_of(site: Site) -> Scope:
    """Return the site as an entry names it."""
    return Scope(site.name, site.environment, site.postgres.database)


def erased_finding(rows: Mapping[str, int]) -> Finding:
    """Return the finding that tells the numbers of rows that were taken out again."""
    tables = listed([f"{name} {number}" for name, number in sorted(rows.items())])
    number = counted(sum(rows.values()), "row")
    return warning(
        "erasure.applied",
        f"erased on request and taken out again: {number} ({tables})",
        "right: the backup still has them, the site does not; korrigo-backup forget --list",
    )


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
