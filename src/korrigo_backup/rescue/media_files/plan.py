"""The plan of a restore of single files, and the choices of the operator."""

from __future__ import annotations

from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding  # noqa: TC001 - msgspec reads it
from korrigo_backup.core.paths import printable
from korrigo_backup.errors import PartlyDone, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from korrigo_backup.rescue.media_files.selection import SavedFile

SHOWN = 10_000
"""Files of each kind that a plan names."""


@dataclass(frozen=True)
class FilesOptions:
    """The choices of the operator: paths or patterns, the media backup or restore point by name or time."""

    asked: tuple[str, ...]
    source: str | None = None
    at: datetime | None = None
    overwrite: bool = False
    dry_run: bool = False
    allow_unsigned: bool = False
    answers: Mapping[str, str] | None = None


class FilesPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The files that come back, and those that do not: at most 1,000 of each are named.

    `put` are missing now, `overwrite` are live with other content; `conflicts` are, too, and stay as they are;
    the first `irregular_count` of them are no plain files, or behind a link. `same`
    counts those that are live as saved. `sources` counts the files by backup; `bytes` is None where a listing has none.
    """

    asked: tuple[str, ...]
    sources: dict[str, int]
    put: tuple[str, ...]
    put_count: int
    overwrite: tuple[str, ...]
    overwrite_count: int
    bytes: int | None
    same: int
    conflicts: tuple[str, ...]
    conflict_count: int
    irregular_count: int = 0
    findings: tuple[Finding, ...] = ()

    @property
    def count(self) -> int:
        """The number of files that come back."""
        return self.put_count + self.overwrite_count


def left_as_they_are(plan: FilesPlan) -> PartlyDone:
    """Return the error for files that were asked for and were left: of those that are no plain files, if there are."""
    count = plan.irregular_count or plan.conflict_count
    names = first_of(list(map(printable, plan.conflicts[:count])), count=count)
    if plan.irregular_count:
        words = f"{names}: live as a link, as a directory or behind a link, and left as it is"
        hint = "--overwrite replaces plain files alone: move these away, then run it again"
    else:
        words = f"{names}: live with other content, and left as it is"
        shown = quote(plan.conflicts[0])
        hint = f"korrigo-backup history --file {shown} shows how it stood; --overwrite brings the saved content back"
    replaced = f", {plan.overwrite_count} of them over live files" if plan.overwrite_count else ""
    undo = "; korrigo-backup rollback takes them away again" if plan.count else ""
    return PartlyDone(
        words,
        hint=hint,
        state=f"{counted(plan.count, 'file')} brought back{replaced}{undo}; those named above are as they were",
        id_="files.conflict",
    )


def no_room(upper: SavedFile, lower: SavedFile) -> UsageError:
    """Return the error for a link or file where another text needs a directory, as it was in another backup."""
    return UsageError(
        f"{printable(lower.path)} of {lower.artifact} cannot come back with {printable(upper.path)} of"
        f" {upper.artifact}, which is no directory there",
        hint="name one of both; history --file shows how each stood",
    )
