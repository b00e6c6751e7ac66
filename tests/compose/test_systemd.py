"""The timers on a real systemd, booted in a container beside the stack: `make test-systemd`, a minute or two."""

import os
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from compose.dockerstack import CALL_LIMIT, docker, eventually

IMAGE = "korrigo-test/systemd:latest"
HERE = Path(__file__).parent / "systemd"
SITE = "/srv/my 100% site"
KORRIGO = "/venv/bin/korrigo-backup"
HOURS = '[schedule]\nmedia = "weekly"\ndaily = "* * * * *"\nweekly = "0 4 29 2 *"\njitter = 0\n'

pytestmark = pytest.mark.skipif(
    not os.environ.get("KORRIGO_TEST_SYSTEMD"), reason="boots a systemd in a container: make test-systemd"
)


class Machine:
    """A container with systemd as its first process, and a site in it whose database is the stack's."""

    def __init__(self, name):
        self.name = name

    def run(self, *argv, user=None, given="", code=0):
        as_user = ("--user", user) if user else ()
        home = ("--env", f"HOME={'/home/' + user if user else '/root'}", "--env", "PATH=/usr/sbin:/usr/bin:/bin")
        done = subprocess.run(
            ["docker", "exec", "-i", *as_user, *home, "--workdir", SITE, self.name, *argv],
            input=given,
            capture_output=True,
            text=True,
            check=False,
            timeout=CALL_LIMIT,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def write(self, name, text):
        self.run("tee", name, given=text)

    def backups(self):
        return self.run("sh", "-c", "ls backups | grep -c '^db_backup_2.*gz$' || true").strip()


@contextmanager
def booted(network, name):
    docker("build", "--quiet", "--tag", IMAGE, str(HERE), limit=600)
    try:
        docker(
            "run", "--detach", "--name", name, "--network", network, "--workdir", SITE, "--cap-add", "ALL",
            "--security-opt", "seccomp=unconfined", "--security-opt", "apparmor=unconfined", "--tmpfs", "/run",
            "--tmpfs", "/run/lock", "--tmpfs", "/tmp:exec", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw",
            "--cgroupns", "host", IMAGE,
        )  # fmt: skip
        machine = Machine(name)
        eventually(lambda: _up(name))
        yield machine
    finally:
        docker("rm", "--force", name)


def _up(name):
    asked = subprocess.run(
        ["docker", "exec", name, "systemctl", "is-system-running"], capture_output=True, text=True, check=False
    )
    return asked.stdout.strip() in {"running", "degraded"}


@pytest.fixture
def machine(stack):
    with booted(f"{stack.project}_default", f"{stack.project}-systemd") as machine:
        machine.run("mkdir", "/srv/media")
        machine.write("/srv/media/scan.pdf", "a scan")
        settings = {
            "POSTGRES_HOST": "db",
            "POSTGRES_DB": "viatique",
            "POSTGRES_USER": "viatique_user",
            "POSTGRES_PASSWORD": stack.password,
            "MEDIA_ROOT": "/srv/media",
        }
        machine.write(".env", "".join(f"{name}={value}\n" for name, value in settings.items()))
        machine.write("korrigo-backup.toml", HOURS)
        yield machine


@pytest.mark.contract("B7")
@pytest.mark.contract("T11")
def test_timers_are_installed_fire_once_an_hour_that_is_due_and_go_again(stack, machine):
    output = machine.run(KORRIGO, "schedule", "install", "--systemd")
    assert "✅ Schedule installed by systemd" in output
    assert stack.password not in output
    assert "it was up to date" in machine.run(KORRIGO, "schedule", "install", "--systemd")
    timers = machine.run("systemctl", "list-timers", "--all", "--no-pager")
    assert timers.count("korrigo-backup") == 4  # each with its service
    assert machine.run("systemd-analyze", "verify", "/etc/systemd/system/korrigo-backup.timer") == ""
    for service in ("korrigo-backup", "korrigo-backup-weekly"):  # as it is confined
        machine.run("systemctl", "start", f"{service}.service")
    assert "✅ Backup validation passed" in machine.run("journalctl", "-u", "korrigo-backup-weekly", "--no-pager")
    before = machine.backups()
    eventually(lambda: machine.backups() != before, limit=90, pause=1)
    shown = machine.run(KORRIGO, "schedule", "show")
    assert "Installed by systemd" in shown
    assert "hint" not in shown
    machine.run(KORRIGO, "schedule", "remove")
    assert "korrigo" not in machine.run("ls", "/etc/systemd/system")
    assert "korrigo" not in machine.run("systemctl", "list-timers", "--all", "--no-pager")
    machine.run(KORRIGO, "verify", "latest-point")


def test_runs_of_another_user_are_installed_once_he_has_made_a_backup_himself(machine):
    machine.run("useradd", "--create-home", "korrigo")
    machine.write("korrigo-backup.toml", HOURS + 'user = "korrigo"\n')
    assert "there is no backup directory" in machine.run(KORRIGO, "schedule", "install", code=4)
    machine.run("install", "-d", "-m", "700", "-o", "korrigo", "backups")
    assert "there is no signing key" in machine.run(KORRIGO, "schedule", "install", code=4)
    machine.run(KORRIGO, "backup", user="korrigo")
    machine.run(KORRIGO, "schedule", "install")
    machine.run("systemctl", "start", "korrigo-backup.service")
    owners = machine.run("stat", "-c", "%U", "backups/db_backup_latest.sql.gz").split()
    assert owners == ["korrigo"]
