"""The facts about backups that the canary compares, and its result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from korrigo_backup.artifact.kinds import Kind
    from korrigo_backup.core.finding import Finding


@dataclass(frozen=True, kw_only=True)
class SavedCounts:
    """The content of a backup, as its manifest counts it.

    `clock` is the time of the site's own clock, without a zone. `rows` has the rows of each table, `digests` the digest
    of each table that has one. `migrations` are Django's applied migrations, `schema` the fingerprint of the schema
    ("" if not known). `files` and `bytes` are those of the media tree, None without one.
    """

    name: str
    created: datetime
    clock: datetime
    rows: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    migrations: frozenset[str] = frozenset()
    schema: str = ""
    files: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class ReplacedFiles:
    """The difference between two listings of media: the files of the former, and how many of their contents are lost.

    A content is lost if the later backup has it under no path. `opaque` of the `read` new contents have neither the
    type of their name nor any other known type; `opaque_before` of the `read_before` lost contents had none.
    """

    files: int
    lost: int
    read: int = 0
    opaque: int = 0
    read_before: int = 0
    opaque_before: int = 0


@dataclass(frozen=True, kw_only=True)
class HistoryComparison:
    """A new backup and the calm backups before it, the newest first.

    `confirmed`: a person accepted the newest of `history`, or an alarm stands since it; then a single backup is history
    enough. `change` is the difference of the files from the newest calm backup, None if it was not needed.
    """

    kind: Kind
    newest: SavedCounts
    history: tuple[SavedCounts, ...]
    confirmed: bool = False
    change: ReplacedFiles | None = None


@dataclass(frozen=True, kw_only=True)
class Watch:
    """The result for the newest backup of a kind.

    `compared` is the comparison, None without a history. `calm` is the last calm backup before it, its restore point if
    it has one, "" without any.
    """

    kind: Kind
    name: str
    calm: str
    compared: HistoryComparison | None
    findings: tuple[Finding, ...]
