"""A site of Korrigo's shape: no project name, a backend behind a proxy, long start periods, files over the code."""

import time

import pytest
from korrigoshape import made_shape
from test_product import files, korrigo, rows

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
    kept = rows(shape), files(shape)
    shape.sql("UPDATE exams_exam SET name = 'lost'")
    shape.delay(SLOW)
    try:
        began = time.monotonic()
        said = korrigo(shape, "restore", "latest-point", "--yes", "--no-safety-backup")
        assert time.monotonic() - began > SLOW
    finally:
        shape.delay(0)
    assert "✅ Restore completed successfully" in said
    assert "s at most: backend, celery, nginx" in said
    assert (rows(shape), files(shape)) == kept
    assert shape.healthy(), shape.states()


@pytest.mark.promise("P2")
def test_a_restore_is_kept_with_a_backend_that_does_not_come_up_if_that_is_asked_for(shape):
    korrigo(shape, "backup", "full")
    kept, toml = rows(shape), shape.root / "korrigo-backup.toml"
    shape.sql("UPDATE exams_exam SET name = 'lost'")
    lost, settings = rows(shape), toml.read_text()
    shape.delay(100_000)
    shape.compose("restart", "backend")
    toml.write_text(f"{settings}[services]\nhealth_timeout = 5\n")
    try:
        assert "no published address answers the health path" in korrigo(shape, "plan", "latest-point")
        said = korrigo(shape, "restore", "latest-point", "--yes", "--no-safety-backup", "--no-validate", code=1)
        assert "not healthy after " in said
        assert "backend (starting)" in said
        assert rows(shape) == lost
        keep = ("--yes", "--no-safety-backup", "--no-validate", "--keep")
        said = korrigo(shape, "restore", "latest-point", *keep, code=3)
        assert "kept, although the site is not healthy: not healthy after " in said
        assert rows(shape) == kept
    finally:
        shape.delay(0)
        toml.write_text(settings)
        shape.compose("restart", "backend")
        shape.up()
    assert "✅ Rollback completed" in korrigo(shape, "rollback", "--yes")
    assert rows(shape) == lost
