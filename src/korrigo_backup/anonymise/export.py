"""An anonymised copy as a directory: a dump for psql, and the media files."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.errors import Refused
from korrigo_backup.postgres.session_settings import DUMPING
from korrigo_backup.run.step import WritingCopy
from korrigo_backup.system.blocks import Effort
from korrigo_backup.system.files import (
    CHUNK,
    create_private,
    explained,
    fsync_directory,
    private_directory,
    rename_new,
    write_all,
)
from korrigo_backup.system.streams import GzipWriter, HashingWriter

if TYPE_CHECKING:
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.run.step import Listener

DUMP, MEDIA = "database.sql.gz", "media"


def require_new(directory: Path) -> None:
    """Raise Refused if the directory exists, or its parent does not."""
    for path in (directory, _partial(directory)):
        if os.path.lexists(path):
            raise Refused(f"{path} exists", hint="remove it, or name another directory: --to DIRECTORY")
    if not directory.absolute().parent.is_dir():
        raise Refused(f"there is no directory {directory.absolute().parent}", hint="make it first")


def write_copy(server: Postgres, database: str, media: Path | None, directory: Path, listen: Listener) -> None:
    """Write a checked copy; the directory has its name when all of it is on disk, and is for its owner alone.

    A failed dump leaves nothing; a killed run leaves `DIRECTORY.partial`, which holds anonymised data alone.
    """
    listen(WritingCopy(str(directory)))
    partial = _partial(directory)
    with explained(f"write {directory}"):
        require_new(directory)
        private_directory(partial)
        try:
            _dump(server, database, partial / DUMP)
            if media:
                _copy(media, partial / MEDIA)
            fsync_directory(partial)
            rename_new(partial, directory)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def _partial(directory: Path) -> Path:
    return directory.with_name(f"{directory.name}.partial")


def _dump(server: Postgres, database: str, path: Path) -> None:
    """Dump without owners and rights: it loads as any role."""
    arguments = ("--format=plain", "--no-password", "--no-owner", "--no-privileges", "--no-subscriptions")
    with (
        create_private(path) as file,
        GzipWriter(HashingWriter(file), Effort.SMALL) as packed,
        server.watched("pg_dump", *arguments, database=database, options=DUMPING) as pg_dump,
    ):
        while piece := pg_dump.read(CHUNK):
            packed.write(piece)
        pg_dump.require_success()
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _copy(source: Path, target: Path) -> None:
    """Copy regular files as new files: those of the copy may be links into the media store."""
    for above, _, names in os.walk(source):
        there = target / Path(above).relative_to(source)
        private_directory(there)
        for name in names:
            with (Path(above) / name).open("rb") as old, create_private(there / name) as new:
                while piece := old.read(CHUNK):
                    write_all(new, piece)
                os.fsync(new.fileno())
