"""`korrigo-backup media`: write an archive from the media store, or take an archive into it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.kinds import LISTING_SUFFIX, Kind
from korrigo_backup.backup.media_convert import export_archive, import_archive
from korrigo_backup.cli.output import CommandContext, say
from korrigo_backup.cli.program.commands import Actions
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import DryRun, say_unchanged
from korrigo_backup.cli.program.names import find_artifact
from korrigo_backup.core.counted import counted
from korrigo_backup.core.size import human

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired


_BACKUP = typer.Argument(help="A media backup: a path, a name in BACKUP_DIR, latest-media.")


def export(
    context: typer.Context,
    artifact: Annotated[str, _BACKUP],
    file: Annotated[
        Path | None, typer.Argument(help="The new archive; default: the backup's name in this directory.")
    ] = None,
    dry_run: DryRun = False,
) -> None:
    """Write the runbook's tar.gz from a backup in the media store.

    FILE and FILE.sha256 are written, and both read back: tar -xzf and sha256sum -c read them without this program.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    found = find_artifact(wired, artifact, Kind.MEDIA)
    target = file or Path(found.name.removesuffix(LISTING_SUFFIX) + ".tar.gz")
    if dry_run:
        say(f"{target} would be written from {found.name}")
        say_unchanged()
        return
    done = export_archive(found, target, root=wired.config.media.archive_root)
    size = target.stat().st_size
    add_to_document(path=str(target.absolute()), files=done.files, size=size)
    say(f"✅ {target}: {counted(done.files, 'file')}, {human(size)}, read back")


def import_(context: typer.Context, artifact: Annotated[str, _BACKUP], dry_run: DryRun = False) -> None:
    """Take an archive of this site into the media store.

    It makes media_backup_….files.gz with the archive's time; the archive stays, and may be removed by prune or rm.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    found = find_artifact(wired, artifact, Kind.MEDIA)
    if dry_run:
        say(f"{found.name} ({human(found.size)}) would be taken into the media store")
        say_unchanged()
        return
    with wired.catalog.exclusive("import of a media archive"):
        made = import_archive(wired.catalog, found)
    store = made.manifest.media.store if made.manifest and made.manifest.media else None
    add_to_document(path=str(made.path.absolute()), new_files=store.new_files if store else 0)
    say(f"✅ {made.name}: {store.new_files if store else 0:,} new files in the media store, read back")


ACTIONS = Actions(
    {"export": export, "import": import_},
    help="Write the runbook's tar.gz from a backup in the media store, or take such an archive into the store.",
)
