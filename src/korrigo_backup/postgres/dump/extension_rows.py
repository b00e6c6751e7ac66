"""Rows of an extension that a load may not or cannot write: they are read into temporary tables instead.

pg_dump writes the rows of an extension's configuration tables (`pg_extension_config_dump`). An extension that an
administrator has made stays in a restore in place, and our role may not write into its tables. Other extensions can
stand in one database of a server alone, as pg_cron does. The proof afterwards finds missing rows.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.postgres.schema_details import CONFIG_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.postgres.dump.guard import Edit
    from korrigo_backup.postgres.dump.scan import ScanResult

TEMPORARY = b"pg_temp."
"""The schema in which the rows end."""

KEPT_TABLES = f"""
SELECT coalesce(json_agg(format('%I.%I', n.nspname, c.relname) ORDER BY c.oid), '[]')
FROM ({CONFIG_TABLES}) x JOIN pg_extension e ON e.extname = x.extension
JOIN pg_class c ON c.oid = x.oid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT pg_has_role(e.extowner, 'USAGE')
"""
"""The configuration tables and sequences of extensions that another role has made."""


def is_temporary(table: bytes) -> bool:
    """Return whether a table, as a statement names it, is temporary: no other session sees it."""
    return normal_name(table.decode(errors="replace")).encode().startswith(TEMPORARY)


_COLUMNS = re.compile(rb"COPY [^(]*\((.*)\) FROM stdin;", re.DOTALL)
_COLUMN = re.compile(rb'"(?:[^"]|"")+"|[^\s",]+')


def diverted(scan: ScanResult, tables: Iterable[str]) -> Iterator[Edit]:
    """Yield the edits that send the rows of `tables` elsewhere and leave the positions of their sequences."""
    for number, table in enumerate(tables):
        if (place := scan.writes.get(table)) is None:
            continue
        offset, text = place
        yield offset, text, _elsewhere(text, b"korrigo_backup_%d" % number) if text.startswith(b"COPY") else b""


def _elsewhere(copy: bytes, name: bytes) -> bytes:
    """Return a COPY into a temporary table; its columns are texts, so that it takes any value."""
    found = _COLUMNS.fullmatch(copy)
    columns = b", ".join(column + b" text" for column in _COLUMN.findall(found[1] if found else b""))
    return b"CREATE TEMPORARY TABLE %b (%b);\nCOPY %b%b FROM stdin;" % (name, columns, TEMPORARY, name)
