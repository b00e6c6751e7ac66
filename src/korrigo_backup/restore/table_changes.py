"""The rows of each table now and after the restore of a dump, for its plan."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.compare.present import LiveRows
from korrigo_backup.compare.rows import SMALL, dump_rows, narrow_under
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.errors import KorrigoBackupError, Refused
from korrigo_backup.postgres.digest import known_rule, prove_all, snapshot
from korrigo_backup.postgres.dump.proof import comparable
from korrigo_backup.postgres.rows import FOREIGN, OURS
from korrigo_backup.postgres.server_error import NotPermitted, TableLocked
from korrigo_backup.restore.plan import TableChange, compare_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.manifest import LargeObjectsProof, TableProof
    from korrigo_backup.compare.differences import RowChange
    from korrigo_backup.compare.erased import RowsToErase
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.site.site import Site
    from korrigo_backup.verify.dump_source import SqlSource

LARGE_OBJECTS = "large objects"
"""The name for large objects in place of a table's name; a table's name begins with its schema."""


def changes_of_tables(
    site: Site, artifact: Artifact, source: SqlSource, erased: RowsToErase
) -> tuple[tuple[TableChange, ...], tuple[str, ...], tuple[Finding, ...]]:
    """Return the changes in each table, the live migrations, and a finding if the live database cannot be read.

    A damaged database, also a database that cannot be connected to while its server answers, is a reason to restore,
    and is kept as it is: it must not prevent the restore.
    """
    try:
        with snapshot(site.postgres) as taken:
            return _table_changes(taken, artifact, source, erased), taken.migrations(), ()
    except NotPermitted as problem:
        found = warning("database.unreadable", f"database {site.postgres.database} cannot be read to its end:"
                        f" {problem.message}", "it is kept as it is; but the safety backup after the restore will fail:"
                        " make a backup as a superuser first, if you need it")  # fmt: skip
        return all_new(source, erased), (), (found,)
    except (Refused, TableLocked):  # a pooler, a full disk, a session at work in it: that is no damage
        raise
    except KorrigoBackupError as problem:
        name = site.postgres.database
        found = warning("database.unreadable", f"database {name} cannot be read to its end: {problem.message}",
                        "it is kept as it is; the changes are unknown")  # fmt: skip
        return all_new(source, erased), (), (found,)


def _table_changes(
    taken: Snapshot, artifact: Artifact, source: SqlSource, erased: RowsToErase
) -> tuple[TableChange, ...]:
    """Return the change of each table; small tables are compared by key."""
    rule = known_rule(source.expected.digest)
    tables = comparable(taken, source.expected, prove_all(taken, rule=rule))
    known = source.expected.large_objects is not None  # a dump without a manifest does not list them
    now = _with_large_objects(tables, taken.large_objects(digest=rule is not None) if known else None)
    changes = compare_tables(now, _after(source, erased))
    small = {
        change.name: max(change.now, change.after)
        for change in changes
        if change.now is not None and change.after is not None and not change.identical
        if change.name != LARGE_OBJECTS
        if max(change.now, change.after) <= SMALL
    }
    settings = (OURS,) if artifact.manifest else FOREIGN
    rows: Mapping[str, RowChange] = {}
    if small:
        saved = erased.left_out_of(dump_rows(source.file, artifact.name))
        rows = narrow_under(settings, saved, LiveRows(taken), small)
    return tuple(_counted(change, rows, erased) for change in changes)


def _counted(change: TableChange, rows: Mapping[str, RowChange], erased: RowsToErase) -> TableChange:
    found = rows.get(change.name)
    if found is None:
        return change
    if change.name in erased.counts and not found.count:
        return replace(change, identical=True)
    return replace(change, added=found.added, changed=found.changed, removed=found.removed)


def all_new(source: SqlSource, erased: RowsToErase) -> tuple[TableChange, ...]:
    """Return the changes where no live table can be read: every table is new."""
    return compare_tables({}, _after(source, erased))


def _after(source: SqlSource, erased: RowsToErase) -> dict[str, tuple[int, str | None]]:
    """Return rows and digest by name; a table with erased rows has no digest."""
    after = _with_large_objects(source.expected.tables, source.expected.large_objects)
    gone = {name: (after[name][0] - number, None) for name, number in erased.counts.items() if name in after}
    return after | gone


def _with_large_objects(
    tables: Iterable[TableProof], large_objects: LargeObjectsProof | None
) -> dict[str, tuple[int, str | None]]:
    """Return rows and digest by name; large objects, where there are any, count as a further table."""
    counted = {t.name: (t.rows, t.digest) for t in tables}
    if large_objects and large_objects.count:
        counted[LARGE_OBJECTS] = (large_objects.count, large_objects.digest)
    return counted
