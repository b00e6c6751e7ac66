"""An independent witness: reads the site's rows and files without any of korrigo-backup's code.

What it says before and after must be equal; if the product's own proof were wrong, this one would not be.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

NOT_CARRIED_BY_METHOD_2 = ("public.django_migrations", "public.django_session")
"""Method 2 leaves them out, as the runbook's command does: migrations have just run, sessions are over."""

TABLES = """
SELECT c.relname, coalesce((SELECT array_agg(a.attname::text ORDER BY k.n)
                            FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(attnum, n), pg_attribute a
                            WHERE i.indrelid = c.oid AND i.indisprimary
                              AND a.attrelid = c.oid AND a.attnum = k.attnum), '{}')
FROM pg_class c WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY c.relname
"""


@dataclass(frozen=True)
class Testimony:
    """Rows and digest of each table, number, bytes and digest of the files."""

    tables: dict[str, tuple[int, str]]
    files: dict[str, str]
    media_bytes: int

    @property
    def rows(self) -> int:
        return sum(rows for rows, _ in self.tables.values())

    def digest(self, without: tuple[str, ...] = ()) -> str:
        """Return one digest over all tables and files."""
        whole = hashlib.sha256()
        for name, (rows, digest) in sorted(self.tables.items()):
            if name not in without:
                whole.update(f"{name} {rows} {digest}\n".encode())
        for path, digest in sorted(self.files.items()):
            whole.update(f"{path!r} {digest}\n".encode())
        return whole.hexdigest()[:16]


def testify(connection: str, media: Path) -> Testimony:
    """Read every row of every table, in the order of its key, and every file."""
    with psycopg.connect(connection) as link:
        keys = link.execute(TABLES).fetchall()
        tables = {f"public.{name}": _table(link, name, key) for name, key in keys}
    files, size = {}, 0
    for folder, _, names in os.walk(media):
        if "/.before-" in folder or "/.after-" in folder:
            continue  # previous copies
        for name in names:
            content = (Path(folder) / name).read_bytes()
            size += len(content)
            files[str((Path(folder) / name).relative_to(media))] = hashlib.sha256(content).hexdigest()
    return Testimony(tables, files, size)


def _table(link: psycopg.Connection, name: str, key: list[str]) -> tuple[int, str]:
    table = sql.Identifier("public", name)
    order = sql.SQL(", ").join(map(sql.Identifier, key)) if key else sql.SQL("1")
    digest, rows = hashlib.sha256(), 0
    query = sql.SQL("COPY (SELECT * FROM {} ORDER BY {}) TO STDOUT").format(table, order)
    with link.cursor().copy(query) as copy:
        for data in copy:
            digest.update(data)
            rows += bytes(data).count(b"\n")
    return rows, digest.hexdigest()
