"""The former `manage.py restore`: live rows deleted first, then fifteen passes over what could not be saved yet."""

import json
import zipfile
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core import serializers
from django.core.management.base import BaseCommand
from django.db import transaction

from former.management.commands.former_backup import EXCLUDED

PASSES = 15


class Command(BaseCommand):
    """Restore as Korrigo did before."""

    def add_arguments(self, parser):
        """Take the runbook's path and option."""
        parser.add_argument("path")
        parser.add_argument("--dry-run", action="store_true")

    def handle(self, **options):
        """Read the manifest and put rows and files back."""
        path = Path(options["path"])
        manifest = json.loads((path / "manifest.json").read_text())
        self.stdout.write(f"Restoring from backup: {path}")
        self.stdout.write(f"Backup timestamp: {manifest['timestamp']}")
        if options["dry_run"]:
            return
        self.stdout.write("Restoring database...")
        self.load(path / manifest["database_backup"])
        if manifest["includes_media"]:
            self.stdout.write("Restoring media files...")
            with zipfile.ZipFile(path / manifest["media_backup"]) as opened:
                opened.extractall(settings.MEDIA_ROOT)
        self.stdout.write("Restore completed successfully")

    def load(self, fixture):
        """Delete, then save object by object."""
        for model in reversed(list(apps.get_models())):
            if model._meta.label_lower not in EXCLUDED:
                model.objects.all().delete()
        pending = list(serializers.deserialize("json", fixture.read_text(encoding="utf-8")))
        self.stdout.write(f"Starting restoration of {len(pending)} objects...")
        for number in range(1, PASSES + 1):
            left = [one for one in pending if not save(one)]
            self.stdout.write(f"Pass {number}: Saved {len(pending) - len(left)} objects. {len(left)} remaining.")
            stuck, pending = len(left) == len(pending), left
            if not pending or stuck:
                break
        if pending:
            self.stderr.write(f"Restore incomplete! {len(pending)} objects could not be restored.")
        else:
            self.stdout.write("Database restored successfully")


def save(one):
    """Save one object and tell whether that worked."""
    try:
        with transaction.atomic():
            one.save()
    except Exception:  # noqa: BLE001 - as it was
        return False
    return True
