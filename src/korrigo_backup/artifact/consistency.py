"""Whether the files that the rows name exist: database and media compared with each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, ok, warning
from korrigo_backup.core.paths import order, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.artifact.manifest import Manifest

SHOWN = 20
"""Paths of each sort that are named; all are counted."""

_ON_A_LINE = 3
"""Paths of each sort that a line of a check names."""


class Consistency(msgspec.Struct, frozen=True, kw_only=True):
    """The result: paths in rows, those without a file, files without a row, files of no bytes that a row names.

    `columns` are the columns whose values are paths (`public.exams_copy.pdf`); with none, no path was checked;
    `unknown` are the configured columns that the database does not have. Paths are relative to the media root.
    """

    columns: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    references: int = 0
    missing: int = 0
    orphans: int = 0
    empty: int = 0
    first_missing: tuple[str, ...] = ()
    first_orphans: tuple[str, ...] = ()
    first_empty: tuple[str, ...] = ()


def compare(
    columns: Iterable[str], references: Iterable[tuple[str, str]], files: Iterable[tuple[str, bool]]
) -> Consistency:
    """Hold (distinct path, column that names it) against (path, is empty) of the files.

    Both are in the order of `paths.order` and are merged: constant memory. A link, or a path that leads out of the
    tree, is missing: no backup could hold it.
    """
    count = dict.fromkeys(("references", "missing", "orphans", "empty"), 0)
    first: dict[str, list[str]] = {"missing": [], "orphans": [], "empty": []}
    for sort, path in _merged(iter(references), iter(files)):
        count["references"] += sort != "orphans"
        if sort in first:
            count[sort] += 1
            if len(first[sort]) < SHOWN:
                first[sort].append(printable(path))
    return Consistency(
        columns=tuple(columns),
        references=count["references"],
        missing=count["missing"],
        orphans=count["orphans"],
        empty=count["empty"],
        first_missing=tuple(first["missing"]),
        first_orphans=tuple(first["orphans"]),
        first_empty=tuple(first["empty"]),
    )


def findings(found: Consistency) -> Iterator[Finding]:
    """Yield the lines of a check of database against media."""
    if found.unknown:
        yield warning("media.columns", f"the database does not have the path columns {', '.join(found.unknown)}",
                      "apply the migrations, or correct [media] columns and KORRIGO_BACKUP_PATH_COLUMNS")  # fmt: skip
    if not found.columns:
        yield warning("media.unreferenced", "no column is known to hold paths: rows and files were not compared",
                      "set [django] manage, which lists the columns in the search path; or name them in [media]"
                      " columns")  # fmt: skip
        return
    if found.missing:
        yield warning("media.missing", f"{found.missing} of {found.references} files that rows name are missing:"
                      f" {_some(found.first_missing, found.missing)}",
                      "look for them in an older media backup: korrigo-backup list --kind media")  # fmt: skip
    else:
        yield ok(
            "media.references",
            f"all {counted(found.references, 'file')} that rows name {'is' if found.references == 1 else 'are'} there",
        )
    if found.empty:
        yield warning("media.empty", f"{counted(found.empty, 'file')} that rows name"
                      f" {'is' if found.empty == 1 else 'are'} empty:"
                      f" {_some(found.first_empty, found.empty)}",
                      "an upload was cut short: ask for them again")  # fmt: skip
    if found.orphans:
        yield ok("media.orphans", f"{counted(found.orphans, 'file')}"
                 f" {'is' if found.orphans == 1 else 'are'} named by no row:"
                 f" {_some(found.first_orphans, found.orphans)}")  # fmt: skip


def recorded_findings(manifest: Manifest | None) -> list[Finding]:
    """Return the findings that the manifest of a restore point records, none for any other artifact."""
    return list(findings(manifest.consistency)) if manifest and manifest.consistency else []


def _merged(references: Iterator[tuple[str, str]], files: Iterator[tuple[str, bool]]) -> Iterator[tuple[str, str]]:
    """Yield (sort, path) of each; a path that a row names is followed by the column that names it."""
    named, file = next(references, None), next(files, None)
    while named is not None or file is not None:
        left = order(named[0]) if named is not None else None
        right = order(file[0]) if file is not None else None
        if named is not None and (right is None or (left is not None and left < right)):
            yield "missing", f"{named[0]} of {named[1]}"
            named = next(references, None)
        elif file is not None and (left is None or (right is not None and right < left)):
            yield "orphans", file[0]
            file = next(files, None)
        elif named is not None and file is not None:
            yield ("empty" if file[1] else "there"), f"{named[0]} of {named[1]}"
            named, file = next(references, None), next(files, None)


def _some(paths: tuple[str, ...], count: int) -> str:
    return first_of(paths, _ON_A_LINE, count=count)
