"""`manage.py restore`: put back what `manage.py backup` made, whole or not at all (runbook 5.4)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS, connections

from korrigo_backup.djangoapp.boundary import reported
from korrigo_backup.djangoapp.restore import Restore

if TYPE_CHECKING:
    from django.core.management.base import CommandParser

    from korrigo_backup.domain.journal import Step

_LINES = {
    "restore.begin": "Backup timestamp: {timestamp}",
    "restore.database": "Restoring database...",
    "restore.load": "Starting restoration of {objects} objects...",
    "restore.loaded": "Pass 1: Saved {objects} objects. 0 remaining.\nDatabase restored successfully",
    "restore.media": "Restoring media files...",
    "restore.media-done": "Restored media from: {archive}",
}
_DRY_LINES = {
    "restore.begin": "Backup timestamp: {timestamp}",
    "restore.database": "Would restore database...",
    "restore.media": "Would restore media files...",
}


class Command(BaseCommand):
    """Restore a backup made by `manage.py backup`."""

    help = (
        "Restore a backup made by `manage.py backup`. Everything is checked before anything is changed, and the "
        "load is one transaction: it succeeds whole or changes nothing. Exit status: 0 done, 4 refused, 6 no such "
        "backup, 7 another run, 8 database unreachable, 9 proof failed, 1 another error."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the runbook's path and option."""
        parser.add_argument("backup_path", help="the korrigo_backup_… directory")
        parser.add_argument("--dry-run", action="store_true", help="check everything, change nothing")
        parser.add_argument(
            "--allow-unsigned", action="store_true", help="restore a backup although this site did not sign it"
        )
        parser.add_argument(
            "--database", default=DEFAULT_DB_ALIAS, metavar="ALIAS", help="which database (default: default)"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Restore, or say what a restore would do, and print the runbook's lines."""
        dry_run = options["dry_run"]
        lines = _DRY_LINES if dry_run else _LINES

        def say(step: Step) -> None:
            if text := lines.get(step.id):
                self.stdout.write(text.format(**step.facts))

        restore = Restore(
            Path(options["backup_path"]).absolute(), options["database"], dry_run, say, options["allow_unsigned"]
        )
        if dry_run:
            self.stdout.write("DRY RUN MODE - No changes will be made")
        self.stdout.write(f"Restoring from backup: {options['backup_path']}")
        with reported("restore", lambda: restore.state):
            connections[options["database"]].ensure_connection()
            restore.run()
        for warning in restore.warnings:
            self.stderr.write(f"warning: {warning}")
        self.stdout.write("Restore completed successfully")
