"""The checks before a backup, as far as they are decisions."""

import os
import subprocess
from types import SimpleNamespace
from typing import Any

import pytest

from korrigo_backup.compose.container import Container
from korrigo_backup.core.finding import Level
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.setup.preflight import judged, key_file, media, running, settings, storage, version_in
from korrigo_backup.site.site import StoreOptions


def container(service, *, runs=True, health="healthy"):
    return Container(service, service, runs, "running" if runs else "exited", health, frozenset(), ())


def levels(findings):
    return {finding.id: finding.level for finding in findings}


@pytest.mark.contract("C4")
@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("28.2.2\n", (28, 2)),
        ("2.26.1-4", (2, 26)),
        ("v2.20.0", (2, 20)),
        ("docker-compose version 1.29.2, build 5becea4c", (1, 29)),
        ("pg_dump (PostgreSQL) 16.4 (Debian 16.4-1.pgdg120+1)", (16, 4)),
        ("psql (PostgreSQL) 18beta1", (18, 0)),
        ("", None),
    ],
)
def test_versions_are_read(text, version):
    assert version_in(text) == version


@pytest.mark.contract("C4")
def test_a_version_is_compared_as_numbers():
    assert judged("docker.version", "Docker", (24, 0), (24, 0)).level is Level.OK
    assert judged("compose.version", "Compose", (2, 9), (2, 20)).level is Level.WARNING
    assert judged("compose.version", "Compose", (2, 100), (2, 20)).level is Level.OK


@pytest.mark.contract("B6")
@pytest.mark.parametrize(
    ("found", "level", "message"),
    [
        ([], Level.ERROR, "the service db does not run"),
        ([container("web")], Level.ERROR, "the service db does not run"),
        ([container("db", runs=False), container("web")], Level.ERROR, "the service db does not run"),
        ([container("db", health="unhealthy"), container("web")], Level.ERROR, "the service db does not run"),
        ([container("db"), container("web", runs=False, health="unhealthy")], Level.WARNING, "web (exited)"),
        ([container("db"), container("web", health="unhealthy")], Level.WARNING, "web (unhealthy)"),
        ([container("db"), container("web", health="starting")], Level.OK, "services running: db, web"),
        ([container("db", health=None)], Level.OK, "services running: db"),
    ],
)
def test_services_that_do_not_run_are_named(found, level, message):
    finding = running(found, "db", "docker compose")
    assert finding.level is level
    assert message in finding.message


@pytest.mark.contract("C4")
def test_the_place_for_backups_is_looked_at_before_it_exists(tmp_path):
    assert set(levels(storage(tmp_path / "new" / "backups", 0)).values()) == {Level.OK}
    assert not (tmp_path / "new").exists()
    assert levels(storage(tmp_path, 2**60))["backup.space"] is Level.WARNING
    assert levels(storage(tmp_path, 2**60, least=lambda: 2**60))["backup.space"] is Level.ERROR
    (tmp_path / "file").touch()
    assert levels(storage(tmp_path / "file", 0)) == {"backup.directory": Level.ERROR}
    tmp_path.chmod(0o755)
    assert levels(storage(tmp_path, 0))["backup.mode"] is Level.WARNING


def test_preflight_reports_an_env_file_that_is_world_readable_or_tracked_or_overridden(tmp_path):
    assert levels(settings(tmp_path)) == {"env.file": Level.WARNING}
    (tmp_path / ".env").touch(mode=0o600)
    os.chmod(tmp_path / ".env", 0o644)
    assert levels(settings(tmp_path)) == {"env.file": Level.WARNING}
    os.chmod(tmp_path / ".env", 0o600)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert levels(settings(tmp_path)) == {"env.file": Level.OK}
    subprocess.run(["git", "-C", tmp_path, "add", "-f", ".env"], check=True)
    assert levels(settings(tmp_path))["env.tracked"] is Level.ERROR
    own = tmp_path / "korrigo-backup.env"
    own.write_text("BACKUP_DIR=ours\nPOSTGRES_DB=other\n")
    own.chmod(0o644)
    message = [finding.message for finding in settings(tmp_path)]
    assert f"others may read {own} (mode 644)" in message
    (tmp_path / ".env").write_text("BACKUP_DIR=theirs\nPOSTGRES_DB=x\n")
    assert "korrigo-backup.env wins over .env, which sets otherwise: BACKUP_DIR" in [
        f.message for f in settings(tmp_path)
    ]


def test_preflight_warns_about_a_missing_key_file(tmp_path):
    assert levels(key_file(tmp_path / "key", lambda: None)) == {"key.file": Level.WARNING}


@pytest.mark.parametrize(
    ("use", "files", "size", "level"),
    [
        (None, 2, 20, None),
        (None, 2, 1_000_000_001, Level.OK),
        (None, 20_001, 20, Level.OK),
        (True, 2, 20, Level.OK),
        (False, 2, 20, None),
        (False, 2, 1_000_000_001, Level.WARNING),
    ],
)
def test_the_way_of_saving_a_large_media_tree_is_named(tmp_path, use, files, size, level):
    root = tmp_path / "media"
    root.mkdir()
    for number in range(files):
        (root / str(number)).touch()
    os.truncate(root / "0", size)
    site: Any = SimpleNamespace(media=MediaTree(root), store=StoreOptions(use))
    found = levels(media(site).findings)
    assert found.get("media.store") == level
