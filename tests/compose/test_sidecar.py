"""The sidecar: backups made beside the stack by a container that has no rights over it."""

import json
import os
from contextlib import contextmanager

import pytest

from compose.dockerstack import docker, eventually
from compose.test_product import ended, korrigo

OVERLAY = "infra/docker/docker-compose.backup.yml"
SETTINGS = {
    "KORRIGO_BACKUP_DAILY": "0 3 29 2 *",
    "KORRIGO_BACKUP_WEEKLY": "0 4 29 2 *",
    "KORRIGO_BACKUP_DRILL": "0 5 29 2 *",
    "KORRIGO_BACKUP_HEALTH_INTERVAL": "1s",
    "TZ": "Europe/Paris",
}


@contextmanager
def settings(stack, **more):
    """The stack with more lines in its `.env`."""
    path = stack.root / ".env"
    before = path.read_text()
    path.write_text(before + "".join(f"{name}={value}\n" for name, value in more.items()))
    try:
        yield
    finally:
        path.write_text(before)


@pytest.fixture
def sidecar(stack):
    """Words of Compose for the stack and its sidecar, which is not up yet; it is gone at the end."""
    for name in ("backups", "backups-key"):
        (stack.root / name).mkdir(mode=0o700)
        os.chown(stack.root / name, 1000, 1000)
    with settings(stack, **SETTINGS):
        words = ("-f", OVERLAY)
        try:
            yield lambda *argv, **options: stack.compose(*words, *argv, **options)
        finally:
            stack.compose(*words, "rm", "--stop", "--force", "backup")


def inspect(identity):
    return json.loads(" ".join(docker("container", "inspect", identity)))[0]


@pytest.mark.contract("B7")
def test_the_sidecar_backs_up_database_and_media_and_the_host_can_restore_them(stack, sidecar):
    sidecar("up", "--detach", "--wait", "--no-build", "--no-deps", "backup")  # healthy: the first backup is made
    (point,) = (stack.root / "backups").glob("restore_point_2*.json")
    about = inspect(sidecar("ps", "--quiet", "backup").stdout.strip())
    assert {mount["Destination"]: mount["RW"] for mount in about["Mounts"]} == {
        "/app/media": False,
        "/backups": True,
        "/key": True,
        "/site/korrigo-backup.toml": False,
    }
    assert about["HostConfig"]["ReadonlyRootfs"]
    assert about["HostConfig"]["CapDrop"] == ["ALL"]
    assert about["Config"]["User"] == "1000:1000"
    made = json.loads(sidecar("exec", "-T", "backup", "korrigo-backup", "verify", "latest-point", "--json").stdout)
    assert {found["level"] for found in made["findings"]} <= {"ok", "warning"}

    # the host's own command would restore it, with the key that the sidecar has made: all is verified for the plan
    with settings(stack, KORRIGO_BACKUP_KEY_FILE="backups-key/key"):
        eventually(lambda: ended(stack, "plan", point.name) != 7, limit=180)  # the first night goes on with a drill
        korrigo(stack, "plan", point.name)
    with settings(stack, KORRIGO_BACKUP_KEY_FILE="another-key"):
        assert "add --allow-unsigned" in korrigo(stack, "plan", point.name, code=4)

    # it ends by itself, not by a kill
    sidecar("stop", "backup")
    about = inspect(sidecar("ps", "--all", "--quiet", "backup").stdout.strip())
    assert about["State"]["ExitCode"] == 0
    logs = sidecar("logs", "--no-color", "backup").stdout
    assert "weekly: korrigo-backup nightly --full --wait 2h" in logs
    assert "⏳ Next: daily" in logs
    assert "CET" in logs
    assert stack.password not in logs
