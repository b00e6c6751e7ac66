"""`manage.py backup`: the rows and, if wanted, the media of this site as a proven artifact (runbook 4.3)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS, connections

from korrigo_backup.artifact.left_out import SCHEMAS, left_out_findings
from korrigo_backup.djangoapp import backup
from korrigo_backup.djangoapp.boundary import in_language, reported, write
from korrigo_backup.djangoapp.fixture.outside import ACCEPT
from korrigo_backup.djangoapp.transaction.snapshot import lift_limits
from korrigo_backup.errors import UNCHANGED
from korrigo_backup.run.narrate import narrate_django
from korrigo_backup.system.files import private_directory

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

    from korrigo_backup.artifact.manifest import Manifest
    from korrigo_backup.run.step import DjangoStep

_SHOWN = ("timestamp", "includes_media", "database_backup", "media_backup", "backup_dir")


class Command(BaseCommand):
    """Back up the database as a fixture, and the media as ZIP."""

    help = (
        "Back up the database as a Django fixture, and the media files with --include-media, with a manifest that "
        "proves both. Exit status: 0 done, 2 usage, 3 some files changed while they were read, 4 refused, "
        "7 another run, 8 database unreachable, 9 proof failed, 1 another error."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the runbook's options, and those of dumpdata that make sense here."""
        parser.add_argument(
            "--output-dir", help="where the backup is put (default: a new directory in the system's temporary one)"
        )
        parser.add_argument("--include-media", action="store_true", help="also back up the files below MEDIA_ROOT")
        parser.add_argument(
            "--exclude", action="append", default=[], metavar="APP[.MODEL]", help="leave out; may be repeated"
        )
        parser.add_argument(
            "--database", default=DEFAULT_DB_ALIAS, metavar="ALIAS", help="which database (default: default)"
        )
        parser.add_argument(
            "--accept",
            action="append",
            default=[],
            choices=[SCHEMAS],
            help="go on although the backup leaves this out: schemas (tables of the site's apps in other schemas); "
            f"the setting {ACCEPT} names it for every backup",
        )
        parser.add_argument("--indent", type=int, metavar="N", help="spread objects over lines, for people")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Make the backup and print the runbook's lines."""
        with reported("back up", lambda: UNCHANGED):
            lift_limits(options["database"])
            connections[options["database"]].ensure_connection()
            request = backup.DjangoBackupOptions(
                output_dir=self._directory(options["output_dir"]),
                alias=options["database"],
                include_media=options["include_media"],
                exclude=options["exclude"],
                indent=options["indent"],
                accept=[*options["accept"], *getattr(settings, ACCEPT, ())],
            )
            manifest = backup.run(request, self._say)
            write(self.stdout, in_language(f"Successfully created backup at: {manifest.backup_dir}"))
            write(self.stdout, f"Backup manifest: {_as_python(manifest)}")
            for note in manifest.media.notes if manifest.media else ():
                write(self.stderr, in_language(f"warning: {note}"))
            for found in left_out_findings(manifest.django.left_out if manifest.django else ()):
                write(self.stderr, in_language(f"warning: {found.message}\nhint: {found.hint}"))
            backup.require_stable(manifest)

    def _say(self, step: DjangoStep) -> None:
        write(self.stdout, in_language(narrate_django(step)))

    def _directory(self, given: str | None) -> Path:
        path = Path(given).absolute() if given else Path(tempfile.mkdtemp(prefix="korrigo_backup_"))
        if given is None or not path.is_dir():
            private_directory(path)
            write(self.stdout, in_language(f"Created temporary backup directory: {path}"))
        return path


def _as_python(manifest: Manifest) -> str:
    lines = [f"  {key!r}: {getattr(manifest, key)!r}" for key in _SHOWN]
    return "{\n" + ",\n".join(lines) + "\n}"
