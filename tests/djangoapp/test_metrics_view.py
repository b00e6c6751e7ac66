"""The metrics of the site's own process: off unless included, and only for who knows the token or may see the backups."""

import pytest
from django.conf import settings
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from djangoapp.test_admin_page import backups, member, only_lite

__all__ = ["backups", "member"]

VIEW = "/korrigo-backup/metrics"


@only_lite
def test_metrics_are_served_to_prometheus_only_with_the_token(site, backups, databases, monkeypatch):
    site.backup()
    monkeypatch.setattr(settings, "KORRIGO_BACKUP_METRICS_TOKEN", "t0p-secret", raising=False)
    answer = Client().get(VIEW, headers={"Authorization": "Bearer t0p-secret"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert "no-store" in answer.headers["Cache-Control"]
    names = {family.name for family in text_string_to_metric_families(answer.content.decode())}
    assert {"korrigo_backup_last_success_timestamp_seconds", "korrigo_backup_overdue"} <= names
    for given in ("Bearer t0p", "Bearer ", "Basic t0p-secret", "t0p-secret", "Bearer é"):
        refused = Client().get(VIEW, headers={"Authorization": given})
        assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert Client().post(VIEW, headers={"Authorization": "Bearer t0p-secret"}).status_code == 405


def test_metrics_without_a_token_are_served_only_to_staff_with_the_view_permission(backups, member, monkeypatch):
    monkeypatch.delenv("KORRIGO_BACKUP_METRICS_TOKEN", raising=False)
    assert Client().get(VIEW, headers={"Authorization": "Bearer "}).status_code == 401
    assert member().get(VIEW).status_code == 403
    answer = member("view_backups").get(VIEW)
    assert answer.status_code == 200
    assert b"korrigo_backup_overdue 1" in answer.content


@pytest.mark.parametrize("directory", [None, 7])
def test_metrics_answer_503_if_the_backup_directory_is_missing_or_invalid(member, monkeypatch, directory):
    for name in ("KORRIGO_BACKUP_DIR", "BACKUP_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(settings, "KORRIGO_BACKUP_DIR", directory, raising=False)
    answer = member("view_backups").get(VIEW)
    assert answer.status_code == 503
