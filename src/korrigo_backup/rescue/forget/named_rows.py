"""The rows that a person names to forget: found, live or not, and those that are nowhere."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.errors import NotFound, ProofFailed, Unreachable, UsageError
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.points import read_points
from korrigo_backup.rescue.saved.rows import open_saved_rows
from korrigo_backup.rescue.site_tables import SiteTables, live_database
from korrigo_backup.rescue.source_dumps import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.site_description import Description
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.rescue.site_tables import NamedRow
    from korrigo_backup.site.site import Site


@dataclass(frozen=True)
class NamedRows:
    """The rows that were named, those that are live among them, and the site as it is described.

    `nowhere` are those that neither the site nor a backup has.
    """

    rows: tuple[NamedRow, ...] = ()
    live: tuple[str, ...] = ()
    tables: frozenset[str] = frozenset()
    description: Description | None = None
    not_asked: str = ""
    nowhere: tuple[str, ...] = ()


def rows_nowhere(site: Site, catalog: Catalog, named: NamedRows) -> Iterator[NamedRow]:
    """Yield the rows that neither the site nor one of its backups has: a mistyped key, perhaps."""
    left = [row for row in named.rows if row.name not in named.live]
    dumps = in_order(read_points(catalog).dumps) if left else []
    for row in left:
        for dump in dumps:
            with suppress(ProofFailed, FileNotFoundError), open_saved_rows(dump, site.postgres.access) as saved:
                if saved.find(row.table.table, row.key):
                    break
        else:
            yield row


def named_rows(
    site: Site, catalog: Catalog, objects: Sequence[str], unknown: dict[str, str] | None = None
) -> NamedRows:
    """Return rows by the names that a person types; raises as `forget`.

    With `unknown`, a name that means no table or key is put there with the reason, and passed over.
    """
    if not objects:
        return NamedRows()
    with live_database(site) as live:
        if live.taken is None:
            raise Unreachable(live.away, hint="start the database: its server reads the key as the table has it")
        tables = SiteTables(site, read_points(catalog).dumps, live.taken)
        rows = tuple(row for text in objects if (row := _named_row(tables, text, unknown)))
        standing = tuple(row.name for row in rows if _is_live(live.taken, tables, row))
        description = tables.description
        return NamedRows(rows, standing, frozenset(tables.live), description, tables.not_asked)


def live_again(site: Site, rows: Sequence[NamedRow]) -> tuple[str, ...]:
    """Return the names of those of some rows that are live now; Unreachable if the database does not answer."""
    with live_database(site) as live:
        if live.taken is None:
            raise Unreachable(live.away, hint="start the database, then run forget again")
        tables = SiteTables(site, (), live.taken)
        return tuple(row.name for row in rows if _is_live(live.taken, tables, row))


def _named_row(tables: SiteTables, text: str, unknown: dict[str, str] | None) -> NamedRow | None:
    try:
        return tables.row(text)
    except (NotFound, UsageError) as problem:
        if unknown is None:
            raise
        unknown[text] = problem.message
        return None


def _is_live(taken: Snapshot, tables: SiteTables, row: NamedRow) -> bool:
    live = tables.live.get(row.table.table)
    if live is None:
        return False
    condition = " AND ".join(
        live.equal(name, identifier(name), f"{literal(value)}::{live.types[name]}")
        for name, value in zip(live.key, row.values, strict=True)
    )
    query = f"SELECT to_json(EXISTS (SELECT FROM ONLY {live.sql} WHERE {condition}))"
    return taken.ask(f"{taken.planned(live.sql)} {query}", bool)
