"""The former `manage.py backup`: one pretty-printed JSON array, a deflated ZIP, a manifest of five keys."""

import json
import os
import tempfile
import zipfile
from datetime import datetime
from pathlib import Path

from django.apps import apps
from django.conf import settings
from django.core import serializers
from django.core.management.base import BaseCommand

EXCLUDED = {"contenttypes.contenttype", "auth.permission", "sessions.session"}


class Command(BaseCommand):
    """Back up as Korrigo did before."""

    def add_arguments(self, parser):
        """Take the runbook's options."""
        parser.add_argument("--output-dir")
        parser.add_argument("--include-media", action="store_true")
        parser.add_argument("--natural", action="store_true", help="name users and groups instead of numbering them")

    def handle(self, **options):
        """Write the three files."""
        output = options["output_dir"] or tempfile.mkdtemp()
        Path(output).mkdir(parents=True, exist_ok=True)
        self.stdout.write(f"Created temporary backup directory: {output}")
        stamp = datetime.now().strftime("%Y%m%d_%H%M%S")
        target = Path(output) / f"korrigo_backup_{stamp}"
        target.mkdir()
        self.stdout.write("Backing up database...")
        rows = []
        for model in apps.get_models():
            if model._meta.label_lower not in EXCLUDED:
                rows.extend(model.objects.all())
        database = f"db_backup_{stamp}.json"
        text = serializers.serialize(
            "json",
            rows,
            indent=2,
            use_natural_foreign_keys=options["natural"],
            use_natural_primary_keys=options["natural"],
        )
        (target / database).write_text(text, encoding="utf-8")
        media = None
        if options["include_media"]:
            self.stdout.write("Backing up media files...")
            media = f"media_backup_{stamp}.zip"
            archive(Path(settings.MEDIA_ROOT), target / media)
        manifest = {
            "timestamp": stamp,
            "includes_media": options["include_media"],
            "database_backup": database,
            "media_backup": media,
            "backup_dir": str(target),
        }
        (target / "manifest.json").write_text(json.dumps(manifest, indent=2))
        self.stdout.write(f"Successfully created backup at: {target}")
        self.stdout.write(f"Backup manifest: {manifest}")


def archive(root, path):
    """Deflate every file below `root`; directories are not in it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for directory, _, names in os.walk(root):
            for name in names:
                file = Path(directory) / name
                opened.write(file, file.relative_to(root))
