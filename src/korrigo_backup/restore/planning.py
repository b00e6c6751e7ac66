"""Plan a restore: read, verify and decide exactly as the real run does, without any change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET

from korrigo_backup.artifact.naming import before_database
from korrigo_backup.compare.differences import Counted, FileChange
from korrigo_backup.compare.erased import NONE, erased_in_dump
from korrigo_backup.compare.identity import place_findings
from korrigo_backup.compare.media import file_changes
from korrigo_backup.compare.rows import dump_rows
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, error, warning
from korrigo_backup.core.size import human
from korrigo_backup.errors import Refused, UsageError
from korrigo_backup.media.findings import foreseen
from korrigo_backup.media.tree import UNMOUNT
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.property_differences import difference_findings
from korrigo_backup.restore.plan import FROM_SAFETY, Migrations, Replacement, RestorePlan, TableChange
from korrigo_backup.restore.table_changes import all_new, changes_of_tables
from korrigo_backup.restore.versions import subscription_findings, version_findings
from korrigo_backup.site.health import health_findings

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.media.port import Tree
    from korrigo_backup.media.tree import TreeFacts
    from korrigo_backup.site.erasing import Erasing
    from korrigo_backup.site.site import Site
    from korrigo_backup.verify.dump_source import SqlSource
    from korrigo_backup.verify.media_source import MediaSource

NO_MIGRATIONS = Migrations()

MOUNTED = "media.mounted"
NOT_WRITABLE = "media.not_writable"
"""The findings that refuse only a swap of the media."""

NAMED = 10
"""Paths of each sort that a plan names."""


@dataclass(frozen=True)
class PartPlan:
    """The effect of replacing a part."""

    replacement: Replacement
    findings: tuple[Finding, ...]
    tables: tuple[TableChange, ...] = ()
    migrations: Migrations = NO_MIGRATIONS
    media: FileChange | None = None


def whole(
    artifact: Artifact, parts: Iterable[PartPlan], findings: Iterable[Finding], *, downtime: float | None
) -> RestorePlan:
    """Return the plan of a restore of an artifact from the plans of its parts."""
    plans = tuple(parts)
    return RestorePlan(
        artifact=str(artifact.path),
        kind=artifact.kind,
        created=artifact.created,
        replaces=tuple(plan.replacement for plan in plans),
        tables=tuple(table for plan in plans for table in plan.tables),
        media=next((plan.media for plan in plans if plan.media), None),
        migrations=next((plan.migrations for plan in plans if plan.replacement.part == "database"), NO_MIGRATIONS),
        downtime=downtime,
        findings=(*findings, *(finding for plan in plans for finding in plan.findings)),
    )


def of_this_site(
    site: Site, artifact: Artifact, *, into_other_site: bool, dump: Artifact | None = None
) -> list[Finding]:
    """Return a finding when a backup is of another site or environment: an error unless that is meant.

    `dump` is the dump that a restore of the artifact loads, None when there is none.
    """
    manifest = artifact.manifest
    if manifest is None or (manifest.site is None and manifest.identity is None):
        return []
    theirs = (manifest.site or site.name, manifest.environment or site.environment)
    if theirs == (site.name, site.environment):
        return place_findings(site, artifact, into_other_site=into_other_site, dump=dump)
    what = f"this is a backup of {' '.join(theirs)}, and this site is {site.name} {site.environment}"
    if into_other_site:
        return [warning("site.other", what)]
    return [error("site.other", what, "if you mean it, add --into-other-site; else check --config and BACKUP_DIR")]


def services(site: Site) -> list[Finding]:
    """Return findings about the services before they are stopped, and whether a command to stop them is configured."""
    found = health_findings(site.services.look(), known=site.services.health_known)
    return [*([] if site.services.configured else [_NO_SERVICES]), *found]


def plan_sql(
    site: Site,
    artifact: Artifact,
    source: SqlSource,
    *,
    stamp: str,
    in_place: bool = False,
    compare: bool = True,
    erasing: Erasing | None = None,
) -> PartPlan:
    """Return the effect of restoring a dump over the live database; with `compare` the changes of rows, too.

    Rows that `erasing` takes out of the loaded data do not come back.
    """
    databases, live = Databases(site.postgres), site.postgres.database
    if live == site.postgres.maintenance:
        raise UsageError(
            f"database {live} is the maintenance database, which a swap needs",
            hint="set POSTGRES_DB to the site's own database, or [database] maintenance to another database",
        )
    exists = live in databases.names()
    erased = NONE
    if compare and erasing and not erasing.held:
        erased = erased_in_dump(site, artifact, dump_rows(source.file, artifact.name))
    changes, applied, unread = all_new(source, erased), tuple[str, ...](), tuple[Finding, ...]()
    if exists and compare:
        changes, applied, unread = changes_of_tables(site, artifact, source, erased)
    replacement = Replacement(
        part="database",
        target=f"database {live} at {site.postgres.access.description}",
        kept_as=before_database(live, stamp) if exists and not in_place else None,
        in_place=in_place,
        undone_by=FROM_SAFETY if in_place else UNSET,
        needs=source.expected.size or (databases.size(live) if exists else 0),
        free=site.postgres.free_space(),
    )
    migrations = _migrations(applied, source.expected.migrations) if applied else NO_MIGRATIONS
    findings = [
        *source.findings,
        *version_findings(site.postgres, source.scan),
        *subscription_findings(o.name for o in source.expected.schema if o.kind == "subscription"),
        *unread,
        *_left_out(source),
        *_database_findings(databases, replacement),
        *(difference_findings(databases.properties(live), source.expected.properties) if exists else ()),
        *_behind(artifact, migrations),
    ]
    return PartPlan(replacement, tuple(findings), changes, migrations)


def _left_out(source: SqlSource) -> Iterator[Finding]:
    if names := source.expected.left_out:
        yield warning("database.left_out", f"pg_dump has left out: {', '.join(names)}",
                      "make an invalid index again by hand: CREATE INDEX …")  # fmt: skip


def plan_media(
    site: Site, source: MediaSource, *, stamp: str, compare: bool = True, erased: Container[str] = frozenset()
) -> PartPlan:
    """Return the effect of restoring a media archive over the live tree; with `compare` the changes of files, too.

    Files that were `erased` on request do not come back.
    """
    tree = site.configured_media()
    replacement = media_replacement(tree, stamp, needs=source.bytes)
    change = FileChange(removed=Counted(source.files))
    if replacement.kept_as and compare:
        change = _files(tree, source, erased)
    facts = tree.facts()
    lost = foreseen(source.saved, facts.user, facts.groups) if source.saved else ()
    findings = (*source.findings, *mounted(tree, facts), *_not_writable(tree), *lost, *room(replacement))
    return PartPlan(replacement, findings, media=change)


def media_replacement(tree: Tree, stamp: str, *, needs: int) -> Replacement:
    """Return the replacement of a media tree by files that need so many bytes; without a live tree, none is kept."""
    return Replacement(
        part="media",
        target=f"media tree {tree.root}",
        kept_as=str(tree.beside("before", stamp)) if tree.exists() else None,
        needs=needs,
        free=tree.free(),
    )


def mounted(tree: Tree, facts: TreeFacts) -> Iterator[Finding]:
    """Yield an error when a file system is mounted inside the live tree: it can neither be swapped nor kept."""
    if facts.live_mounts:
        first = tree.root / facts.live_mounts[0]
        yield error("media.mounted", f"{len(facts.live_mounts)} file systems are mounted inside the media tree:"
                    f" {first}; a restore would move them away", UNMOUNT.format(path=first))  # fmt: skip


def _not_writable(tree: Tree) -> Iterator[Finding]:
    """Yield an error if the restored files cannot be written beside the live tree, or not be exchanged for it."""
    try:
        tree.require_writable(swap=True)
    except Refused as problem:
        yield error("media.not_writable", problem.message, problem.hint)


_NO_SERVICES = warning(
    "services.unknown",
    "no commands to stop the services are configured",
    "sessions are ended during the swap; stop the site yourself, or set [services]",
)


def _database_findings(databases: Databases, replacement: Replacement) -> Iterator[Finding]:
    role = databases.role()
    if not (role.createdb or role.superuser or replacement.in_place):
        yield error("role.createdb", f"role {role.name} may not create databases",
                    f'as a superuser: ALTER ROLE "{role.name}" CREATEDB; or restore with --in-place')  # fmt: skip
    if replacement.kept_as is None and not replacement.in_place:
        yield warning(
            "database.missing", f"{replacement.target.split(' at ')[0]} does not exist: the restore creates it"
        )
    yield from room(replacement)


def room(replacement: Replacement) -> Iterator[Finding]:
    """Yield an error if the new data do not fit in addition to the present data."""
    if replacement.free is not None and replacement.free < replacement.needs:
        what = f"{replacement.target}: {human(replacement.free)} free, {human(replacement.needs)} needed"
        hint = "make room: the old data is kept in addition to the new"
        yield error("space.media", what, hint) if replacement.part == "media" else error("space.database", what, hint)


def _migrations(applied: tuple[str, ...], saved: tuple[str, ...]) -> Migrations:
    if not saved:
        return NO_MIGRATIONS  # an old manifest, or not a Django site
    return Migrations(tuple(sorted(set(applied) - set(saved))), tuple(sorted(set(saved) - set(applied))))


def _behind(artifact: Artifact, migrations: Migrations) -> Iterator[Finding]:
    if migrations.lost:
        yield warning("migrations.lost", f"the backup is {len(migrations.lost)} migrations behind the live database:"
                      f" {first_of(migrations.lost)}", "after the restore: python manage.py migrate")  # fmt: skip
    if migrations.gained:
        revision = artifact.manifest.revision if artifact.manifest else None
        yield warning("migrations.gained", f"the backup is {len(migrations.gained)} migrations ahead of the live"
                      f" database: {first_of(migrations.gained)}",
                      f"run the code that it was made with{f' (revision {revision})' if revision else ''}")  # fmt: skip


def _files(tree: Tree, source: MediaSource, erased: Container[str]) -> FileChange:
    saved = source.saved_files()
    if saved is None:  # without checksums no file is known to be equal
        return FileChange(changed=Counted(sum(1 for entry in tree.walk() if entry.is_file)))
    return file_changes(saved, tree, shown=NAMED, knows=source.unchanged(), erased=erased)
