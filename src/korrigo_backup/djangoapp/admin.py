"""The pages of the backups in Django's admin: they show, and ask the host to bring rows back."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.forms import Media
from django.http import Http404
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.translation import pgettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from korrigo_backup.artifact.kinds import has_media
from korrigo_backup.djangoapp.location import requests_directory
from korrigo_backup.djangoapp.models import Backups

_STATIC, _INSIDE = "korrigo_backup", pgettext_lazy("korrigo_backup", "Look inside")
_LOOK, _BRING_BACK, _PREVIEW = "look_into_backups", "bring_back", "preview_files"
"""The permissions besides that to view."""


@admin.register(Backups)
class BackupsAdmin(admin.ModelAdmin):
    """Stands in the index for staff with `korrigo_backup.view_backups`; its list of rows is the page itself.

    The page of a backup needs the same permission, a look into it `look_into_backups`, a request to the
    host `bring_back`, a look at its files `preview_files`, too.

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
            path("backup/<str:name>/look/", self.admin_site.admin_view(self.look_view), name=f"{name}_look"),
            path(
                "backup/<str:name>/look/<str:table>/", self.admin_site.admin_view(self.rows_view), name=f"{name}_rows"
            ),
            path("backup/<str:name>/ask/", self.admin_site.admin_view(self.ask_view), name=f"{name}_ask"),
            path("backup/<str:name>/ask/<str:id_>/", self.admin_site.admin_view(self.asked_view), name=f"{name}_asked"),
            path("backup/<str:name>/files/", self.admin_site.admin_view(self.files_view), name=f"{name}_files"),
            path("backup/<str:name>/files/<str:id_>/", self.admin_site.admin_view(self.file_view), name=f"{name}_file"),
            path(
                "backup/<str:name>/files/<str:id_>/content/",
                self.admin_site.admin_view(self.content_view),
                name=f"{name}_content",
            ),
            path(
                "backup/<str:name>/look/<str:table>/row/",
                self.admin_site.admin_view(self.row_view),
                name=f"{name}_row",
            ),
            path(
                "backup/<str:name>/bring-back/",
                self.admin_site.admin_view(self.bring_back_view),
                name=f"{name}_bring_back",
            ),
            path(
                "backup/<str:name>/bring-back/<str:id_>/",
                self.admin_site.admin_view(self.request_view),
                name=f"{name}_request",
            ),
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

        values = detail(name)
        asks, looks = (request.user.has_perm(f"{self.opts.app_label}.{one}") for one in (_BRING_BACK, _LOOK))
        may = {"can_ask": asks and values["has_rows"], "can_look": looks and values["can_look"]}
        asks_host = looks and values["can_be_looked_into"] and not values["can_look"]
        may["can_ask_to_look"] = asks_host and requests_directory()
        may["cannot_ask"] = asks_host and values["hides_erased"] and not requests_directory()
        may["can_preview"] = values["has_media"] and self._may_preview(request)
        return self._answer(request, "detail", {**values, **may})

    def _may_preview(self, request: Any) -> bool:
        """Return whether a user may ask for files; the site must have a way to ask."""
        return bool(request.user.has_perm(f"{self.opts.app_label}.{_PREVIEW}") and requests_directory())

    def _admins(self) -> Any:
        """Return the site's own ModelAdmins by model."""
        return self.admin_site._registry  # noqa: SLF001 - no public name in Django 4.2

    @method_decorator(require_safe)
    def look_view(self, request: Any, name: str) -> Any:
        """Answer with the tables of a backup that the user may see. Raises as `detail_view`."""
        self._require_permission(request, _LOOK)
        from korrigo_backup.djangoapp.look import asking, pages  # noqa: PLC0415 - as above

        saved = pages.opened(request.user, name)
        asking.note(request.user, name, "looked at the tables of the backup")
        return self._answer(request, "look", {"title": _INSIDE, "tables": saved.tables, **pages.heading(saved)})

    @method_decorator(require_safe)
    def rows_view(self, request: Any, name: str, table: str) -> Any:
        """Answer with rows of a table as they were. Raises as `detail_view`."""
        self._require_permission(request, _LOOK)
        from korrigo_backup.djangoapp.look import asking, pages  # noqa: PLC0415 - as above

        saved = pages.opened(request.user, name)
        found = pages.table_of(saved, table)
        words = f", searched for {request.GET['q'][:200]!r}" if request.GET.get("q") else ""
        asking.note(request.user, name, f"looked at rows of {table}, page {pages.page_number(request.GET)}{words}")
        values = pages.rows(saved, found, request.GET, self._admins())
        return self._answer(request, "rows", {"title": found.title, **values})

    @method_decorator(require_safe)
    def row_view(self, request: Any, name: str, table: str) -> Any:
        """Answer with a row as it was, next to the live row. Raises as `detail_view`."""
        self._require_permission(request, _LOOK)
        from korrigo_backup.djangoapp.look import asking, files, pages  # noqa: PLC0415 - as above

        saved = pages.opened(request.user, name)
        found, key = pages.table_of(saved, table), request.GET.get("key", "")[:300]
        if not key or not found.key:
            raise Http404("no row is named")
        asking.note(request.user, name, f"looked at {found.object(key)}")
        ways = self._ways_back(request, saved.backup)
        values = {"title": found.object(key), **ways, **pages.row(saved, found, key, self._admins())}
        if self._may_preview(request) and has_media(saved.backup.kind):
            values["files"] = files.of_row(found, values.get("fields", ()))
        return self._answer(request, "row", values)

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def ask_view(self, request: Any, name: str) -> Any:
        """Answer with the form that asks the host for rows, or ask. Raises as `detail_view`."""
        self._require_permission(request, _LOOK)
        from korrigo_backup.djangoapp.look import asked_rows, asking, sent  # noqa: PLC0415 - as above

        artifact, spool, problem = asking.require_backup(name, for_look=True), asking.require_spool(), ""
        if request.method == "POST":
            try:
                id_ = asked_rows.ask_for_rows(request.user, spool, artifact, request.POST, self._admins())
                return self._go("asked", name, id_)
            except ValueError as wrong:
                problem = str(wrong)
        values = {"title": _INSIDE, "backup": artifact, "problem": problem, **sent.host_look(spool)}
        return self._answer(request, "ask", {**values, **asked_rows.form(request.user, request.POST)})

    @method_decorator(require_safe)
    def asked_view(self, request: Any, name: str, id_: str) -> Any:
        """Answer with the rows that the host has shown. Raises as `detail_view`."""
        self._require_permission(request, _LOOK)
        from korrigo_backup.djangoapp.look import asked_rows, asking, files  # noqa: PLC0415 - as above

        artifact, spool = asking.require_backup(name, for_look=True), asking.require_spool()
        shown = asked_rows.shown(request.user, spool, artifact, id_, self._admins())
        if found := shown.get("found"):
            asking.note(request.user, name, f"looked at {found.table}, {found.key or f'page {found.page}'}")
        values = {"title": shown.get("object") or _INSIDE, "backup": artifact, "made": asking.made(artifact)}
        values |= {"ask_page": "admin:korrigo_backup_backups_ask", **self._ways_back(request, artifact)}
        if shown.get("object") and self._may_preview(request) and has_media(artifact.kind):
            values["files"] = files.of_row(shown["asked_table"], shown.get("fields", ()))
        return self._answer(request, "row" if shown.get("object") else "asked", {**values, **shown})

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def files_view(self, request: Any, name: str) -> Any:
        """Answer with the form that asks the host for files of a backup, or ask. Raises as `detail_view`."""
        self._require_permission(request, _PREVIEW)
        from korrigo_backup.djangoapp.look import asking, files, sent  # noqa: PLC0415 - as above

        artifact, spool, problem = asking.require_media(name), asking.require_spool(), ""
        if request.method == "POST":
            try:
                return self._go("file", name, files.ask_for_files(request.user, spool, name, request.POST))
            except ValueError as wrong:
                problem = str(wrong)
        values = {"title": pgettext_lazy("korrigo_backup", "Files"), "backup": artifact, "problem": problem}
        return self._answer(request, "files", {**values, **sent.host_look(spool)})

    @method_decorator(require_safe)
    def file_view(self, request: Any, name: str, id_: str) -> Any:
        """Answer with the list of files, or with the file that the host has shown. Raises as `detail_view`."""
        self._require_permission(request, _PREVIEW)
        from korrigo_backup.djangoapp.look import asking, files  # noqa: PLC0415 - as above

        artifact, shown = asking.require_media(name), files.shown(asking.require_spool(), name, id_)
        if found := shown.get("found"):
            asking.note(request.user, name, f"looked at names of files, page {found.page}")
        values = {"title": pgettext_lazy("korrigo_backup", "Files"), "backup": artifact, "made": asking.made(artifact)}
        values |= {"id": id_, "ask_page": "admin:korrigo_backup_backups_files"}
        return self._answer(request, "file", {**values, **shown})

    @method_decorator(require_safe)
    def content_view(self, request: Any, name: str, id_: str) -> Any:
        """Answer with the content of a file that the host has shown. Raises as `detail_view`."""
        self._require_permission(request, _PREVIEW)
        from korrigo_backup.djangoapp.look import asking, files  # noqa: PLC0415 - as above

        asking.require_media(name)
        path, response = files.served(asking.require_spool(), name, id_)
        asking.note(request.user, name, f"looked at the file {path}")
        return response

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def bring_back_view(self, request: Any, name: str) -> Any:
        """Answer with the form for objects to bring back, or ask the host for their plan. Raises as `detail_view`."""
        self._require_permission(request, _BRING_BACK)
        from korrigo_backup.djangoapp.look import asking  # noqa: PLC0415 - as above

        artifact, spool, problem = asking.require_backup(name), asking.spool(), ""
        if request.method == "POST" and spool:
            try:
                id_ = asking.ask_for_plan(request.user, spool, name, request.POST)
                return self._go("request", name, id_)
            except ValueError as wrong:
                problem = str(wrong)
        title = pgettext_lazy("korrigo_backup", "Bring back deleted objects")
        given = {"problem": problem, "objects": request.POST.get("objects", request.GET.get("objects", ""))}
        return self._answer(
            request, "bring_back", {"title": title, **given, **asking.form(request.user, artifact, spool)}
        )

    @method_decorator(require_http_methods(["GET", "HEAD", "POST"]))
    def request_view(self, request: Any, name: str, id_: str) -> Any:
        """Answer with the host's answer, or ask for its plan to be carried out. Raises as `detail_view`."""
        self._require_permission(request, _BRING_BACK)
        from korrigo_backup.djangoapp.look import asking, sent  # noqa: PLC0415 - as above

        artifact, spool, problem = asking.require_backup(name), asking.spool(), ""
        if spool is None:
            raise Http404("no directory of requests is configured")
        answer = asking.answer_to(request.user, spool, name, id_)
        if request.method == "POST" and answer:
            try:
                later = asking.ask_to_bring_back(request.user, spool, answer, request.POST.get("digest", ""))
                return self._go("request", name, later)
            except ValueError as wrong:
                problem = str(wrong)
        if answer and answer.plan:
            asking.note(request.user, name, f"looked at the plan to bring back {', '.join(answer.objects)}")
        title = pgettext_lazy("korrigo_backup", "Bring back deleted objects")
        values = {"title": title, "backup": artifact, "problem": problem, "id": id_, **sent.host_look(spool)}
        return self._answer(request, "request", {**values, "answer": asking.shown(answer) if answer else None})

    def _ways_back(self, request: Any, artifact: Any) -> dict[str, bool]:
        """Return whether the user may ask for a row of a backup, and whether the backup gives no single rows."""
        from korrigo_backup.artifact.kinds import KINDS  # noqa: PLC0415 - as above

        gives_rows = KINDS[artifact.kind].has_dump
        may = request.user.has_perm(f"{self.opts.app_label}.{_BRING_BACK}")
        return {"can_ask": may and gives_rows, "is_whole": not gives_rows}

    def _go(self, page: str, *words: str) -> Any:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return redirect(reverse(name, args=words, current_app=self.admin_site.name))

    def _require_permission(self, request: Any, *more: str) -> None:
        label = self.opts.app_label
        if not (self.has_view_permission(request) and all(request.user.has_perm(f"{label}.{one}") for one in more)):
            raise PermissionDenied

    def _answer(self, request: Any, template: str, content: dict[str, Any]) -> Any:
        request.current_app = self.admin_site.name  # so that the links of the template stay on this site
        context = {**self.admin_site.each_context(request), "opts": self.opts, "media": self.media, **content}
        context["here"] = request.path
        context["once"] = token_hex(16)  # a form that is sent twice is one request to the host
        return TemplateResponse(request, f"admin/korrigo_backup/backups/{template}.html", context)
