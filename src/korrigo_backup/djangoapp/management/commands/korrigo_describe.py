"""`manage.py korrigo_describe`: this site as a JSON document, on the last line of the output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from django.core.management.base import BaseCommand
from django.db import DEFAULT_DB_ALIAS

from korrigo_backup.djangoapp.boundary import reported
from korrigo_backup.djangoapp.probe.describe import describe
from korrigo_backup.errors import UNCHANGED

if TYPE_CHECKING:
    from django.core.management.base import CommandParser


class Command(BaseCommand):
    """Describe the site for korrigo-backup."""

    help = (
        "Print a JSON document: versions, code revision, migrations on disk, the users' table, and every column "
        "that names media files (settings: KORRIGO_BACKUP_PATH_COLUMNS). The database is not asked."
    )
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's name; a site is described even if it is not sound

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the database."""
        parser.add_argument(
            "--database", default=DEFAULT_DB_ALIAS, metavar="ALIAS", help="which database (default: default)"
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        """Print the document."""
        with reported("describe the site", lambda: UNCHANGED):
            document = {"schema": "korrigo-backup/describe-1", **msgspec.to_builtins(describe(options["database"]))}
            self.stdout.write(msgspec.json.encode(document).decode())
