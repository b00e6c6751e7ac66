"""Back up: lock, preflight, draft, create, read back, publish; then prune by the policy."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup import __version__
from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.manifest import FORMAT, Manifest, Member
from korrigo_backup.artifact.naming import LATEST_SQL
from korrigo_backup.backup.published import published
from korrigo_backup.errors import Interrupted, KorrigoBackupError, PartlyDone, ProofFailed, Refused
from korrigo_backup.postgres.digest import snapshot
from korrigo_backup.postgres.dump import create as sqldump
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.retention.prune import clean
from korrigo_backup.run.journal import recorded
from korrigo_backup.run.step import CreatingDump, IndexesLeftOut, Listener, ReadingBack, silent
from korrigo_backup.system.files import create_private, explained, free_bytes
from korrigo_backup.system.follow import followed
from korrigo_backup.system.streams import HashingWriter
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.retention.policy import Decision, Policy
    from korrigo_backup.run.journal import Running
    from korrigo_backup.site.site import Site

SPACE_FACTOR = 2
"""Free space required, as a multiple of the space for the backup (runbook 2.2: a margin of twice the data)."""


@dataclass(frozen=True)
class BackedUp:
    """A published backup, and the decisions about the older backups."""

    artifact: Artifact
    cleaned: tuple[Decision, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class BackupOptions:
    """Options of a backup: its database, its origin, with digests or not; `observe` sees its snapshot.

    `policy` decides which older dumps are removed afterwards; without a policy none is.
    """

    database: str | None = None
    origin: Origin = Origin.ROUTINE
    digest: bool = True
    policy: Policy | None = None
    observe: Callable[[Snapshot], None] | None = None
    accept: frozenset[str] = frozenset()
    """Names of oddities of the media that the operator has accepted."""


def backup_database(
    site: Site, catalog: Catalog, wish: BackupOptions | None = None, *, now: datetime, listen: Listener = silent
) -> BackedUp:
    """Make a verified `sql` backup, point `db_backup_latest` at it, and remove older backups by its policy.

    Raises PartlyDone if the backup is good and only the pruning failed.
    """
    with (
        exclusive(site, catalog, "backup of the database", listen=listen, own=True) as (site, _),  # noqa: PLR1704 - now held
        recorded(catalog.directory, site, "backup", "db", listener=listen) as running,
    ):
        return take_database(site, catalog, wish or BackupOptions(), now=now, running=running)


def take_database(site: Site, catalog: Catalog, wish: BackupOptions, *, now: datetime, running: Running) -> BackedUp:
    """Make a verified `sql` backup and the steps after it; the caller holds the lock."""
    artifact = dump(site, catalog, wish, now=now, listen=running.listen)
    running.bytes = artifact.size
    return BackedUp(artifact, afterwards(site, catalog, artifact, wish.policy, now))


def dump(site: Site, catalog: Catalog, wish: BackupOptions, *, now: datetime, listen: Listener) -> Artifact:
    """Make and publish an `sql` artifact; the caller holds the lock."""
    started = time.monotonic()
    require_space(catalog, Kind.SQL, otherwise=partial(_size, site, wish.database))
    with explained("write the backup"), catalog.draft(Kind.SQL, wish.origin, now) as draft:
        listen(CreatingDump(str(catalog.directory / draft.name.removesuffix(".gz"))))
        with (
            create_private(draft.path()) as file,
            followed([draft.path()], partial(sqldump.read_back, source=draft.name)) as behind,
        ):
            target = HashingWriter(file, behind.grown)
            proof = sqldump.create(
                site.postgres,
                target,
                database=wish.database,
                digest=wish.digest,
                observe=wish.observe,
                expected=_last_size(catalog, Kind.SQL),
            )
            os.fsync(file.fileno())
            if proof.left_out:
                listen(IndexesLeftOut(", ".join(proof.left_out)))
            listen(ReadingBack())
            with phase("reading back"):
                require_same(behind.result(), target.sha256, draft.name)
        manifest = new_manifest(site, catalog, (Member(draft.name, target.size, target.sha256),), now)
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


def _size(site: Site, database: str | None) -> int:
    with snapshot(site.postgres, database=database) as taken:
        return taken.facts().size


def _last_size(catalog: Catalog, kind: Kind) -> int | None:
    """Return the size of the last backup of a kind in bytes, None without one."""
    return next((a.size for a in catalog.artifacts() if a.kind is kind and a.header), None)


def room_wanted(catalog: Catalog, kind: Kind, *, otherwise: Callable[[], int]) -> int:
    """Return the bytes without which no backup of this kind is begun.

    Twice the size of the last backup of the kind; without it, the result of `otherwise`.
    """
    last = _last_size(catalog, kind)
    return SPACE_FACTOR * last if last is not None else otherwise()


@phase("room")
def require_space(catalog: Catalog, kind: Kind, *, otherwise: Callable[[], int]) -> None:
    """Raise Refused if the backup will not fit; `otherwise` is called if there is no backup of this kind."""
    need = room_wanted(catalog, kind, otherwise=otherwise)
    free = free_bytes(catalog.directory)
    if free < need:
        raise Refused(
            f"not enough space in {catalog.directory}: {free:,} bytes free, {need:,} wanted",
            hint="make room (df -h; remove files that you do not need), or set BACKUP_DIR to a larger disk",
        )


def require_same(read: str, written: str, name: str) -> None:
    """Raise ProofFailed unless the SHA-256 read back equals that of the written bytes."""
    if read != written:
        raise ProofFailed(
            f"{name} does not read back as it was written",
            hint="the disk or the memory of this machine is failing: see dmesg, and use another disk",
        )


def new_manifest(site: Site, catalog: Catalog, members: tuple[Member, ...], now: datetime) -> Manifest:
    """Return the fields of every manifest of this site: site, time, program, files."""
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


@phase("older backups")
def afterwards(
    site: Site, catalog: Catalog, artifact: Artifact, policy: Policy | None, now: datetime
) -> tuple[Decision, ...]:
    """Point `latest` and prune; a failure here must not hide that the backup is good."""
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
            id_=problem.id,
        ) from None
    except Interrupted:
        raise Interrupted(f"the backup {artifact.path} is good") from None
