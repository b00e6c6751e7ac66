"""The rows of a table as COPY writes them, in one snapshot: compared with the rows of a dump."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.postgres.schema_details import COMPUTES, CONFIG_TABLES
from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.postgres.digest import Snapshot

OURS = "RESET lc_monetary"
"""The only difference between a snapshot's settings and those of our pg_dump: the text of `money`."""

SAME = "SET LOCAL lc_monetary = 'C'"
"""For two databases that are both read by us."""

FOREIGN = tuple(f"RESET lc_monetary; RESET timezone; SET LOCAL bytea_output = '{form}'" for form in ("hex", "escape"))
"""The same for a dump of another origin: its pg_dump took these settings from the role, the database and the server.

Our sessions fix `bytea_output`, so the setting of the database is not known here: both forms are tried.
"""

# Ordinary columns (pg_dump writes no generated columns) in their order, and the columns of the primary key.
_LAYOUTS = f"""
WITH config AS ({CONFIG_TABLES})
SELECT coalesce(json_agg(json_build_object(
         'name', quote_ident(n.nspname) || '.' || quote_ident(c.relname), 'schema', n.nspname, 'table', c.relname,
         'derived', c.relkind = 'm', 'condition', config.condition, 'computes', {COMPUTES},
         'columns', (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_attribute a
                     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
         'key', (SELECT coalesce(json_agg(a.attname ORDER BY k.place), '[]')
                 FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (number, place), pg_attribute a
                 WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts
                   AND a.attrelid = c.oid AND a.attnum = k.number))), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN config ON config.oid = c.oid
WHERE c.relkind IN ('r', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


class Layout(msgspec.Struct, frozen=True):
    """The columns of a table that COPY writes, and its primary key; () when it has none.

    `condition` and `computes` are as in `digests.Table`.
    """

    name: str
    schema: str
    table: str
    derived: bool
    columns: tuple[str, ...]
    key: tuple[str, ...]
    condition: str | None = None
    computes: bool = False


def layouts(taken: Snapshot) -> dict[str, Layout]:
    """Return the layout of every table and materialised view of a snapshot, by the name pg_dump gives it."""
    found = taken.ask(_LAYOUTS, tuple[Layout, ...])
    return {layout.name: layout for layout in (replace(one, name=normal_name(one.name)) for one in found)}


def lines(
    taken: Snapshot, layout: Layout, columns: Sequence[str], *, settings: str = OURS, encoding: str = "UTF8"
) -> Iterator[bytes]:
    """Yield the rows of a table, these columns in this order, as COPY text in `encoding`.

    Read it to the end. `settings` hold for these rows alone; the snapshot's own are back afterwards.
    """
    wanted = ", ".join(identifier(column) for column in columns)
    source = f"{identifier(layout.schema)}.{identifier(layout.table)}"
    source = f"{source} {layout.condition}" if layout.condition else f"ONLY {source}"
    if layout.computes:
        settings = f"{settings}; {taken.with_functions}"
    return taken.stream(
        f"SAVEPOINT rows; {settings};"
        f" COPY (SELECT {wanted} FROM {source}) TO STDOUT (ENCODING {literal(encoding)});"
        " ROLLBACK TO rows; RELEASE rows"
    )
