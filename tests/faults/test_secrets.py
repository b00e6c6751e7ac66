"""The password is in no argument list, no output and no file."""

import json
import time
from pathlib import Path

import pytest

from sandbox import USER_PASSWORD

SLOW = '#!/bin/sh\n"{real}/pg_dump" "$@"\nstatus=$?\nsleep 1\nexit $status\n'


def command_lines():
    """The argument lists of all processes of this machine."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.add(path.read_bytes())
        except OSError:
            continue  # it has ended
    return found


@pytest.fixture
def slow_clients(site, tmp_path):
    """Clients of which pg_dump takes a second more, so that there is time to look."""
    place, real = tmp_path / "clients", site.server.access().client_dir
    place.mkdir()
    (place / "psql").symlink_to(real / "psql")
    (place / "pg_dump").write_text(SLOW.format(real=real))
    (place / "pg_dump").chmod(0o755)
    return {"KORRIGO_BACKUP_CLIENT_DIR": str(place)}


@pytest.mark.contract("C5")
@pytest.mark.promise("P7")
def test_the_password_is_in_no_argument_list_while_a_backup_and_a_restore_run(site, slow_clients):
    seen = set()
    for verb in (("backup", "db"), ("restore", "latest", "--yes")):
        with site.started(*verb, env=slow_clients) as child:
            while child.poll() is None:
                seen |= command_lines()
                time.sleep(0.02)
            assert child.returncode == 0
    assert any(b"pg_dump" in line and b"--snapshot" in line for line in seen)
    assert any(b"psql" in line for line in seen)
    assert not any(USER_PASSWORD.encode() in line for line in seen)


@pytest.mark.contract("C5")
@pytest.mark.promise("P7")
def test_the_password_is_in_no_output_and_no_file(site):
    runs = [site.korrigo("backup", "db"), site.korrigo("show", "latest"), site.korrigo("restore", "latest", "--yes")]
    runs.append(site.korrigo("backup", "db", code=8, env={"POSTGRES_HOST": "/nowhere"}))
    runs.append(site.korrigo("backup", "db", code=8, env={"POSTGRES_DB": USER_PASSWORD}))
    assert not any(USER_PASSWORD in one.output for one in runs)
    files = [path for path in site.home.rglob("*") if path.is_file()]
    assert files
    assert not any(USER_PASSWORD.encode() in path.read_bytes() for path in files)


def test_failures_are_recorded_with_their_code_and_no_secret(site):
    """In this file, since the name of a database is in its server's process titles, which the others look at."""
    site.korrigo("backup", "db", code=8, env={"POSTGRES_DB": USER_PASSWORD})
    line = (site.backups / ".journal.jsonl").read_text().splitlines()[-1]
    record = json.loads(line)
    assert (record["outcome"], record["exit_code"]) == ("failed", 8)
    assert "does not exist" in record["message"]
    assert USER_PASSWORD not in (site.backups / ".journal.jsonl").read_text()
    assert (site.backups / ".journal.jsonl").stat().st_mode & 0o777 == 0o600
