"""The entry for INSTALLED_APPS: "korrigo_backup.djangoapp"."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register

from korrigo_backup.djangoapp.checks import TAG, check_backups


class KorrigoBackupConfig(AppConfig):
    """Gives the site `manage.py backup` and `manage.py restore`, a system check, and a page in its admin."""

    name = "korrigo_backup.djangoapp"
    label = "korrigo_backup"
    verbose_name = "Korrigo Backup"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the check; Django finds commands, model and page by itself."""
        register(check_backups, TAG, deploy=True)
