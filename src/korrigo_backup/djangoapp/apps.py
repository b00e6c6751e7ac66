"""The entry for INSTALLED_APPS: "korrigo_backup.djangoapp"."""

from __future__ import annotations

from django.apps import AppConfig


class KorrigoBackupConfig(AppConfig):
    """Gives the site `manage.py backup` and `manage.py restore`; it has no models."""

    name = "korrigo_backup.djangoapp"
    label = "korrigo_backup"
    verbose_name = "Korrigo Backup"
