"""Plan a restore: read, verify and decide exactly as the real run does, and change nothing."""

from __future__ import annotations

import hashlib
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.domain.finding import Finding, error, ok, warning
from korrigo_backup.domain.manifest import DatabaseProof, TableProof
from korrigo_backup.domain.naming import MEMBERS_SUFFIX, Kind, before_database
from korrigo_backup.domain.plan import MediaChange, RestorePlan, compare_tables
from korrigo_backup.errors import ProofFailed, UsageError
from korrigo_backup.formats import media as media_format
from korrigo_backup.formats import members
from korrigo_backup.formats import sql as sql_format
from korrigo_backup.site.databases import Databases
from korrigo_backup.site.digests import RULE, prove_all, snapshot
from korrigo_backup.system.files import CHUNK, explained, free_bytes, open_plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from korrigo_backup.domain.artifact import Artifact
    from korrigo_backup.domain.manifest import Manifest
    from korrigo_backup.site.media import Entry, MediaTree
    from korrigo_backup.site.site import Site


@dataclass(frozen=True)
class SqlSource:
    """A verified dump, open for loading. `expected` is what must be there afterwards."""

    file: IO[bytes]
    sha256: str
    expected: DatabaseProof
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class MediaSource:
    """A verified media archive, open for loading, with its members file if it has one."""

    archive: IO[bytes]
    listing: IO[bytes] | None
    root: str | None
    files: int
    bytes: int
    findings: tuple[Finding, ...]


@contextmanager
def open_sql(artifact: Artifact) -> Iterator[SqlSource]:
    """Open and verify a dump; the file stays open, so that what was verified is what is loaded.

    Raises ProofFailed when it is damaged, cut, not a dump, or not what its manifest says.
    """
    with ExitStack() as stack:
        with explained(f"read {artifact.path}"):
            source = _verified_sql(artifact, stack.enter_context(open_plain(artifact.path)))
        yield source  # outside of `explained`: what goes wrong from here on is not the reading


def _verified_sql(artifact: Artifact, file: IO[bytes]) -> SqlSource:
    checked = sql_format.check(file, artifact.name)
    manifest = usable_manifest(artifact)
    if manifest is None or manifest.database is None:
        counted = tuple(TableProof(name, rows) for name, rows in sorted(checked.scan.rows.items()))
        proof = DatabaseProof(
            name="",
            server_version=checked.scan.server_version or "",
            client_version=checked.scan.client_version or "",
            digest=None,
            tables=counted,
            sequences=tuple(checked.scan.sequences.values()),
        )
        return SqlSource(file, checked.sha256, proof, (_unproven(artifact),))
    require_member(artifact, manifest, artifact.name, checked.sha256, checked.size)
    found = ok("artifact.verified", f"{artifact.name}: {manifest.database.rows} rows, checksum and end mark as saved")
    return SqlSource(file, checked.sha256, manifest.database, (found,))


@contextmanager
def open_media(artifact: Artifact) -> Iterator[MediaSource]:
    """Open and verify a media archive; raises as `open_sql`."""
    with ExitStack() as stack:
        with explained(f"read {artifact.path}"):
            source = _verified_media(artifact, stack)
        yield source


def _verified_media(artifact: Artifact, stack: ExitStack) -> MediaSource:
    manifest = usable_manifest(artifact)
    media = manifest.media if manifest else None
    archive = stack.enter_context(open_plain(artifact.path))
    if manifest is None or media is None:
        checked = media_format.check(archive, None, artifact.name, root=None)
        return MediaSource(archive, None, None, checked.files, checked.bytes, (_unproven(artifact),))
    listing = stack.enter_context(_open_listing(artifact.path.with_name(artifact.name + MEMBERS_SUFFIX)))
    checked = media_format.check(archive, listing, artifact.name, root=media.root)
    require_member(artifact, manifest, artifact.name, checked.sha256, checked.size)
    require_listing(artifact, manifest, listing)
    found = ok("artifact.verified", f"{artifact.name}: {checked.files} files, every checksum as saved")
    return MediaSource(archive, listing, media.root, checked.files, checked.bytes, (found,))


def _open_listing(path: Path) -> IO[bytes]:
    try:
        return open_plain(path)
    except FileNotFoundError:
        raise ProofFailed(
            f"{path} is missing: the checksums of the files cannot be compared",
            hint="copy it back beside the archive, or use another backup: korrigo-backup list",
        ) from None


def plan_sql(site: Site, artifact: Artifact, source: SqlSource, *, stamp: str) -> RestorePlan:
    """Return what restoring a dump over the live database would do."""
    databases = Databases(site.postgres)
    live = site.postgres.database
    if live == site.postgres.maintenance:
        raise UsageError(
            f"database {live} is the one that this program connects to while it swaps",
            hint="set POSTGRES_DB to the site's own database, or [database] maintenance to another one",
        )
    exists = live in databases.names()
    with_digest = source.expected.digest == RULE
    now = _tables_now(site, digest=with_digest) if exists else {}
    role = databases.role()
    findings = list(source.findings)
    if not (role.createdb or role.superuser):
        findings.append(error("role.createdb", f"role {role.name} may not create databases",
                              f'as a superuser: ALTER ROLE "{role.name}" CREATEDB'))  # fmt: skip
    if not exists:
        findings.append(warning("database.missing", f"database {live} does not exist: it is made anew"))
    if not site.services.configured:
        findings.append(_NO_SERVICES)
    after = {t.name: (t.rows, t.digest) for t in source.expected.tables}
    return RestorePlan(
        artifact=str(artifact.path),
        kind=Kind.SQL,
        created=artifact.created,
        target=f"database {live} at {site.postgres.access.description}",
        kept_as=before_database(live, stamp) if exists else None,
        tables=compare_tables(now, after),
        findings=tuple(findings),
    )


def plan_media(site: Site, artifact: Artifact, source: MediaSource, *, stamp: str) -> RestorePlan:
    """Return what restoring a media archive over the live tree would do."""
    if site.media is None:
        raise UsageError("the media directory is not configured", hint="set MEDIA_ROOT, or [media] root")
    if site.media.root.exists():
        site.media.require()
    findings = list(source.findings)
    free = free_bytes(site.media.root)
    if free < source.bytes:
        findings.append(error("space.media", f"{site.media.root}: {free:,} bytes free, {source.bytes:,} needed",
                              "make room: the old files are kept beside the new ones"))  # fmt: skip
    exists = site.media.root.is_dir()
    change = _media_change(site.media, source) if exists else MediaChange(0, source.files, 0, 0)
    if source.listing:
        source.listing.seek(0)
    return RestorePlan(
        artifact=str(artifact.path),
        kind=Kind.MEDIA,
        created=artifact.created,
        target=f"media tree {site.media.root}",
        kept_as=f"{site.media.root}/.before-{stamp}" if exists else None,
        media=change,
        findings=tuple(findings),
    )


def usable_manifest(artifact: Artifact) -> Manifest | None:
    """Return the manifest, None when there is none; ProofFailed for one that is there and cannot be read."""
    if artifact.problem:
        raise ProofFailed(artifact.problem, hint="use another backup: korrigo-backup list shows them")
    return artifact.manifest


def require_member(artifact: Artifact, manifest: Manifest, name: str, sha256: str, size: int) -> None:
    """Raise ProofFailed unless the manifest names this member with this checksum and size.

    A renamed artifact (its own file only) is still known by its content.
    """
    saved = {(member.sha256, member.size) for member in manifest.members}
    if (sha256, size) not in saved:
        raise ProofFailed(
            f"{name} is not the file that was saved: its checksum differs from the manifest's",
            hint=f"it was changed or damaged since {artifact.created:%Y-%m-%d %H:%M}: use another backup",
        )


def require_listing(artifact: Artifact, manifest: Manifest, listing: IO[bytes]) -> None:
    """Raise ProofFailed unless the members file is the one that was saved; it is left at its start."""
    digest, size = hashlib.sha256(), 0
    while chunk := listing.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
    listing.seek(0)
    require_member(artifact, manifest, artifact.name + MEMBERS_SUFFIX, digest.hexdigest(), size)


_NO_SERVICES = warning(
    "services.unknown",
    "no commands to stop the services are configured",
    "sessions are ended during the swap; stop the site yourself, or set [services]",
)


def _unproven(artifact: Artifact) -> Finding:
    return warning(
        "artifact.unproven",
        f"{artifact.name} has no manifest: it is whole, but whether it is what was saved cannot be proven",
        "it was made by another tool or its .manifest.json was lost",
    )


def _tables_now(site: Site, *, digest: bool) -> dict[str, tuple[int, str | None]]:
    with snapshot(site.postgres) as taken:
        return {t.name: (t.rows, t.digest) for t in prove_all(taken, digest=digest)}


def _media_change(tree: MediaTree, source: MediaSource) -> MediaChange:
    if source.listing is None:
        here = sum(1 for entry in tree.walk() if entry.is_file)
        return MediaChange(vanish=0, come_back=0, change=here, same=0)
    change = MediaChange(0, 0, 0, 0)
    for saved, entry in _side_by_side(source, tree):
        if saved is None:
            change = replace(change, vanish=change.vanish + 1)
        elif entry is None:
            change = replace(change, come_back=change.come_back + 1)
        elif _digest(entry) == saved:
            change = replace(change, same=change.same + 1)
        else:
            change = replace(change, change=change.change + 1)
    return change


def _side_by_side(source: MediaSource, tree: MediaTree) -> Iterator[tuple[str | None, Entry | None]]:
    """Merge the members file and the live tree, both ordered by path: constant memory for any tree."""
    prefix = f"{source.root}/"
    saved = ((digest, path.removeprefix(prefix)) for digest, path in members.read(_listing(source), "the listing"))
    live = (entry for entry in tree.walk() if entry.is_file)
    left, right = next(saved, None), next(live, None)
    while left or right:
        order = _order(left[1] if left else None, right.path if right else None)
        yield (left[0] if left and order <= 0 else None), (right if order >= 0 else None)
        if order <= 0:
            left = next(saved, None)
        if order >= 0:
            right = next(live, None)


def _listing(source: MediaSource) -> IO[bytes]:
    if source.listing is None:
        raise ValueError("this archive has no members file")
    return source.listing


def _order(left: str | None, right: str | None) -> int:
    if left is None or right is None:
        return 1 if left is None else -1
    one, other = left.split("/"), right.split("/")
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
