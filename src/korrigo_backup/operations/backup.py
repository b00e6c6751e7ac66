"""Back up: lock, preflight, draft, create, verify what was written, publish; then clean what is too old."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup import __version__
from korrigo_backup.domain.authenticity import Authenticity
from korrigo_backup.domain.journal import Listener, Step, silent
from korrigo_backup.domain.manifest import FORMAT, Manifest, Member
from korrigo_backup.domain.media_state import accepted, doubt, doubtful, of_media
from korrigo_backup.domain.naming import LATEST_SQL, MEMBERS_SUFFIX, Kind, Origin
from korrigo_backup.errors import Interrupted, KorrigoBackupError, PartlyDone, ProofFailed, Refused, Unreachable
from korrigo_backup.formats import media as media_format
from korrigo_backup.formats import sqldump
from korrigo_backup.operations.journal import recorded
from korrigo_backup.operations.prune import clean
from korrigo_backup.operations.published import published
from korrigo_backup.operations.recover import exclusive
from korrigo_backup.site.digests import snapshot
from korrigo_backup.site.stable import made
from korrigo_backup.system.files import create_private, explained, free_bytes, sha256_of
from korrigo_backup.system.follow import followed
from korrigo_backup.system.streams import HashingWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from korrigo_backup.catalog import Catalog, Draft
    from korrigo_backup.domain.artifact import Artifact
    from korrigo_backup.domain.finding import Finding
    from korrigo_backup.domain.manifest import MediaProof
    from korrigo_backup.domain.retention import Decision, Policy
    from korrigo_backup.operations.journal import Running
    from korrigo_backup.site.digests import Snapshot
    from korrigo_backup.site.site import Site
    from korrigo_backup.site.tree import Tree

SPACE_FACTOR = 2
"""Free space wanted, as a multiple of what the backup will take (runbook 2.2: a margin of twice the data)."""


@dataclass(frozen=True)
class BackedUp:
    """A published backup, and what was decided about the older ones."""

    artifact: Artifact
    cleaned: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Wish:
    """What kind of backup is wanted: of which database, why, with digests or not; `observe` sees its snapshot.

    `policy` decides which older dumps go afterwards; without one nothing does.
    """

    database: str | None = None
    origin: Origin = Origin.ROUTINE
    digest: bool = True
    policy: Policy | None = None
    observe: Callable[[Snapshot], None] | None = None
    accept: frozenset[str] = frozenset()
    """Names of oddities of the media that the operator has said are right."""


def backup_database(
    site: Site, catalog: Catalog, wish: Wish | None = None, *, now: datetime, listen: Listener = silent
) -> BackedUp:
    """Make one verified `sql` backup, point `db_backup_latest` at it, and remove what its policy lets go.

    Raises PartlyDone when the backup is good and only the cleaning failed.
    """
    with (
        exclusive(site, catalog, "backup of the database", listen=listen, own=True) as (site, _),  # noqa: PLR1704 - now held
        recorded(catalog.directory, site, "backup", "db", listener=listen) as running,
    ):
        return take_database(site, catalog, wish or Wish(), now=now, running=running)


def take_database(site: Site, catalog: Catalog, wish: Wish, *, now: datetime, running: Running) -> BackedUp:
    """Make one verified `sql` backup and what follows it; the caller holds the site."""
    artifact = dump(site, catalog, wish, now=now, listen=running.listen)
    running.bytes = artifact.size
    return BackedUp(artifact, afterwards(site, catalog, artifact, wish.policy, now))


def backup_media(
    site: Site,
    catalog: Catalog,
    *,
    now: datetime,
    origin: Origin = Origin.ROUTINE,
    listen: Listener = silent,
    accept: frozenset[str] = frozenset(),
) -> BackedUp:
    """Make one verified `media` backup.

    PartlyDone when files went on changing while they were read, or when far fewer are there than before, unless that is
    accepted.
    """
    tree = site.required_media()
    with (
        _media_alone(site, catalog, listen) as site,  # noqa: PLR1704 - now held
        recorded(catalog.directory, site, "backup", "media", listener=listen) as running,
    ):
        artifact = archive(site, tree, catalog, now=now, origin=origin, listen=running.listen, accept=accept)
        running.bytes = artifact.size
        require_stable(artifact)
        require_expected(artifact)
        return BackedUp(artifact, findings=media_findings(artifact))


@contextmanager
def _media_alone(site: Site, catalog: Catalog, listen: Listener) -> Iterator[Site]:
    """Hold the site; files can be saved while the database is down, unless they are half-swapped."""
    with ExitStack() as stack:
        doing = "backup of the media"
        try:
            site, _ = stack.enter_context(exclusive(site, catalog, doing, listen=listen, own=True))
        except Unreachable:
            if site.media and site.media.unfinished():
                raise
            stack.enter_context(catalog.exclusive(doing))
        yield site


def media_findings(artifact: Artifact) -> tuple[Finding, ...]:
    """Return what a person should know of the media in a backup."""
    return tuple(of_media(artifact.manifest)) if artifact.manifest else ()


def require_stable(artifact: Artifact) -> None:
    """Raise PartlyDone when files went on changing while they were read: the backup is good but for those."""
    unstable = artifact.manifest.media.unstable if artifact.manifest and artifact.manifest.media else ()
    if unstable:
        raise PartlyDone(
            f"{artifact.name} is there, but {len(unstable)} files changed while they were read: {unstable[0]}",
            hint="run the media backup again when the upload is over",
            state=f"the backup {artifact.path} holds everything else",
        )


def require_expected(artifact: Artifact) -> None:
    """Raise PartlyDone when the media may not be all there are: the disk with them may not be mounted."""
    manifest = artifact.manifest
    if manifest and manifest.media and manifest.doubt:
        found = doubtful(manifest.doubt, manifest.media)
        raise PartlyDone(
            f"{artifact.name} is made, but {found.message}",
            hint=found.hint,
            state=f"{manifest.doubt.reference} stays until a backup is made that is in no doubt",
        )


def last_media(site: Site, catalog: Catalog) -> Artifact | None:
    """Return the newest media backup of this site that this site has signed, None when there is none."""
    for one in catalog.artifacts():
        ours = one.header and (one.header.site, one.header.environment) == (site.name, site.environment)
        if one.kind is Kind.MEDIA and ours and one.authenticity is Authenticity.AUTHENTIC:
            return one
    return None


def dump(site: Site, catalog: Catalog, wish: Wish, *, now: datetime, listen: Listener) -> Artifact:
    """Make and publish one `sql` artifact; the caller holds the lock."""
    started = time.monotonic()
    _require_space(catalog, Kind.SQL, otherwise=partial(_size, site, wish.database))
    with explained("write the backup"), catalog.draft(Kind.SQL, wish.origin, now) as draft:
        listen(Step("backup.create", {"path": str(catalog.directory / draft.name.removesuffix(".gz"))}))
        with (
            create_private(draft.path()) as file,
            followed([draft.path()], partial(sqldump.read_back, source=draft.name)) as behind,
        ):
            target = HashingWriter(file, behind.grown)
            proof = sqldump.create(
                site.postgres, target, database=wish.database, digest=wish.digest, observe=wish.observe
            )
            os.fsync(file.fileno())
            if proof.left_out:
                listen(Step("backup.left_out", {"names": ", ".join(proof.left_out)}))
            listen(Step("backup.verify"))
            _same(behind.result(), target.sha256, draft.name)
        manifest = said(site, catalog, (Member(draft.name, target.size, target.sha256),), now)
        seconds = round(time.monotonic() - started, 3)
        path = draft.publish(
            replace(
                manifest,
                kind=Kind.SQL,
                origin=wish.origin,
                database_backup=draft.name,
                database=proof,
                seconds=seconds,
            )
        )
    return published(catalog, path, listen)


def archive(
    site: Site,
    tree: Tree,
    catalog: Catalog,
    *,
    now: datetime,
    listen: Listener,
    origin: Origin = Origin.ROUTINE,
    accept: frozenset[str] = frozenset(),
) -> Artifact:
    """Make and publish one `media` artifact; the caller holds the lock."""
    started = time.monotonic()
    _require_space(catalog, Kind.MEDIA, otherwise=lambda: sum(e.info.st_size for e in tree.walk() if e.is_file))
    last = last_media(site, catalog)
    with explained("write the media backup"), catalog.draft(Kind.MEDIA, origin, now) as draft:
        listen(Step("media.create", {"path": str(catalog.directory / draft.name)}))

        def restart(changed: str) -> None:
            listen(Step("media.again", {"path": changed}))
            draft.empty()

        proof, members = made(partial(_archived, tree, draft, site.archive_root, listen), restart)
        facts = tree.facts()
        outside = accepted(proof.outside, site.accepted_links)
        proof = replace(proof, outside=outside, mounts=facts.live_mounts, file_system=facts.file_system)
        manifest = said(site, catalog, members, now)
        seconds = round(time.monotonic() - started, 3)
        path = draft.publish(
            replace(
                manifest,
                kind=Kind.MEDIA,
                origin=origin,
                includes_media=True,
                media_backup=draft.name,
                media=proof,
                doubt=doubt(proof, last, accept),
                seconds=seconds,
            )
        )
    return published(catalog, path, listen)


def _archived(
    tree: Tree, draft: Draft, root: str, listen: Listener, *, again: bool
) -> tuple[MediaProof, tuple[Member, ...]]:
    """Write the archive and its listing into the draft, read back behind the writer."""
    listing_name = draft.name + MEMBERS_SUFFIX
    with (
        create_private(draft.path()) as file,
        create_private(draft.path(MEMBERS_SUFFIX)) as list_file,
        followed(
            [draft.path(), draft.path(MEMBERS_SUFFIX)],
            partial(media_format.read_back, source=draft.name, root=root),
        ) as behind,
    ):
        target, listing = HashingWriter(file, behind.grown), HashingWriter(list_file, behind.grown)
        proof = media_format.create(tree, target, listing, root=root, members_name=listing_name, again=again)
        os.fsync(file.fileno())
        os.fsync(list_file.fileno())
        listen(Step("backup.verify"))
        _same(behind.result(), target.sha256, draft.name)
    _same(sha256_of(draft.path(MEMBERS_SUFFIX))[0], listing.sha256, listing_name)
    return proof, (
        Member(draft.name, target.size, target.sha256),
        Member(listing_name, listing.size, listing.sha256),
    )


def _size(site: Site, database: str | None) -> int:
    with snapshot(site.postgres, database=database) as taken:
        return taken.facts().size


def room_wanted(catalog: Catalog, kind: Kind, *, otherwise: Callable[[], int]) -> int:
    """Return the bytes without which no backup of this kind is begun.

    Twice what the last one took; where there is none, what is asked of the site.
    """
    last = next((a.size for a in catalog.artifacts() if a.kind is kind and a.header), None)
    return SPACE_FACTOR * last if last is not None else otherwise()


def _require_space(catalog: Catalog, kind: Kind, *, otherwise: Callable[[], int]) -> None:
    """Refuse what will not fit."""
    need = room_wanted(catalog, kind, otherwise=otherwise)
    free = free_bytes(catalog.directory)
    if free < need:
        raise Refused(
            f"not enough space in {catalog.directory}: {free:,} bytes free, {need:,} wanted",
            hint="make room (df -h; remove what you do not need), or set BACKUP_DIR to a larger disk",
        )


def _same(read: str, written: str, name: str) -> None:
    if read != written:
        raise ProofFailed(
            f"{name} does not read back as it was written",
            hint="the disk or the memory of this machine is failing: see dmesg, and use another disk",
        )


def said(site: Site, catalog: Catalog, members: tuple[Member, ...], now: datetime) -> Manifest:
    """Return what every manifest of this site says: which site, when, by what, of which files."""
    return Manifest(
        timestamp=now.strftime("%Y%m%d_%H%M%S"),
        includes_media=False,
        database_backup=None,
        media_backup=None,
        backup_dir=str(catalog.directory.absolute()),
        format=FORMAT,
        site=site.name,
        environment=site.environment,
        identity=site.standing.identity if site.standing else None,
        revision=site.revision,
        created=now.astimezone(UTC),
        tool=f"korrigo-backup {__version__}",
        members=members,
    )


def afterwards(
    site: Site, catalog: Catalog, artifact: Artifact, policy: Policy | None, now: datetime
) -> tuple[Decision, ...]:
    """Point `latest` and clean; what fails here must not hide that the backup is good."""
    try:
        if artifact.origin is Origin.ROUTINE:
            with explained(f"point {LATEST_SQL}"):
                catalog.point_latest(artifact)
        return clean(catalog, policy, site=site.name, environment=site.environment, now=now) if policy else ()
    except KorrigoBackupError as problem:
        raise PartlyDone(
            f"the backup {artifact.path} is made and verified, but then: {problem.message}",
            hint=problem.hint,
            state=f"the backup {artifact.path} is good",
        ) from None
    except Interrupted:
        raise Interrupted(f"the backup {artifact.path} is good") from None
