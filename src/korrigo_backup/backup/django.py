"""A complete Method 2 backup by one command from the host: made by the site's Django, brought out, verified, signed."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact import manifest as manifests
from korrigo_backup.artifact.kinds import LISTING_SUFFIX, Kind, Origin
from korrigo_backup.artifact.left_out import SCHEMAS
from korrigo_backup.artifact.naming import DIRECTORY_MANIFEST
from korrigo_backup.backup.backup import BackedUp
from korrigo_backup.backup.media import belongs_in_store, expected_media, last_media, require_complete
from korrigo_backup.backup.media_store import store_tree
from korrigo_backup.backup.published import published
from korrigo_backup.errors import UsageError
from korrigo_backup.media.archive import saving
from korrigo_backup.media.findings import accepted
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.run.journal import recorded
from korrigo_backup.run.step import ArchivingAgain, CreatingArchive, CreatingDjangoBackup, Listener, ReadingBack, silent
from korrigo_backup.site.manage import WITH_MEDIA, require_own_commands
from korrigo_backup.system.files import explained, write_private
from korrigo_backup.system.progress import Work, under_way
from korrigo_backup.system.timings import phase
from korrigo_backup.verify import django_artifact as django_format

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.draft import ArtifactDraft
    from korrigo_backup.artifact.manifest import Manifest
    from korrigo_backup.media.port import Tree
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
            id_="django.absent",
        )
    with (
        exclusive(site, catalog, "Django backup", listen=listen, own=True) as (site, _),  # noqa: PLR1704 - now held
        recorded(catalog.directory, site, "backup", "django", listener=listen) as running,
        _own_draft(django, catalog, now) as draft,
    ):
        tree, last = site.media, last_media(site, catalog)
        stored = tree is not None and belongs_in_store(site, tree, last)
        running.listen(CreatingDjangoBackup(django.description, stored=stored))
        options = ("--accept", SCHEMAS) if SCHEMAS in accept else ()
        with phase("backup by manage.py"), under_way(_work(draft.directory)):
            django.bring_out(draft.directory, *(() if stored else (WITH_MEDIA,)), *options)
        made = _only(draft.directory)
        if tree and stored:
            _add_stored_media(site, tree, catalog, made, last, now=now, listen=running.listen)
        running.listen(ReadingBack())
        manifest, _ = django_format.verify(made, stored_media=False, backups=catalog.directory)
        path = draft.publish_directory(made, lambda final: _of_this_site(site, manifest, final))
        artifact = published(catalog, path, running.listen)
        running.bytes = artifact.size
        require_complete(artifact)
        return BackedUp(artifact)


def _work(directory: Path) -> Work:
    """Return the work of a backup that another process writes into a directory."""

    def look(work: Work) -> None:
        work.size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())

    return Work(name="running manage.py backup", look=look)


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


def _add_stored_media(
    site: Site, tree: Tree, catalog: Catalog, made: Path, last: Artifact | None, *, now: datetime, listen: Listener
) -> None:
    """Store the media files, and write their listing and their proof into a Django backup without media."""
    manifest = django_format.read_manifest(made)
    listing = made / f"media_backup_{manifest.timestamp}{LISTING_SUFFIX}"
    listen(CreatingArchive(str(listing)))

    def restart(changed: str) -> None:
        listen(ArchivingAgain(changed))
        listing.unlink()

    work = saving(*expected_media(last)) if last else saving()
    with under_way(work):
        proof, members = store_tree(site, tree, catalog, listing, last, now, restart, work)
    facts = tree.facts()
    outside = accepted(proof.outside, site.accepted_links)
    whole = replace(
        manifest,
        includes_media=True,
        media_backup=listing.name,
        media=replace(proof, outside=outside, mounts=facts.live_mounts, file_system=facts.file_system),
        members=(*manifest.members, *members),
    )
    (made / DIRECTORY_MANIFEST).unlink()
    write_private(made / DIRECTORY_MANIFEST, manifests.encode(whole))


def _only(directory: Path) -> Path:
    made = [child for child in directory.iterdir() if child.is_dir()]
    if len(made) != 1:
        raise UsageError(
            "manage.py backup made no backup of this version's kind",
            hint="install the same version of korrigo-backup in the site's environment",
        )
    return made[0]
