"""Media against the database: every path that a described column names is looked up in the media tree.

Both sides come ordered by the parts of the path and are merged: constant memory for any number of rows and files.
The database sorts; files that the site adds or deletes meanwhile may be counted on one side only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.domain.description import PathKind
from korrigo_backup.domain.validation import NAMED
from korrigo_backup.site.relations import relation
from korrigo_backup.site.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.domain.description import Description, PathColumn
    from korrigo_backup.site.media import Entry, MediaTree
    from korrigo_backup.site.postgres import Postgres

_FETCH = 5000
"""Paths read at once: a megabyte or so."""


@dataclass
class Names:
    """A count, and the first names of what was counted."""

    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, name: str) -> None:
        """Count one."""
        self.count += 1
        if self.count <= NAMED:
            self.first.append(name)

    def __str__(self) -> str:
        more = f" and {self.count - NAMED} more" if self.count > NAMED else ""
        return ", ".join(self.first) + more


@dataclass
class Seen:
    """What a comparison saw: `named` distinct paths in the database, of them missing or empty; files without a row."""

    named: int = 0
    missing: Names = field(default_factory=Names)
    empty: Names = field(default_factory=Names)
    orphans: Names = field(default_factory=Names)
    unknown: list[str] = field(default_factory=list)


def look(server: Postgres, media: MediaTree, description: Description) -> Seen:
    """Compare the paths in the described columns with the tree.

    A link, or a path that leads out of the tree, is missing: no backup could hold it. `unknown` names the columns
    that the database does not have.
    """
    seen = Seen()
    selects = [select for column in description.columns if (select := _select(server, column, seen))]
    paths = _named(server, selects, description.media_root) if selects else iter(())
    files = (entry for entry in media.walk() if entry.is_file)
    for (path, source), entry in _side_by_side(paths, files):
        if source is None:
            seen.orphans.add(path)
            continue
        seen.named += 1
        if entry is None:
            seen.missing.add(f"{path} of {source}")
        elif entry.info.st_size == 0:
            seen.empty.add(f"{path} of {source}")
    return seen


def _side_by_side(
    named: Iterator[tuple[str, str]], files: Iterator[Entry]
) -> Iterator[tuple[tuple[str, str | None], Entry | None]]:
    left, right = next(named, None), next(files, None)
    while left or right:
        order = _order(left[0] if left else None, right.path if right else None)
        if left and order <= 0:
            yield left, (right if order == 0 else None)
        elif right:
            yield (right.path, None), right
        if order <= 0:
            left = next(named, None)
        if order >= 0:
            right = next(files, None)


def _order(left: str | None, right: str | None) -> int:
    if left is None or right is None:
        return 1 if left is None else -1
    one, other = left.split("/"), right.split("/")
    return (one > other) - (one < other)


def _select(server: Postgres, column: PathColumn, seen: Seen) -> str | None:
    """Return the query for the paths of one column with the column's name; None when there is no such column."""
    found = relation(server, column.table, column.schema)
    if found is None or column.column not in found.types:
        seen.unknown.append(column.name)
        return None
    value, kind, source = f"t.{identifier(column.column)}", found.types[column.column], f"{found.name} t"
    if column.kind is PathKind.JSON:
        document = f"{value}::jsonb" if kind in {"text", "character varying"} else f"to_jsonb({value})"
        source += f", jsonb_path_query({document}, {literal(column.path)}::jsonpath) AS found(value)"
        value = "(found.value #>> '{}')"
    prefix = f"{literal(column.prefix + '/')} || " if column.prefix else ""
    return f"SELECT {prefix}{value}::text AS path, {literal(column.name)} AS source FROM {source} WHERE {value} <> ''"


def _named(server: Postgres, selects: list[str], media_root: str) -> Iterator[tuple[str, str]]:
    """Yield each distinct path with a column that names it, in the order of `MediaTree.walk`.

    Doubled slashes are one; an absolute path below the media root is taken as relative to it.
    """
    root = literal(media_root.rstrip("/") + "/")
    clean = r"regexp_replace(path, '/+', '/', 'g')"
    relative = f"CASE WHEN starts_with({clean}, {root}) THEN substr({clean}, length({root}) + 1) ELSE {clean} END"
    query = (
        f"SELECT json_build_array(path, source) FROM (SELECT path, min(source) AS source FROM"
        f" (SELECT {relative} AS path, source FROM ({' UNION ALL '.join(selects)}) u) r GROUP BY path) d"
        " ORDER BY string_to_array(path, '/') COLLATE \"C\""
    )
    with server.session() as session:
        session.run(f"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; DECLARE named NO SCROLL CURSOR FOR {query}")
        while lines := session.run(f"FETCH {_FETCH} FROM named").splitlines():
            for line in lines:
                yield msgspec.json.decode(line, type=tuple[str, str])
