"""`manage.py restore` as the site had it before."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    """Say that it restores."""

    help = "Former restore of the site."

    def add_arguments(self, parser: CommandParser) -> None:
        """Take the directory."""
        parser.add_argument("backup_path")

    def handle(self, **options: Any) -> None:
        """Say it."""
        self.stdout.write(f"Restoring from backup: {options['backup_path']}")
