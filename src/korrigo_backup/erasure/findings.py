"""The findings about what was erased on request and taken out of restored data again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of, listed
from korrigo_backup.core.finding import warning
from korrigo_backup.core.paths import printable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from korrigo_backup.core.finding import Finding


def erased_finding(rows: Mapping[str, int], *, of_copy: bool = False) -> Finding:
    """Return the finding that tells what was taken out again, of a backup or of a previous copy."""
    tables = listed([f"{name} {number}" for name, number in sorted(rows.items())])
    number = counted(sum(rows.values()), "row")
    return warning(
        "erasure.applied",
        f"erased on request and taken out again: {number} ({tables})",
        "forget has recorded them since that copy was made; korrigo-backup forget --list"
        if of_copy
        else "right: the backup still has them, the site does not; korrigo-backup forget --list",
    )


def erased_files_finding(number: int) -> Finding:
    """Return the finding that tells how many files were taken out again."""
    return warning(
        "erasure.files",
        f"erased on request and taken out again: {counted(number, 'file')}",
        "right: the backup still has them, the site does not; korrigo-backup forget --list",
    )


def files_findings(gone: Collection[str], left: Collection[str]) -> Iterator[Finding]:
    """Yield the findings about files: how many were taken out again, and those that a row still names."""
    if gone:
        yield erased_files_finding(len(gone))
    if left:
        yield warning(
            "erasure.named",
            f"an erased row has named {counted(len(left), 'file')} that another row names, too: left as they are"
            f" ({first_of(sorted(map(printable, left)))})",
            "erase them all the same: korrigo-backup forget --file PATH, and restore again",
        )


def rows_left_out(rows: Mapping[str, int]) -> Finding:
    """Return the finding that tells how many rows do not come back, since they or their parents were erased."""
    tables = listed([f"{name} {number}" for name, number in sorted(rows.items())])
    return warning(
        "erasure.left_out",
        f"erased on request, and so left out: {counted(sum(rows.values()), 'row')} ({tables})",
        "korrigo-backup forget --list",
    )


def files_left_out(paths: Collection[str]) -> Finding:
    """Return the finding that names files which do not come back, since they were erased on request."""
    names = first_of(sorted(map(printable, paths)))
    return warning(
        "erasure.file",
        f"erased on request, and so left out: {counted(len(paths), 'file')} ({names})",
        "korrigo-backup forget --list",
    )
