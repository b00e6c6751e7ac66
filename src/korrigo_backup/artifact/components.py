"""The manifest of an artifact, its signature, and the components of a restore point."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.artifact.catalog import NAME_THE_KEY
from korrigo_backup.artifact.kinds import KINDS, WITH_ROWS, Kind
from korrigo_backup.artifact.naming import MANIFEST_SUFFIX, parse
from korrigo_backup.artifact.reader import manifest_path
from korrigo_backup.artifact.signature import Authenticity, Verdict, verdict
from korrigo_backup.core.finding import Finding, error, ok, warning
from korrigo_backup.errors import KorrigoBackupError, NotFound, ProofFailed
from korrigo_backup.system.files import explained, sha256_of

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.manifest import Manifest


def members_of(catalog: Catalog, point: Artifact) -> tuple[Artifact, ...]:
    """Return the database and the media backup of a restore point.

    Raises NotFound if a backup is gone, ProofFailed if it is no file, if its manifest differs from that in the point,
    or if the point names no backups.
    """
    manifest = usable_manifest(point)
    if manifest is None or not manifest.database_backup or not manifest.media_backup:
        raise ProofFailed(
            f"{point.name} does not name a database and a media backup: it is no restore point",
            hint="use another restore point: korrigo-backup list --kind point",
        )
    saved = {member.name: member.sha256 for member in manifest.members}
    found = []
    for name in (manifest.database_backup, manifest.media_backup):
        path = point.path.with_name(name)
        if not path.exists():
            raise NotFound(
                f"{point.name} names {name}, which is not in the same directory",
                hint="copy it back, or use another restore point: korrigo-backup list --kind point",
            )
        if not path.is_file():
            raise ProofFailed(
                f"{point.name} names {name}, which is no file", hint=f"look at it: ls -la {point.path.parent}"
            )
        own = path.with_name(name + MANIFEST_SUFFIX)
        with explained(f"read {own}"):
            digest = sha256_of(own)[0] if own.exists() else None
        if digest is None or saved.get(own.name) != digest:
            raise ProofFailed(
                f"{own.name} is not the manifest that {point.name} was made of",
                hint="the files of two backups were mixed: use another restore point (korrigo-backup list)",
            )
        found.append(catalog.find(str(path)))
    return tuple(found)


def components(catalog: Catalog, artifact: Artifact) -> tuple[Artifact, ...]:
    """Return the components of a restore point; the artifact itself if it is of another kind."""
    return members_of(catalog, artifact) if KINDS[artifact.kind].components else (artifact,)


def compared(catalog: Catalog, artifact: Artifact | None) -> Artifact | None:
    """Return the restore point whose number of missing files is compared: `artifact` itself, else the newest."""
    if artifact is not None and KINDS[artifact.kind].components:
        return artifact
    try:
        return catalog.find("latest-point")
    except KorrigoBackupError:  # none, or a directory that cannot be read: then none is known to have been missing
        return None


def saved_database(catalog: Catalog, artifact: Artifact | None) -> Artifact | None:
    """Return the backup for the former state of the database: `artifact` or its component, else the newest.

    Returns None without a backup of a database. A backup directory that cannot be read counts as empty: the site is
    checked all the same.
    """
    try:
        for component in components(catalog, artifact) if artifact is not None else ():
            if KINDS[component.kind].has_rows:
                return component
    except KorrigoBackupError:
        return None
    newest = [one for kind in WITH_ROWS if (one := _newest(catalog, kind))]
    return max(newest, key=lambda one: one.created, default=None)


def _newest(catalog: Catalog, kind: Kind) -> Artifact | None:
    try:
        return catalog.find("latest", kind)
    except KorrigoBackupError:
        return None


def authenticity(artifact: Artifact, *, allow_unsigned: bool, bounds: str = "") -> list[Finding]:
    """Return the findings about the signature; an error if it is insufficient and that is not allowed.

    `bounds` says how an artifact that is not signed is loaded, "" for that of a whole restore.

    Raises ProofFailed for a manifest whose signature does not fit: it was altered, and no option allows that.
    """
    found = verdict(artifact.authenticity, allow_unsigned=allow_unsigned)
    if found is Verdict.ALTERED:
        raise ProofFailed(
            f"the manifest of {artifact.name} was altered: its signature does not fit",
            hint="do not use this backup; find the user or program that wrote to the backup directory",
        )
    if found is Verdict.GOOD:
        signed = ok("artifact.authentic", f"{artifact.name}: signed with this site's key")
        return [signed, *_renamed(artifact), *_passed_over(artifact)]
    what, hint = _unsigned(artifact)
    if found is Verdict.ALLOWED:
        bounds = bounds or _loaded(artifact.kind)
        return [warning("artifact.unsigned", f"{what}; allowed, and {bounds}"), *_passed_over(artifact)]
    return [error("artifact.unsigned", what, hint), *_passed_over(artifact)]


def _loaded(kind: Kind) -> str:
    """Return the bounds of a load of an artifact that is not signed."""
    return "only rows of the site's models" if KINDS[kind].loaded_by_django else "loaded without superuser rights"


def _passed_over(artifact: Artifact) -> list[Finding]:
    """Return a warning for each newer artifact that `latest` did not choose."""
    hint = "to use this backup, give its name; korrigo-backup verify NAME reads it again"
    return [warning("latest.passed_over", f"newer, and passed over: {one.name} {one.why}", hint)
            for one in artifact.passed_over]  # fmt: skip


def usable_manifest(artifact: Artifact) -> Manifest | None:
    """Return the manifest, None when there is none; ProofFailed for a manifest that cannot be read."""
    if artifact.problem:
        missing = not manifest_path(artifact.path, artifact.kind).exists()
        raise ProofFailed(
            artifact.problem,
            hint="use another backup: korrigo-backup list shows them",
            id_="manifest.missing" if missing else None,
        )
    return artifact.manifest


def _unsigned(artifact: Artifact) -> tuple[str, str]:
    meant = "if you know where it comes from, add --allow-unsigned to its restore"
    if artifact.authenticity is Authenticity.UNKNOWN_KEY:
        return (
            f"{artifact.name} was signed with a key that this site does not have",
            f"{NAME_THE_KEY}, or add that key as a line to yours; {meant}",
        )
    if artifact.manifest:
        return f"{artifact.name} has no signature: its origin is not proven", meant
    return f"{artifact.name} has no manifest, so its origin is unknown", meant


def _renamed(artifact: Artifact) -> list[Finding]:
    """Return a warning if an older backup has a newer name: the name is not signed, the time in the manifest is."""
    named, manifest = parse(artifact.name), artifact.manifest
    if named is None or manifest is None or named.stamp == manifest.timestamp:
        return []
    return [warning("artifact.renamed", f"{artifact.name} was renamed: it was made at {manifest.timestamp}",
                    "make sure that you mean this backup")]  # fmt: skip
