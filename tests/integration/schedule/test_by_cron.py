"""A schedule in a real crontab, started by a real cron: in a mount namespace, so that the machine's own stay as they are.

The cron daemon needs up to a minute to begin; what else there is to see is looked at meanwhile, and the run comes last.
"""

import os
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from sandbox import KORRIGO, Sandbox, connect, quoted, until

ROOM = """
mount -t tmpfs tmpfs /var/spool/cron && mkdir -m 1730 /var/spool/cron/crontabs && chgrp crontab /var/spool/cron/crontabs
mount -t tmpfs tmpfs /etc/cron.d
mount -t tmpfs tmpfs /run
exec cron -f
"""
OTHERS = b'MAILTO=""\n# caf\xe9, not UTF-8\n0 5 * * * echo 100\\%  \n\n0 3 * * * cd /k && ./scripts/backup_db.sh\n'
DATABASE = "viatique_by_cron"


class Room:
    """A machine's cron of our own, and a site on it whose settings are in its `.env`."""

    def __init__(self, site, cron):
        self.site = site
        self.cron = cron

    def run(self, *argv, given=b"", code=0, env=None):
        enter = ["nsenter", f"--mount=/proc/{self.cron.pid}/ns/mnt", f"--wd={self.site.home}", "--"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/bin", "HOME": str(self.site.home)} | (env or {})
        done = subprocess.run([*enter, *map(str, argv)], input=given, capture_output=True, env=environment, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def korrigo(self, *arguments, code=0, env=None):
        return self.run(KORRIGO, *arguments, code=code, env=env).decode()

    def crontab(self):
        return self.run("crontab", "-l")


@contextmanager
def a_cron():
    for program in ("cron", "crontab", "unshare", "nsenter"):
        if not shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            pytest.skip(f"{program} is missing (Debian: apt-get install cron util-linux)")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace may be made here, so a cron could not be kept from the machine's own crontabs")
    with subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-ec", ROOM]) as cron:
        try:
            until(lambda: os.readlink(f"/proc/{cron.pid}/exe").endswith("/cron"))
            yield cron
        finally:
            cron.terminate()


@pytest.fixture(scope="module")
def room(server, tmp_path_factory):
    with a_cron() as cron:
        site = Sandbox(server, DATABASE, tmp_path_factory.mktemp("by cron") / "my 100% site")
        site.create()
        settings = {name: value for name, value in site.env.items() if name not in {"PATH", "HOME"}}
        settings["KORRIGO_BACKUP_KEY_FILE"] = str(site.home / "key")  # cron's HOME is that of passwd
        (site.home / ".env").write_text("".join(f'{name}="{value}"\n' for name, value in settings.items()))
        (site.home / "korrigo-backup.toml").write_text(
            '[schedule]\ndaily = "* * * * *"\nweekly = "never"\njitter = 0\n'
        )
        room = Room(site, cron)
        room.run("crontab", "-", given=OTHERS)
        output = room.korrigo("schedule", "install", "--cron")
        assert "✅ Schedule installed by cron" in output
        yield room
    with connect(server) as connection:
        connection.execute(f"DROP DATABASE {quoted(DATABASE)} WITH (FORCE)")


@pytest.mark.contract("B7")
def test_the_lines_stand_after_those_of_the_owner_and_another_installation_changes_nothing(room):
    before = room.crontab()
    assert before.startswith(OTHERS)
    assert b"cd '" in before[len(OTHERS) :]
    assert "it was up to date" in room.korrigo("schedule", "install")
    assert room.crontab() == before
    output = room.korrigo("schedule", "show")
    assert "* * * * *    next " in output
    assert "\n  daily   database and media " in output
    assert "backs up in other lines, too, which stay as they are (line 5)" in output
    assert "no cron daemon" not in output


def test_no_secret_stands_in_the_crontab(room):
    assert room.site.env["POSTGRES_PASSWORD"].encode() not in room.crontab()


def test_a_setting_that_no_run_would_have_is_refused_by_its_name(room):
    before = room.crontab()
    output = room.korrigo("schedule", "install", "--cron", env={"POSTGRES_DB": "another"}, code=4)
    assert "variables of your shell: POSTGRES_DB" in output
    assert room.crontab() == before


def test_systemd_is_refused_if_it_does_not_run_or_cron_is_installed(room):
    assert "systemd does not run this machine" in room.korrigo("schedule", "install", "--systemd", code=4)
    assert "is installed by cron already" in room.korrigo("schedule", "install", "--systemd", "--dry-run", code=4)
    other = {"KORRIGO_BACKUP_SITE": "other"}
    assert "variables of your shell: KORRIGO_BACKUP_SITE" in room.korrigo("schedule", "install", env=other, code=4)


def test_half_of_the_marks_is_left_alone(room):
    whole = room.crontab()
    broken = b"".join(line for line in whole.splitlines(keepends=True) if not line.startswith(b"# END"))
    room.run("crontab", "-", given=broken)
    try:
        for action in ("install", "show", "remove"):
            assert "not a single BEGIN and a single END" in room.korrigo("schedule", action, code=4)
        assert room.crontab() == broken
    finally:
        room.run("crontab", "-", given=whole)


@pytest.mark.contract("B7")
def test_cron_makes_a_verified_backup_from_the_installed_schedule(room):
    (made,) = until(lambda: list(room.site.backups.glob("db_backup_2*.sql.gz")), seconds=150)
    room.korrigo("schedule", "remove")
    assert room.crontab() == OTHERS
    assert "No schedule is installed" in room.korrigo("schedule", "show")
    assert "no schedule of this site is installed" in room.korrigo("schedule", "remove", code=6)
    room.korrigo("verify", made)
