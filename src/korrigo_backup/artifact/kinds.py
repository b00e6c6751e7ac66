"""The kinds of artifacts, one row each: names on disk, layout, content, retention.

A decision on a kind is a look into `KINDS`, or a `match` that ends with `assert_never`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


LISTING_SUFFIX = ".files.gz"
"""The end of the name of a media backup whose files are in the media store: it is their listing."""


class Kind(StrEnum):
    """The content that an artifact restores, and the method.

    A `point` is a database and a media backup taken together; it names the two, which stay artifacts of their own.
    """

    SQL = "sql"
    DJANGO = "django"
    MEDIA = "media"
    POINT = "point"


class Origin(StrEnum):
    """Why an artifact was made; retention treats each differently."""

    ROUTINE = "routine"
    SAFETY = "safety"
    PRE_DEPLOYMENT = "pre-deployment"


class ArtifactLayout(Enum):
    """The place of an artifact's manifest: next to its file, in its directory, or the artifact is only a manifest."""

    FILE = "file"
    DIRECTORY = "directory"
    MANIFEST = "manifest"


class RetentionRule(StrEnum):
    """The rule of retention that counts a routine artifact; the values are the fields of the `Policy`."""

    DATABASE = "database"
    MEDIA = "media"
    COMPLETE = "complete"


@dataclass(frozen=True, kw_only=True)
class KindSpec:
    """The facts about a kind.

    Its name on disk is a prefix by origin, a stamp, and one of `suffixes`: the first is written, all are read. A file
    that was renamed by hand is of this kind if it ends in one of `endings`. `latest` is the name for its newest good
    artifact in every command that takes an artifact.

    `has_rows` and `has_files` are about its own files, not those of its `components`; `row_word` is the word for its
    rows. `has_dump` is whether PostgreSQL alone can make a database anew from it, `loaded_by_django` whether the
    site's manage.py loads it: then no drill does, and a plan only counts its rows.

    `rule` counts it in retention, `rule_of_component` instead where it is a component of a restore point; artifacts
    with a smaller `removal` are removed earlier.
    """

    label: str
    prefixes: Mapping[Origin, str]
    suffixes: tuple[str, ...]
    layout: ArtifactLayout
    rule: RetentionRule
    rule_of_component: RetentionRule | None = None
    removal: int = 1
    components: tuple[Kind, ...] = ()
    has_rows: bool = False
    has_files: bool = False
    has_dump: bool = False
    loaded_by_django: bool = False
    row_word: str = "rows"
    latest: str | None = None
    endings: tuple[str, ...] = ()

    @property
    def is_dump(self) -> bool:
        """Whether it is itself the dump of a database."""
        return self.has_dump and not self.components

    @property
    def has_files_alone(self) -> bool:
        """Whether it is of files, without a database."""
        return self.has_files and not self.has_rows


KINDS: Mapping[Kind, KindSpec] = {
    Kind.SQL: KindSpec(
        label="Database",
        prefixes={
            Origin.ROUTINE: "db_backup_",
            Origin.SAFETY: "pre_restore_safety_backup_",
            Origin.PRE_DEPLOYMENT: "pre_deployment_db_",
        },
        suffixes=(".sql.gz",),
        layout=ArtifactLayout.FILE,
        rule=RetentionRule.DATABASE,
        has_rows=True,
        has_dump=True,
        latest="latest",
        # The content of a packed dump that is damaged does not show that it is a dump.
        endings=(".sql.gz", ".sql.bz2", ".sql.xz", ".sql.zst", ".sql.zip"),
    ),
    Kind.MEDIA: KindSpec(
        label="Media",
        prefixes={Origin.ROUTINE: "media_backup_", Origin.PRE_DEPLOYMENT: "pre_deployment_media_"},
        suffixes=(".tar.gz", LISTING_SUFFIX),
        layout=ArtifactLayout.FILE,
        rule=RetentionRule.MEDIA,
        rule_of_component=RetentionRule.COMPLETE,
        has_files=True,
        latest="latest-media",
        # Archives of uploads as other tools pack them, too.
        endings=(
            *(LISTING_SUFFIX, ".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),
            *(".tar.zst", ".tzst", ".zip"),
        ),
    ),
    Kind.DJANGO: KindSpec(
        label="Django",
        prefixes={Origin.ROUTINE: "korrigo_backup_"},
        suffixes=("",),
        layout=ArtifactLayout.DIRECTORY,
        rule=RetentionRule.COMPLETE,
        has_rows=True,
        has_files=True,
        loaded_by_django=True,
        row_word="objects",
    ),
    Kind.POINT: KindSpec(
        label="Restore point",
        prefixes={Origin.ROUTINE: "restore_point_", Origin.PRE_DEPLOYMENT: "pre_deployment_point_"},
        suffixes=(".json",),
        layout=ArtifactLayout.MANIFEST,
        rule=RetentionRule.COMPLETE,
        removal=0,  # before its components: an interruption leaves no point that lacks a component
        components=(Kind.SQL, Kind.MEDIA),
        has_dump=True,
        latest="latest-point",
    ),
}
"""Every kind, in the order in which people are shown them."""

WITH_ROWS = tuple(kind for kind in Kind if KINDS[kind].has_rows)
"""The kinds that hold rows: the age of the newest decides whether a site is overdue."""

WITH_DUMP = tuple(kind for kind in Kind if KINDS[kind].has_dump)
"""The kinds from which PostgreSQL alone can make a database anew."""


def has_media(kind: Kind) -> bool:
    """Return whether an artifact of a kind has media alone, or as a component."""
    return Kind.MEDIA in {kind, *KINDS[kind].components}
