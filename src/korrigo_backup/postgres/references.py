"""The files that rows name: the values of path columns, read from the database in the order of the media walk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.site_description import PathColumn, PathKind
from korrigo_backup.errors import UsageError
from korrigo_backup.postgres.relations import relation
from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.postgres.digest import Snapshot

EVERY_STRING = 'strict $.** ? (@.type() == "string")'
"""The SQL/JSON path of a JSON column that is given without a path: every string anywhere in the value."""

_WITH_SCHEMA = 3


def parse_column(text: str) -> PathColumn:
    """Return the column of `[SCHEMA.]TABLE.COLUMN[:JSONPATH]`; UsageError when it is none.

    A name with a dot, a colon or a quotation mark in it stands in quotation marks, as in SQL.
    """
    found = _COLUMN.fullmatch(text.strip())
    parts = [_bare(part) for part in _PART.findall(found[1])] if found else []
    path = (found[2] or "").strip() if found else ""
    if len(parts) not in {2, _WITH_SCHEMA} or not all(parts):
        raise UsageError(
            f"{text!r} is not a column that holds paths",
            hint='write TABLE.COLUMN, or TABLE.COLUMN:JSONPATH for JSON: "exams_booklet.pages:$.pages[*].image"',
        )
    schema = parts[0] if len(parts) == _WITH_SCHEMA else None
    kind = PathKind.JSON if path else PathKind.TEXT
    return PathColumn(table=parts[-2], column=parts[-1], schema=schema, kind=kind, path=path)


def written_column(table: str, column: str, schema: str | None = None) -> str:
    """Return a column as `parse_column` reads it."""
    names = [name for name in (schema, table, column) if name is not None]
    return ".".join(identifier(name) if _NEEDS_MARKS.search(name) else name for name in names)


_PART = re.compile(r'"(?:[^"]|"")+"|[^".:]+')
_COLUMN = re.compile(rf"((?:{_PART.pattern})(?:\.(?:{_PART.pattern}))*)(?::(.*))?", re.DOTALL)
_NEEDS_MARKS = re.compile(r'[".:]|^\s|\s$')


def _bare(part: str) -> str:
    part = part.strip()
    return part[1:-1].replace('""', '"') if part.startswith('"') else part


def select_paths(taken: Snapshot, columns: Iterable[PathColumn]) -> tuple[list[str], list[str], list[str]]:
    """Return the queries that give (path, column name), the names of their columns, and those that are not there."""
    selects, known, unknown = [], [], []
    for column in columns:
        found = relation(taken, column.table, column.schema)
        if found is None or column.column not in found.types:
            unknown.append(column.name)
            continue
        known.append(column.name)
        selects.append(select_column(column, found.name, found.types[column.column]))
    return selects, known, unknown


def named_files(taken: Snapshot, selects: list[str], *, roots: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each path once with a column that names it, in the order of `paths.order`; the server sorts.

    Doubled slashes count as single ones; a path that begins with one of `roots` (`/app/media`, `/media`) is taken as
    relative to it.
    """
    if not selects:
        return
    query = (
        f"SELECT json_build_array(path, source) FROM (SELECT path, min(source) AS source FROM"
        f" (SELECT {relative_path(roots)} AS path, source FROM ({' UNION ALL '.join(selects)}) u) r GROUP BY path) d"
        " ORDER BY string_to_array(path, '/') COLLATE \"C\""
    )
    taken.run(f"DECLARE named NO SCROLL CURSOR FOR {query}")
    while lines := taken.run(f"FETCH {_FETCH} FROM named").splitlines():
        for line in lines:
            yield msgspec.json.decode(line, type=tuple[str, str])
    taken.run("CLOSE named")


def relative_path(roots: Iterable[str]) -> str:
    """Return the expression of column `path` without those roots."""
    relative = "path"
    for root in roots:
        head = literal("/" + root.strip("/") + "/")
        relative = f"regexp_replace({relative}, '/+', '/', 'g')"
        relative = (
            f"CASE WHEN starts_with({relative}, {head}) THEN substr({relative}, length({head}) + 1) ELSE {relative} END"
        )
    return relative


_FETCH = 5000
"""Paths read at once: a megabyte or so."""


def select_column(column: PathColumn, table: str, kind: str) -> str:
    """Return the query for the paths of a column of a table, or of a query in brackets, and its name."""
    value, source = f"t.{identifier(column.column)}", f"{table} t"
    if column.kind is PathKind.JSON or kind in {"json", "jsonb"} or kind.endswith("[]"):
        document = f"{value}::jsonb" if kind in {"text", "character varying"} else f"to_jsonb({value})"
        source += f", jsonb_path_query({document}, {literal(column.path or EVERY_STRING)}::jsonpath) AS found(value)"
        value = "(CASE jsonb_typeof(found.value) WHEN 'string' THEN found.value #>> '{}' END)"
    prefix = f"{literal(column.prefix + '/')} || " if column.prefix else ""
    return f"SELECT {prefix}{value}::text AS path, {literal(column.name)} AS source FROM {source} WHERE {value} <> ''"
