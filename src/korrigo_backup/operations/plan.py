"""Plan a restore: read, verify and decide exactly as the real run does, and change nothing."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from korrigo_backup.domain.finding import Finding, error, warning
from korrigo_backup.domain.naming import before_database
from korrigo_backup.domain.paths import order, printable
from korrigo_backup.domain.plan import MediaChange, Migrations, Replacement, RestorePlan, TableChange, compare_tables
from korrigo_backup.errors import UsageError
from korrigo_backup.formats import members
from korrigo_backup.operations.versions import subscription_findings, version_findings
from korrigo_backup.site.databases import Databases
from korrigo_backup.site.digests import RULE, prove_all, snapshot
from korrigo_backup.system.files import CHUNK, free_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.domain.artifact import Artifact
    from korrigo_backup.domain.manifest import LargeObjectsProof, TableProof
    from korrigo_backup.operations.sources import MediaSource, SqlSource
    from korrigo_backup.site.media import Entry, MediaTree
    from korrigo_backup.site.site import Site

NO_MIGRATIONS = Migrations()

NAMED = 10
"""Paths of each sort that a plan names."""


@dataclass(frozen=True)
class PartPlan:
    """What replacing one part would do."""

    replacement: Replacement
    findings: tuple[Finding, ...]
    tables: tuple[TableChange, ...] = ()
    migrations: Migrations = NO_MIGRATIONS
    media: MediaChange | None = None


def whole(
    artifact: Artifact, parts: Iterable[PartPlan], findings: Iterable[Finding], *, downtime: float | None
) -> RestorePlan:
    """Return the plan of a restore of one artifact from the plans of its parts."""
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


def of_this_site(site: Site, artifact: Artifact, *, into_other_site: bool) -> list[Finding]:
    """Return a finding when a backup is of another site or environment: an error unless that is meant."""
    manifest = artifact.manifest
    if manifest is None or manifest.site is None:
        return []
    theirs = (manifest.site, manifest.environment or site.environment)
    if theirs == (site.name, site.environment):
        return []
    what = f"this is a backup of {' '.join(theirs)}, and this site is {site.name} {site.environment}"
    if into_other_site:
        return [warning("site.other", what)]
    return [error("site.other", what, "if you mean it, add --into-other-site; else check --config and BACKUP_DIR")]


def services(site: Site) -> list[Finding]:
    """Return a finding when nothing is configured that stops the services."""
    return [] if site.services.configured else [_NO_SERVICES]


def plan_sql(site: Site, artifact: Artifact, source: SqlSource, *, stamp: str, in_place: bool = False) -> PartPlan:
    """Return what restoring a dump over the live database would do."""
    databases, live = Databases(site.postgres), site.postgres.database
    if live == site.postgres.maintenance:
        raise UsageError(
            f"database {live} is the one that this program connects to while it swaps",
            hint="set POSTGRES_DB to the site's own database, or [database] maintenance to another one",
        )
    exists = live in databases.names()
    now, applied = _database_now(site, digest=source.expected.digest == RULE) if exists else ({}, ())
    replacement = Replacement(
        part="database",
        target=f"database {live} at {site.postgres.access.description}",
        kept_as=before_database(live, stamp) if exists and not in_place else None,
        in_place=in_place,
        needs=source.expected.size or (databases.size(live) if exists else 0),
        free=site.postgres.free_space(),
    )
    migrations = _migrations(applied, source.expected.migrations) if exists else NO_MIGRATIONS
    findings = [
        *source.findings,
        *version_findings(site.postgres, source.scan),
        *subscription_findings(o.name for o in source.expected.schema if o.kind == "subscription"),
        *_database_findings(databases, replacement),
        *_behind(artifact, migrations),
    ]
    after = _counted(source.expected.tables, source.expected.large_objects)
    return PartPlan(replacement, tuple(findings), compare_tables(now, after), migrations)


def plan_media(site: Site, artifact: Artifact, source: MediaSource, *, stamp: str) -> PartPlan:
    """Return what restoring a media archive over the live tree would do."""
    del artifact
    tree = site.configured_media()
    exists = tree.root.is_dir()
    if tree.root.exists():
        tree.require()
    replacement = Replacement(
        part="media",
        target=f"media tree {tree.root}",
        kept_as=str(tree.beside("before", stamp)) if exists else None,
        needs=source.bytes,
        free=free_bytes(tree.root),
    )
    change = _media_change(tree, source) if exists else MediaChange(come_back=source.files)
    if source.listing:
        source.listing.seek(0)
    return PartPlan(replacement, (*source.findings, *_room(replacement)), media=change)


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
        yield warning("database.missing", f"{replacement.target.split(' at ')[0]} does not exist: it is made anew")
    yield from _room(replacement)


def _room(replacement: Replacement) -> Iterator[Finding]:
    if replacement.free is not None and replacement.free < replacement.needs:
        what = f"{replacement.target}: {replacement.free:,} bytes free, {replacement.needs:,} needed"
        hint = "make room: the old data is kept beside the new"
        yield error("space.media", what, hint) if replacement.part == "media" else error("space.database", what, hint)


def _migrations(applied: tuple[str, ...], saved: tuple[str, ...]) -> Migrations:
    if not saved:
        return NO_MIGRATIONS  # an old manifest, or not a Django site
    return Migrations(tuple(sorted(set(applied) - set(saved))), tuple(sorted(set(saved) - set(applied))))


def _behind(artifact: Artifact, migrations: Migrations) -> Iterator[Finding]:
    if migrations.lost:
        yield warning("migrations.lost", f"the backup is {len(migrations.lost)} migrations behind the live database:"
                      f" {', '.join(migrations.lost[:3])}", "after the restore: python manage.py migrate")  # fmt: skip
    if migrations.gained:
        revision = artifact.manifest.revision if artifact.manifest else None
        yield warning("migrations.gained", f"the backup is {len(migrations.gained)} migrations ahead of the live"
                      f" database: {', '.join(migrations.gained[:3])}",
                      f"run the code that it was made with{f' (revision {revision})' if revision else ''}")  # fmt: skip


def _database_now(site: Site, *, digest: bool) -> tuple[dict[str, tuple[int, str | None]], tuple[str, ...]]:
    with snapshot(site.postgres) as taken:
        tables = _counted(prove_all(taken, digest=digest), taken.large_objects(digest=digest))
        return tables, taken.migrations()


def _counted(
    tables: Iterable[TableProof], large_objects: LargeObjectsProof | None
) -> dict[str, tuple[int, str | None]]:
    """Return rows and digest by name; large objects, where there are any, count as one more table."""
    counted = {t.name: (t.rows, t.digest) for t in tables}
    if large_objects and large_objects.count:
        counted["large objects"] = (large_objects.count, large_objects.digest)
    return counted


def _media_change(tree: MediaTree, source: MediaSource) -> MediaChange:
    if source.listing is None:
        return MediaChange(change=sum(1 for entry in tree.walk() if entry.is_file))
    count = dict.fromkeys(("vanish", "come_back", "change", "same"), 0)
    first: dict[str, list[str]] = {"vanish": [], "come_back": [], "change": []}
    for sort, path in _sorted_out(source, tree):
        count[sort] += 1
        if sort in first and len(first[sort]) < NAMED:
            first[sort].append(printable(path))
    return MediaChange(
        vanish=count["vanish"],
        come_back=count["come_back"],
        change=count["change"],
        same=count["same"],
        first_vanish=tuple(first["vanish"]),
        first_come_back=tuple(first["come_back"]),
        first_change=tuple(first["change"]),
    )


def _sorted_out(source: MediaSource, tree: MediaTree) -> Iterator[tuple[str, str]]:
    for saved, entry in _side_by_side(source, tree):
        if entry is None and saved is not None:
            yield "come_back", saved[1]
        elif saved is None and entry is not None:
            yield "vanish", entry.path
        elif saved is not None and entry is not None:
            yield ("same" if _digest(entry) == saved[0] else "change"), entry.path


def _side_by_side(source: MediaSource, tree: MediaTree) -> Iterator[tuple[tuple[str, str] | None, Entry | None]]:
    """Merge the members file and the live tree, both ordered by path: constant memory for any tree."""
    prefix = f"{source.root}/"
    saved = ((digest, path.removeprefix(prefix)) for digest, path in members.read(_listing(source), "the listing"))
    live = (entry for entry in tree.walk() if entry.is_file)
    left, right = next(saved, None), next(live, None)
    while left or right:
        which = _order(left[1] if left else None, right.path if right else None)
        yield (left if which <= 0 else None), (right if which >= 0 else None)
        if which <= 0:
            left = next(saved, None)
        if which >= 0:
            right = next(live, None)


def _listing(source: MediaSource) -> IO[bytes]:
    if source.listing is None:
        raise ValueError("this archive has no members file")
    return source.listing


def _order(left: str | None, right: str | None) -> int:
    if left is None or right is None:
        return 1 if left is None else -1
    one, other = order(left), order(right)
    return (one > other) - (one < other)


def _digest(entry: Entry) -> str | None:
    digest = hashlib.sha256()
    try:
        with entry.open() as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    except FileNotFoundError:
        return None
    return digest.hexdigest()
