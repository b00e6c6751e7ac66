"""The files that rows name: the values of path columns, read from the database in the order of the media walk."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.errors import UsageError
from korrigo_backup.site.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.site.digests import Snapshot

EVERY_STRING = "strict $.**"
"""The JSON path of a column that is given without one: every string anywhere in the value is a path."""

_UNESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


class PathColumn(msgspec.Struct, frozen=True):
    """A column whose values are paths below the media root.

    `json_path` (SQL/JSON path) tells where the paths stand in a JSON column; `prefix` is the directory below the
    media root that they are relative to (a FileField's own storage).
    """

    table: str
    column: str
    schema: str = "public"
    json_path: str | None = None
    prefix: str = ""

    @property
    def name(self) -> str:
        """Schema, table and column, for people."""
        return f"{self.schema}.{self.table}.{self.column}"


def parse_column(text: str) -> PathColumn:
    """Return the column of `[SCHEMA.]TABLE.COLUMN[:JSONPATH]`; UsageError when it is none."""
    name, _, json_path = text.partition(":")
    parts = name.strip().split(".")
    if len(parts) not in {2, 3} or not all(parts):
        raise UsageError(
            f"{text!r} is not a column that holds paths",
            hint='write TABLE.COLUMN, or TABLE.COLUMN:JSONPATH for JSON: "exams_booklet.pages:$.pages[*].image"',
        )
    schema = parts[0] if len(parts) == 3 else "public"  # noqa: PLR2004 - with its schema
    return PathColumn(parts[-2], parts[-1], schema, json_path.strip() or None)


def split_known(taken: Snapshot, columns: Iterable[PathColumn]) -> tuple[list[PathColumn], list[PathColumn]]:
    """Return the columns that the database has (JSON ones with a path) and those that it has not."""
    known, unknown = [], []
    for column in columns:
        kind = taken.ask(_KIND.format(table=literal(_table(column)), column=literal(column.column)), str)
        if not kind:
            unknown.append(column)
        elif kind in {"json", "jsonb"}:
            known.append(msgspec.structs.replace(column, json_path=column.json_path or EVERY_STRING))
        else:
            known.append(msgspec.structs.replace(column, json_path=None))
    return known, unknown


def references(taken: Snapshot, columns: Iterable[PathColumn], *, roots: Iterable[str]) -> Iterator[str]:
    """Yield each path once, in the order of `paths.order`; the server sorts, so memory stays constant.

    A path that begins with one of `roots` and a slash (`media`, `app/media`) is taken without it.
    """
    selects = [_select(column) for column in columns]
    if not selects:
        return
    strip = "^/?(" + "|".join(re.escape(root.strip("/")) for root in roots) + ")/"
    clean = f"regexp_replace(p, {literal(strip)}, '')"
    sql = (
        f"COPY (SELECT p FROM (SELECT DISTINCT ltrim({clean}, '/') AS p FROM ({' UNION ALL '.join(selects)}) s"
        f" WHERE p <> '') d ORDER BY convert_to(replace(p, '/', E'\\x01'), 'UTF8')) TO STDOUT"
    )
    for line in taken.lines(sql):
        yield _plain(line.removesuffix(b"\n").decode())


# Of tables alone: a view that came with a dump would run functions of its own, perhaps with a superuser's rights.
_KIND = """
SELECT to_json(coalesce((SELECT format_type(atttypid, NULL) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                WHERE c.oid = to_regclass({table}) AND c.relkind IN ('r', 'p')
                  AND attname = {column} AND attnum > 0 AND NOT attisdropped), ''))
"""


def _table(column: PathColumn) -> str:
    return f"{identifier(column.schema)}.{identifier(column.table)}"


def _select(column: PathColumn) -> str:
    value, source = f"t.{identifier(column.column)}", f"{_table(column)} t"
    if column.json_path is None:
        text = f"{value}::text"
    else:
        strings = f'{column.json_path} ? (@.type() == "string")'
        source += f", jsonb_path_query({value}::jsonb, {literal(strings)}) v"
        text = "(v #>> '{}')"
    head = f"{literal(column.prefix.strip('/') + '/')} || " if column.prefix.strip("/") else ""
    return f"SELECT {head}{text} AS p FROM {source} WHERE {text} <> ''"


def _plain(text: str) -> str:
    """Undo COPY's escapes."""
    if "\\" not in text:
        return text
    return re.sub(r"\\(.)", lambda match: _UNESCAPED.get(match[1], match[1]), text)
