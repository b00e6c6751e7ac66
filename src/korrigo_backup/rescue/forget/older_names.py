"""The backups that cannot be searched for a row that is recorded as erased: its table has another name there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of, listed
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.erasure.applicable import not_applicable
from korrigo_backup.rescue.points import read_points

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.erasure.entry import Entry


def not_searched(catalog: Catalog, entries: Sequence[Entry], live: Collection[str]) -> Iterator[Finding]:
    """Yield the finding about backups that may hold rows of entries under another name, by their manifests alone."""
    names, tables = list[str](), set[str]()
    for dump in read_points(catalog).dumps if any(one.table for one in entries) else ():
        if dump.manifest and dump.manifest.database:
            saved = {normal_name(table.name): None for table in dump.manifest.database.tables}
            if lost := not_applicable(entries, saved, live):
                names.append(dump.name)
                tables.update(one.table for one in lost)
    if names:
        yield warning(
            "erasure.not_applicable",
            f"{counted(len(names), 'backup')} may hold such rows in a table of another name than"
            f" {listed(sorted(tables))}: {first_of(names)}",
            "a restore of them stops and names the option; delete these backups, if the person is to be gone",
        )
