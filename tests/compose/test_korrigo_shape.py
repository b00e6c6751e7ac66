"""A site of Korrigo's shape: no project name, a backend behind a proxy, long start periods, files over the code."""

import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from compose.dockerstack import PROJECT, belongings
from compose.korrigoshape import TAG, WITHOUT_APP, made_shape
from compose.test_product import files, korrigo, rows

SLOW = 75
"""Seconds that the backend takes: more than the product's own limit, less than the site's `start_period`."""


@pytest.fixture(scope="module")
def shape(engine, tmp_path_factory):
    with made_shape(tmp_path_factory.mktemp("shape"), 9003) as made:
        yield made.configured()


@pytest.mark.contract("C2")
def test_the_health_address_is_learnt_through_the_proxy(shape):
    assert f"{shape.health_url} answers: a restore waits for it" in korrigo(shape, "doctor")
    korrigo(shape, "backup", "full")
    planned = korrigo(shape, "plan", "latest-point")
    assert "health address" not in planned
    assert "⚠️" not in planned, planned


@pytest.mark.promise("P2")
@pytest.mark.contract("R8")
def test_a_backend_that_takes_longer_than_a_minute_is_waited_for_as_its_own_check_says(shape):
    korrigo(shape, "backup", "full")
    before = rows(shape), files(shape)
    shape.sql("UPDATE exams_exam SET name = 'lost'")
    shape.delay(SLOW)
    try:
        began = time.monotonic()
        output = korrigo(shape, "restore", "latest-point", "--yes", "--no-safety-backup")
        assert time.monotonic() - began > SLOW
    finally:
        shape.delay(0)
    assert "✅ Restore completed successfully" in output
    assert "s at most: backend, celery, nginx" in output
    assert (rows(shape), files(shape)) == before
    assert shape.healthy(), shape.states()


@pytest.mark.promise("P2")
def test_a_restore_is_kept_with_a_backend_that_does_not_come_up_if_that_is_asked_for(shape):
    korrigo(shape, "backup", "full")
    before, toml = rows(shape), shape.root / "korrigo-backup.toml"
    shape.sql("UPDATE exams_exam SET name = 'lost'")
    lost, settings = rows(shape), toml.read_text()
    shape.delay(100_000)
    shape.compose("restart", "backend")
    toml.write_text(f"{settings}[services]\nhealth_timeout = 5\n")
    try:
        assert "no published address answers the health path" in korrigo(shape, "plan", "latest-point")
        output = korrigo(shape, "restore", "latest-point", "--yes", "--no-safety-backup", "--no-validate", code=1)
        assert "not healthy after " in output
        assert "backend (starting)" in output
        assert rows(shape) == lost
        keep = ("--yes", "--no-safety-backup", "--no-validate", "--keep")
        output = korrigo(shape, "restore", "latest-point", *keep, code=3)
        assert "kept, as --keep asks: not healthy after " in output
        assert rows(shape) == before
    finally:
        shape.delay(0)
        toml.write_text(settings)
        shape.compose("restart", "backend")
        shape.up()
    assert "✅ Rollback completed" in korrigo(shape, "rollback", "--yes")
    assert rows(shape) == lost


@pytest.mark.promise("P10")
@pytest.mark.contract("S1")
def test_a_second_checkout_replaces_nothing(shape, tmp_path):
    korrigo(shape, "backup", "full")
    other = replace(shape, root=tmp_path / "checkout")
    shutil.copytree(shape.root, other.root, symlinks=True)
    home = f"{shape.root}/infra/{shape.name}"
    output = korrigo(other, "backup", "db")
    assert f"⚠️ the containers of this project were made from {home}, and this site is {other.root}/infra" in output
    before = rows(shape)
    output = korrigo(other, "plan", "latest-point", code=4)
    assert f"(project {shape.name} in {home})" in output
    assert f'[compose] started_from = "{home}"' in output
    for words in (("restore", "latest-point", "--yes"), ("rollback", "--yes"), ("rebuild", "--empty", "--yes")):
        assert f"were made from {home}" in korrigo(other, *words, code=4)
    assert rows(shape) == before
    assert shape.healthy()
    toml = other.root / "korrigo-backup.toml"
    toml.write_text(f'{toml.read_text()}started_from = "{home}"\n')
    assert "were made from" not in korrigo(other, "plan", "latest-point")


def test_a_wrong_compose_project_is_refused_with_the_right_name(shape):
    toml = shape.root / "korrigo-backup.toml"
    settings = toml.read_text()
    toml.write_text(f'{settings}project = "elsewhere"\n')
    try:
        output = korrigo(shape, "backup", "db", code=6)
        assert f'these files run as the project {shape.name}: set [compose] project = "{shape.name}"' in output
        assert "up -d" not in output
        assert f'set [compose] project = "{shape.name}"' in korrigo(shape, "rebuild", "--empty", "--yes", code=6)
        assert belongings("elsewhere") == set()  # no second, empty stack was made
    finally:
        toml.write_text(settings)


def place_app(shape, place, *services, tag=TAG):
    """Deploy these services, or all, with our application in this place of INSTALLED_APPS."""
    file = shape.root / ".env"
    file.write_text(re.sub("SHAPE_APP=.*", f"SHAPE_APP={place}", file.read_text()))
    shape.deploy("--no-deps", *services, tag=tag) if services else shape.deploy(tag=tag)


@pytest.mark.contract("S3")
def test_a_former_command_of_the_site_is_not_taken_for_ours(shape):
    try:
        place_app(shape, "last", "backend")
        before = set((shape.root / "backups").glob("korrigo_backup_*"))
        output = korrigo(shape, "backup", "full", "--method", "django", code=4)
        assert "core" in output
        assert set((shape.root / "backups").glob("korrigo_backup_*")) == before
        assert "korrigo_backup.E001" in shape.manage("check", check=False).stderr
    finally:
        place_app(shape, "first", "backend")


@pytest.mark.contract("R6")
def test_a_site_whose_image_has_no_app_is_backed_up_restored_and_validated(shape):
    try:
        place_app(shape, "none", tag=WITHOUT_APP)
        korrigo(shape, "backup", "full")
        saved = shape.testify()
        shape.sql("DROP TABLE exams_annotation CASCADE")
        output = korrigo(shape, "restore", "latest-point", "--yes", "--no-safety-backup")
        assert "❌" not in output
        assert shape.testify() == saved
        assert "❌" not in korrigo(shape, "validate")
        assert "❌" not in korrigo(shape, "doctor")
    finally:
        place_app(shape, "first")


@pytest.mark.contract("B5")
def test_an_overlay_mount_adds_the_app_to_an_image_without_it(shape):
    """docs/how-to/site-image.md, "Beside the image, as an overlay"."""
    lib, file = shape.www / "overlay" / "lib", shape.root / shape.files[0]
    text = file.read_text()
    install = (
        "pip",
        "install",
        "-q",
        "--target",
        lib,
        "--python-version",
        "3.11",
        "--only-binary",
        ":all:",
        "--no-deps",
    )
    subprocess.run(
        [sys.executable, "-m", *install, _wheel(shape.www), "msgspec", "deflate", "isal"], check=True, timeout=300
    )
    mounted = text
    for settings in ("      - &settings", "      - *settings"):
        mounted = mounted.replace(settings, f"      - {lib}:/opt/korrigo-backup:ro\n{settings}", 1)
    file.write_text(mounted.replace("      SHAPE_APP:", "      PYTHONPATH: /opt/korrigo-backup\n      SHAPE_APP:", 1))
    try:
        place_app(shape, "first", tag=WITHOUT_APP)
        assert "no issues" in shape.manage("check").stdout
        saved = shape.testify()
        korrigo(shape, "backup", "full", "--method", "django")
        shape.sql("DELETE FROM exams_annotation")
        made = max((shape.root / "backups").glob("korrigo_backup_*[0-9]"))
        korrigo(shape, "restore", made.name, "--yes")
        assert shape.testify()[1] == saved[1]
        annotations = [row for row in saved[0] if row.startswith("exams_annotation ")]
        assert [row for row in shape.testify()[0] if row.startswith("exams_annotation ")] == annotations
    finally:
        file.write_text(text)
        place_app(shape, "first")


def _wheel(place):
    build = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", place, PROJECT)
    subprocess.run(build, check=True, timeout=300)
    return next(place.glob("korrigo_backup-*.whl"))
