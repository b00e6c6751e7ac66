"""`korrigo-backup media`: write an archive from the media store, or take an archive into it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.kinds import LISTING_SUFFIX, Kind
from korrigo_backup.backup.media_convert import export_archive, import_archive
from korrigo_backup.cli.output import CommandContext, say
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.core.size import human

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired


class MediaAction(StrEnum):
    """The actions on media backups."""

    EXPORT = "export"
    IMPORT = "import"


def command(
    context: typer.Context,
    action: Annotated[MediaAction, typer.Argument(help="export or import.")],
    artifact: Annotated[str, typer.Argument(help="A media backup: a path, a name in BACKUP_DIR, latest-media.")],
    file: Annotated[
        Path | None, typer.Argument(help="export: the new archive; default: the backup's name in this directory.")
    ] = None,
) -> None:
    """Write the runbook's tar.gz from a backup in the media store, or take such an archive into the store.

    export writes FILE and FILE.sha256, and reads both back: tar -xzf and sha256sum -c read them without this program.
    import makes media_backup_….files.gz with the archive's time; the archive stays, and may be removed by prune or rm.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    found = wired.catalog.find(artifact, Kind.MEDIA)
    if action is MediaAction.EXPORT:
        target = file or Path(found.name.removesuffix(LISTING_SUFFIX) + ".tar.gz")
        done = export_archive(found, target, root=wired.config.media.archive_root)
        add_to_document(path=str(target.absolute()), files=done.files, size=target.stat().st_size)
        say(f"✅ {target}: {done.files:,} files, {human(target.stat().st_size)}, read back")
        return
    with wired.catalog.exclusive("import of a media archive"):
        made = import_archive(wired.catalog, found)
    store = made.manifest.media.store if made.manifest and made.manifest.media else None
    add_to_document(path=str(made.path.absolute()), new_files=store.new_files if store else 0)
    say(f"✅ {made.name}: {store.new_files if store else 0:,} new files in the media store, read back")
