"""Which backups rows and files may be taken from: those of this site that are signed, or whose origin was confirmed."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.artifact.components import authenticity
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.core.finding import Finding, Level
from korrigo_backup.errors import Refused
from korrigo_backup.restore.planning import of_this_site

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.site.site import Site


def require_trusted(site: Site, backup: Artifact, *, allow_unsigned: bool) -> list[Finding]:
    """Return the findings about the signature of a backup, but for good ones.

    Raises Refused for a backup that must not be trusted, and for a backup of another site, environment or database:
    its rows and files are never mixed with those of this site.
    """
    foreign = of_this_site(site, backup, into_other_site=False)
    if bad := next((one for one in foreign if one.level is Level.ERROR), None):
        raise Refused(
            f"{backup.name}: {bad.message}",
            hint="check --config and BACKUP_DIR; if this database replaces the former database: korrigo-backup adopt;"
            f" to look at that backup: korrigo-backup drill {quote(backup.name)}",
            id_=bad.id,
        )
    bounds = (
        "its rows are put in with the rights of the site's role"
        if KINDS[backup.kind].is_dump
        else "its files are put among the media as they are"
    )
    found = authenticity(backup, allow_unsigned=allow_unsigned, bounds=bounds)
    if bad := next((one for one in found if one.level is Level.ERROR), None):
        raise Refused(bad.message, hint=bad.hint, id_=bad.id)
    return [one for one in found if one.level is not Level.OK]
