"""The entry for INSTALLED_APPS: "korrigo_backup.djangoapp"."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.core.checks import register

TAG = "backups"


class KorrigoBackupConfig(AppConfig):
    """Gives the site `manage.py backup` and `manage.py restore`, a system check, and a page in its admin."""

    name = "korrigo_backup.djangoapp"
    label = "korrigo_backup"
    verbose_name = "Korrigo Backup"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the check; Django finds commands, model and page by itself."""
        register(_shadowed)
        register(_check, TAG, deploy=True)


def _shadowed(app_configs: Any, databases: Any = None, **given: Any) -> list[Any]:
    """Return warnings if another app's commands stand before ours.

    `migrate` is spared (it alone names databases to the checks): an entry point that migrates has to bring the site up.
    """
    del app_configs, given
    if databases:
        return []
    from korrigo_backup.djangoapp.shadow import check_commands  # noqa: PLC0415 - as below

    return check_commands()


def _check(app_configs: Any, **given: Any) -> list[Any]:
    """Load the check when it runs, so that the start of the site's processes does not pay for it."""
    from korrigo_backup.djangoapp.status.checks import check_backups  # noqa: PLC0415

    return check_backups(app_configs, **given)
