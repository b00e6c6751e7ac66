"""The head of a manifest: the fields for lists, ages and sums, without tables and objects.

A directory may hold ten thousand backups; their whole manifests would take a gigabyte of memory.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.consistency import Consistency  # noqa: TC001 - msgspec reads it when it decodes
from korrigo_backup.artifact.identity import Identity  # noqa: TC001 - the same
from korrigo_backup.artifact.kinds import Kind, Origin  # noqa: TC001 - the same
from korrigo_backup.artifact.manifest import Doubt  # noqa: TC001 - the same

if TYPE_CHECKING:
    from korrigo_backup.artifact.manifest import Manifest


class ManifestHeader(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest in short; the fields mean the same as in `Manifest`.

    `rows` and `files` are None for kinds without them; `digests` says whether each table's rows have a digest.
    `database` is the name of the database that was dumped.
    """

    timestamp: str
    format: int
    kind: Kind | None
    origin: Origin
    site: str | None
    environment: str | None
    created: datetime | None
    seconds: float | None
    database_backup: str | None
    media_backup: str | None
    rows: int | None
    files: int | None
    digests: bool
    consistency: Consistency | None
    file_system: str = ""
    doubt: Doubt | None = None
    identity: Identity | None = None
    database: str | None = None


def header(manifest: Manifest) -> ManifestHeader:
    """Return the head of a manifest."""
    rows = manifest.database or manifest.django
    return ManifestHeader(
        timestamp=manifest.timestamp,
        format=manifest.format,
        kind=manifest.kind,
        origin=manifest.origin,
        site=manifest.site,
        environment=manifest.environment,
        created=manifest.created,
        seconds=manifest.seconds,
        database_backup=manifest.database_backup,
        media_backup=manifest.media_backup,
        rows=rows.rows if rows else None,
        files=manifest.media.files if manifest.media else None,
        digests=bool(rows and rows.digest),
        consistency=manifest.consistency,
        file_system=manifest.media.file_system if manifest.media else "",
        doubt=manifest.doubt,
        identity=manifest.identity,
        database=manifest.database.name if manifest.database else None,
    )
