"""The admin, and the metrics."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("admin/", admin.site.urls),
    path("korrigo-backup/", include("korrigo_backup.djangoapp.urls")),
]
