"""URLs that a site may include: `path("korrigo-backup/", include("korrigo_backup.djangoapp.urls"))`."""

from __future__ import annotations

from django.urls import path

from korrigo_backup.djangoapp.status.metrics import view

app_name = "korrigo_backup"
urlpatterns = [path("metrics", view, name="metrics")]
