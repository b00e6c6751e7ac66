"""The only model, which has no table: it gives the admin its page and the permission to see it.

Unmanaged, so that no migration is needed; a proxy would need a migration. Its manager finds no object without asking
the database, since `dumpdata` reads every unmanaged model, and fails if there is no table.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models
from django.utils.translation import pgettext_lazy


class Nothing(models.Manager):
    """Finds no rows, and does not look for any."""

    def get_queryset(self) -> Any:
        """Return an empty result."""
        return super().get_queryset().none()


class Backups(models.Model):
    """The object of the permission `korrigo_backup.view_backups`."""

    objects = Nothing()

    class Meta:
        """No add, change or delete. `migrate` makes the permissions, without a migration of this app."""

        managed = False
        base_manager_name = "objects"
        default_permissions: ClassVar = ("view",)
        permissions: ClassVar = (
            ("look_into_backups", "Can look into backups"),
            ("preview_files", "Can look at media files of backups"),
            ("bring_back", "Can ask the host to bring deleted rows back"),
        )
        verbose_name = pgettext_lazy("korrigo_backup", "backups")
        verbose_name_plural = pgettext_lazy("korrigo_backup", "backups")

    def __str__(self) -> str:
        return str(self._meta.verbose_name)
