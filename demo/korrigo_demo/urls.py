"""Addresses of the reference site."""

from django.contrib import admin
from django.urls import path

from exams import views

urlpatterns = [
    path("", views.exam_list, name="exams"),
    path("api/health/", views.health, name="health"),
    path("admin/", admin.site.urls),
]
