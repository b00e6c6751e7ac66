"""A complete Method 2 backup by one command from the host: made by the site's Django, brought out, verified, signed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.left_out import SCHEMAS
from korrigo_backup.backup.backup import BackedUp
from korrigo_backup.backup.media import require_stable
from korrigo_backup.backup.published import published
from korrigo_backup.errors import UsageError
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.run.journal import recorded
from korrigo_backup.run.step import CreatingDjangoBackup, Listener, ReadingBack, silent
from korrigo_backup.site.manage import require_own_commands
from korrigo_backup.system.files import explained
from korrigo_backup.system.timings import phase
from korrigo_backup.verify import django_artifact as django_format

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.draft import ArtifactDraft
    from korrigo_backup.artifact.manifest import Manifest
    from korrigo_backup.site.manage import DjangoCommands
    from korrigo_backup.site.site import Site


def backup_django(
    site: Site, catalog: Catalog, *, now: datetime, listen: Listener = silent, accept: Collection[str] = ()
) -> BackedUp:
    """Make a verified `django` backup with its media (contract B5); no copy of it stays where Django runs.

    `accept` may hold `SCHEMAS`: tables of the site's apps in other schemas are left out. Raises PartlyDone if files
    went on changing while they were read: the backup is good except for those.
    """
    django = site.django
    if django is None:
        raise UsageError(
            "how the site's manage.py is run is not configured",
            hint='set [django] manage = ["python", "manage.py"], or KORRIGO_BACKUP_MANAGE',
        )
    with (
        exclusive(site, catalog, "Django backup", listen=listen, own=True) as (site, _),  # noqa: PLR1704 - now held
        recorded(catalog.directory, site, "backup", "django", listener=listen) as running,
        _own_draft(django, catalog, now) as draft,
    ):
        running.listen(CreatingDjangoBackup(django.description))
        with phase("backup by manage.py"):
            django.bring_out(draft.directory, *(("--accept", SCHEMAS) if SCHEMAS in accept else ()))
        made = _only(draft.directory)
        running.listen(ReadingBack())
        manifest, _ = django_format.verify(made)
        path = draft.publish_directory(made, lambda final: _of_this_site(site, manifest, final))
        artifact = published(catalog, path, running.listen)
        running.bytes = artifact.size
        require_stable(artifact)
        return BackedUp(artifact)


@contextmanager
def _own_draft(django: DjangoCommands, catalog: Catalog, now: datetime) -> Iterator[ArtifactDraft]:
    """Yield the directory of a backup to be, once it is known that the site's command is ours."""
    require_own_commands(django)
    with explained("write the Django backup"), catalog.draft(Kind.DJANGO, Origin.ROUTINE, now) as draft:
        yield draft


def _of_this_site(site: Site, manifest: Manifest, final: Path) -> Manifest:
    return replace(
        manifest,
        site=site.name,
        environment=site.environment,
        identity=site.standing.identity if site.standing else None,
        revision=site.revision,
        backup_dir=str(final.absolute()),
    )


def _only(directory: Path) -> Path:
    made = [child for child in directory.iterdir() if child.is_dir()]
    if len(made) != 1:
        raise UsageError(
            "manage.py backup made no backup of this version's kind",
            hint="install the same version of korrigo-backup in the site's environment",
        )
    return made[0]
