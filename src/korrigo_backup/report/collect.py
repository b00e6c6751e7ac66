"""Read the content of backups for a report. Reads only."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from korrigo_backup.artifact.history import members_of
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.report.model import BackupContent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from korrigo_backup.artifact.artifact import Artifact

_USERS = frozenset({"public.auth_user", "auth_user", "auth.user"})


def contents(artifacts: Iterable[Artifact]) -> dict[str, BackupContent]:
    """Return the content of each backup by its name, from the heads of the manifests."""
    by_name = {one.name: one for one in artifacts}
    return {one.name: _content(one, [by_name[n] for n in members_of(one) if n in by_name]) for one in by_name.values()}


def with_tables(content: BackupContent, artifacts: Sequence[Artifact]) -> BackupContent:
    """Return the content with its tables and users, for which the whole manifest is read."""
    by_name = {one.name: one for one in artifacts}
    point = by_name.get(content.name)
    names = [content.name, *(members_of(point) if point else ())]
    for name in names:
        with suppress(KorrigoBackupError, OSError):
            manifest = by_name[name].manifest if name in by_name else None
            if manifest and (manifest.database or manifest.django):
                django = manifest.django
                tables = manifest.database.tables if manifest.database else django.models if django else ()
                users = next((one.rows for one in tables if one.name in _USERS), None)
                return BackupContent(
                    name=content.name,
                    created=content.created,
                    size=content.size,
                    tables=len(tables),
                    rows=content.rows,
                    files=content.files,
                    users=users,
                )
    return content


def _content(artifact: Artifact, components: Sequence[Artifact]) -> BackupContent:
    counted = components or [artifact]
    rows = [one.header.rows for one in counted if one.header and one.header.rows is not None]
    files = [one.header.files for one in counted if one.header and one.header.files is not None]
    return BackupContent(
        name=artifact.name,
        created=artifact.created,
        size=sum(one.size for one in counted),
        rows=sum(rows) if rows else None,
        files=sum(files) if files else None,
    )
