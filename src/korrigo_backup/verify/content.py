"""The second depth of verification: an artifact is unpacked and read to its end, signed or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from korrigo_backup.artifact.components import authenticity, members_of
from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.core.finding import Finding, Level
from korrigo_backup.verify import django_artifact as django_format
from korrigo_backup.verify.dump_source import open_sql
from korrigo_backup.verify.media_source import open_media

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog


def content(catalog: Catalog, artifact: Artifact, *, stored_media: bool = True) -> list[Finding]:
    """Return the findings of reading the content: end mark, rows of every table, checksums of every file.

    Without `stored_media` the files of the media store must be there with their sizes, and are not read. Raises
    ProofFailed or NotFound for an artifact that is not whole. A missing signature is a warning: it may still be whole.
    """
    signed = [_as_warning(finding) for finding in authenticity(artifact, allow_unsigned=False)]
    match artifact.kind:
        case Kind.DJANGO:
            return django_format.verify(artifact.path, stored_media=stored_media)[1]
        case Kind.POINT:
            members = members_of(catalog, artifact)
            inside = [one for member in members for one in content(catalog, member, stored_media=stored_media)]
            return [*inside, *signed]
        case Kind.SQL:
            with open_sql(artifact) as dump:
                return [*dump.findings, *signed]
        case Kind.MEDIA:
            with open_media(artifact, unpacked=stored_media or not artifact.is_listing) as archive:
                return [*archive.findings, *signed]
        case _:
            assert_never(artifact.kind)


def _as_warning(finding: Finding) -> Finding:
    if finding.level is not Level.ERROR:
        return finding
    return Finding(finding.id, Level.WARNING, finding.message, finding.hint, finding.detail)
