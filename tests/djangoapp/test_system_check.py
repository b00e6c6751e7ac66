"""`check --deploy --tag backups`: what is said of backups that are missing, old, altered, or cannot be seen."""

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import translation

from korrigo_backup.artifact.signature import Key, sign
from korrigo_backup.djangoapp import shadow
from korrigo_backup.djangoapp.location import backup_directory
from korrigo_backup.djangoapp.shadow import check_commands
from korrigo_backup.djangoapp.status.checks import check_backups
from korrigo_backup.djangoapp.status.page import page


@pytest.fixture(autouse=True)
def without_variables(monkeypatch):
    monkeypatch.delenv("KORRIGO_BACKUP_DIR", raising=False)
    monkeypatch.delenv("BACKUP_DIR", raising=False)


def check_warnings(directory=None, **settings):
    """The ids and the texts of the check."""
    with override_settings(KORRIGO_BACKUP_DIR=directory, **settings):
        found = check_backups(None)
    assert all(warning.hint for warning in found)
    return {warning.id.removeprefix("korrigo_backup."): f"{warning.msg} | {warning.hint}" for warning in found}


@pytest.fixture
def made(site):
    """A real backup, on SQLite."""
    return site.backup().path


only_lite = pytest.mark.parametrize("alias", ["lite"], indirect=True)


def rewrite(artifact, **keys):
    place = artifact / "manifest.json"
    place.write_text(json.dumps(json.loads(place.read_text()) | keys))


def ago(**span):
    return (datetime.now(UTC) - timedelta(**span)).isoformat()


@only_lite
def test_the_check_warns_if_the_newest_backup_is_older_than_the_maximum_age(made):
    assert check_warnings(made.parent) == {}
    rewrite(made, created=ago(hours=27))
    assert "27 hours" in check_warnings(made.parent)["W004"]
    assert check_warnings(made.parent, KORRIGO_BACKUP_MAX_AGE_HOURS=28) == {}


@only_lite
def test_a_backup_from_a_wrong_year_does_not_hide_that_none_was_made_since(made):
    rewrite(made, created=ago(days=-366))
    assert set(check_warnings(made.parent)) == {"W003"}


@only_lite
def test_what_cannot_be_proven_does_not_count(made):
    rewrite(made, format=0, django=None)
    assert set(check_warnings(made.parent)) == {"W003"}
    (made / "manifest.json").write_text("{")
    assert "cannot be read" in check_warnings(made.parent)["W003"]


@only_lite
def test_one_that_a_verification_has_found_bad_does_not_count(made):
    line = {"id": "1", "verb": "verify", "subject": made.name, "site": "s", "by": "b", "started": ago(hours=0)}
    (made.parent / ".journal.jsonl").write_text(json.dumps(line | {"outcome": "failed", "exit_code": 9}) + "\n")
    assert set(check_warnings(made.parent)) == {"W003"}
    assert page_says(made.parent, "was found bad")


def page_says(directory, words):
    with override_settings(KORRIGO_BACKUP_DIR=directory), translation.override("en"):
        return words in [row.problem for row in page({})["rows"]]


@only_lite
def test_an_altered_manifest_is_named(made, tmp_path, monkeypatch):
    key = Key(b"k" * 32)
    (tmp_path / "key").write_text(key.secret.hex())
    (tmp_path / "key").chmod(0o600)
    monkeypatch.setenv("KORRIGO_BACKUP_KEY_FILE", str(tmp_path / "key"))
    (made / "manifest.json").write_bytes(sign((made / "manifest.json").read_bytes(), key))
    assert check_warnings(made.parent) == {}
    rewrite(made, site="another")
    assert made.name in check_warnings(made.parent)["W006"]


@pytest.mark.parametrize("name", ["missing", "a file", "missing/deeper", "nul\0", "~nobody-of-this-name"])
def test_a_directory_that_cannot_be_seen_is_one_warning(tmp_path, name):
    (tmp_path / "a file").write_text("")
    assert set(check_warnings(tmp_path / name if "~" not in name else name)) == {"W002"}
    assert set(check_warnings(5)) == {"W002"}


def test_an_empty_directory_has_no_backup(tmp_path):
    assert set(check_warnings(tmp_path)) == {"W003"}
    (tmp_path / "korrigo_backup_20260204_030000").symlink_to(tmp_path)
    (tmp_path / "db_backup_20260204_030000.sql.gz").mkdir()
    assert set(check_warnings(tmp_path)) == {"W003"}


def test_the_check_warns_if_no_backup_directory_is_set():
    assert "KORRIGO_BACKUP_DIR is not set" in check_warnings()["W001"]


@pytest.mark.parametrize("age", ["soon", 0, -1, float("nan"), float("inf"), [], "1e400"])
def test_the_check_warns_about_an_invalid_maximum_age(tmp_path, age):
    assert set(check_warnings(tmp_path, KORRIGO_BACKUP_MAX_AGE_HOURS=age)) == {"W003", "W005"}


def test_the_directory_comes_from_settings_then_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("BACKUP_DIR", "/of/the/command")
    assert backup_directory() == Path("/of/the/command")
    monkeypatch.setenv("KORRIGO_BACKUP_DIR", "/of/the/site")
    assert backup_directory() == Path("/of/the/site")
    with override_settings(KORRIGO_BACKUP_DIR="backups", BASE_DIR=tmp_path):
        assert backup_directory() == tmp_path / "backups"


def test_only_deployments_are_checked(tmp_path):
    with override_settings(KORRIGO_BACKUP_DIR=tmp_path):
        call_command("check", "korrigo_backup", stderr=(always := io.StringIO()))
        call_command("check", deploy=True, tags=["backups"], stderr=(deployed := io.StringIO()))
        with pytest.raises(CommandError, match="W003"):
            call_command("check", deploy=True, tags=["backups"], fail_level="WARNING")
    assert "korrigo_backup" not in always.getvalue()
    assert "korrigo_backup.W003" in deployed.getvalue()


def test_a_check_of_another_app_is_not_ours():
    assert check_backups([type("Config", (), {"label": "exams"})]) == []


def test_commands_of_another_app_before_ours_are_an_error(monkeypatch):
    assert check_commands() == []
    theirs = {"backup": "core", "restore": shadow.NAME}
    monkeypatch.setattr(shadow, "get_commands", lambda: theirs)
    (found,) = check_commands()
    assert (found.id, found.msg) == (
        "korrigo_backup.E001",
        "manage.py backup is the command of core, not of korrigo-backup: shadowed",
    )
    assert "first in INSTALLED_APPS" in found.hint
    ours = [one.id for one in run_checks() if one.id.startswith("korrigo_backup.E")]
    assert ours == ["korrigo_backup.E001"]
    assert not [one for one in run_checks(databases=["default"]) if one.id == ours[0]]  # as `migrate` runs them
