"""A site of Korrigo's shape: no project name, a backend behind a proxy, long start periods, files over the code."""

import os
import shutil
import time
from dataclasses import dataclass, field

import pytest
from dockerstack import IMAGES, PREFIX, PROJECT, Stack, docker, free_port
from test_product import files, korrigo, rows

SHAPE = PROJECT / "tests" / "compose" / "korrigo_shape"
SLOW = 75
"""Seconds that the backend takes: more than the product's own limit, less than the site's `start_period`."""


@dataclass(frozen=True)
class Shape(Stack):
    """The project's name is that of the directory of its compose file."""

    port: int = field(default_factory=free_port)

    @property
    def files(self):
        return (f"infra/{self.name}/docker-compose.prod.yml",)

    @property
    def env(self):
        return super().env | {"HOME": str(self.root)}  # one signing key for all tests of this module

    @property
    def health_url(self):
        return f"http://localhost:{self.port}/api/health/"

    def lay_out(self):
        place = self.root / "infra" / self.name
        shutil.copytree(SHAPE, place)
        shutil.copy(PROJECT / "infra" / "docker" / "nginx" / "site.conf", place / "site.conf")
        settings = {
            "POSTGRES_DB": "viatique",
            "POSTGRES_USER": "viatique_user",
            "POSTGRES_PASSWORD": self.password,
            "SECRET_KEY": "only-for-this-test-of-the-shape",
            "SHAPE_REGISTRY": f"registry.invalid/{self.name}",
            "SHAPE_DB_IMAGE": IMAGES["KORRIGO_DB_IMAGE"],
            "SHAPE_REDIS_IMAGE": IMAGES["KORRIGO_REDIS_IMAGE"],
            "SHAPE_NGINX_IMAGE": IMAGES["KORRIGO_NGINX_IMAGE"],
            "SHAPE_HTTP_PORT": self.port,
            "SHAPE_NETWORK": f"{self.name}-other",
        }
        (self.root / ".env").touch(mode=0o600)
        (place / ".env").symlink_to("../../.env")
        (self.root / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        (self.root / "korrigo-backup.toml").write_text(f'[compose]\nfiles = ["{self.files[0]}"]\n')
        return self

    def delay(self, seconds):
        """Let the backend take as long at its next start."""
        (self.root / "infra" / self.name / "overlay" / "delay").write_text(f"{seconds}\n")

    def healthy(self):
        return set(self.states().values()) == {"running/healthy"}


@pytest.fixture(scope="module")
def shape(engine, tmp_path_factory):
    name = f"{PREFIX}-{os.getpid()}-9003"
    made = Shape(tmp_path_factory.mktemp("shape"), name).lay_out()
    image = f"registry.invalid/{name}/backend:latest"
    docker("tag", IMAGES["KORRIGO_BACKEND_IMAGE"], image)
    docker("network", "create", f"{name}-other")
    try:
        made.up()
        made.manage("seed", "--copies", "12", "--pages", "2", "--annotations-per-copy", "20")
        yield made
    finally:
        made.down()
        docker("network", "rm", f"{name}-other")
        docker("rmi", image)


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
