"""The page of the backups in Django's admin: it shows, and has no button that does anything."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.forms import Media
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_safe

from korrigo_backup.djangoapp.models import Backups

_STATIC = "korrigo_backup"


@admin.register(Backups)
class BackupsAdmin(admin.ModelAdmin):
    """Stands in the index for staff with `korrigo_backup.view_backups`; its list of rows is the page itself.

    The page of a backup needs the same permission.

    A site with an AdminSite of its own registers it there: `my_site.register(Backups, BackupsAdmin)`.
    """

    @property
    def media(self) -> Any:
        """The page's own files and no other; none is inline, so that a strict content security policy lets them in."""
        return Media(
            css={"all": [f"{_STATIC}/backups.css"]},
            js=[f"{_STATIC}/{name}.js" for name in ("vendor/chart.js/chart.umd.min", "backups", "tables")],
        )

    def has_add_permission(self, _request: Any) -> bool:
        """Return False: backups are made by the command."""
        return False

    def has_change_permission(self, _request: Any, _obj: Any = None) -> bool:
        """Return False, so that the permission to view decides."""
        return False

    def has_delete_permission(self, _request: Any, _obj: Any = None) -> bool:
        """Return False: removal is decided by the policy, or by a user of the machine."""
        return False

    def get_urls(self) -> list[Any]:
        """Return the addresses of the list and of a backup's page: there are no rows to add, change or delete."""
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        return [
            path("", self.admin_site.admin_view(self.changelist_view), name=f"{name}_changelist"),
            path("backup/<str:name>/", self.admin_site.admin_view(self.detail_view), name=f"{name}_detail"),
        ]

    @method_decorator(require_safe)
    def changelist_view(self, request: Any, extra_context: dict[str, Any] | None = None) -> Any:
        """Answer with the page. Raises PermissionDenied (403) without the permission to view."""
        self._require_permission(request)
        from korrigo_backup.djangoapp.status.page import page  # noqa: PLC0415 - the start of the site does not pay for it

        title = pgettext_lazy("korrigo_backup", "Backups")
        return self._answer(request, "change_list", {"title": title, **page(request.GET), **(extra_context or {})})

    @method_decorator(require_safe)
    def detail_view(self, request: Any, name: str) -> Any:
        """Answer with the page of a backup. Raises PermissionDenied without the permission, Http404 for no backup."""
        self._require_permission(request)
        from korrigo_backup.djangoapp.status.detail import detail  # noqa: PLC0415 - as above

        return self._answer(request, "detail", detail(name))

    def _require_permission(self, request: Any) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied

    def _answer(self, request: Any, template: str, content: dict[str, Any]) -> Any:
        request.current_app = self.admin_site.name  # so that the links of the template stay on this site
        context = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media, **content}
        return TemplateResponse(request, f"admin/korrigo_backup/backups/{template}.html", context)
