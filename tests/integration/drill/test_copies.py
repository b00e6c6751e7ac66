"""A drill of the copy on a target: fetched into a private directory, loaded from there, and removed."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest

from sandbox import nothing_changes


@pytest.fixture
def copied(site):
    """A site with a restore point, and a copy of it on a mounted disk."""
    if not Path("/dev/shm").is_dir():
        pytest.skip("there is no second file system")
    nas = tempfile.mkdtemp(dir="/dev/shm")
    url = f"file://{nas}"
    (site.home / "korrigo-backup.toml").write_text(f'[targets.nas]\nurl = "{url}"\nseal = false\n')
    site.korrigo("backup", "full")
    site.korrigo("copy")
    site.nas = Path(nas)
    yield site
    shutil.rmtree(nas)


@pytest.mark.contract("D2")
def test_the_copy_on_a_target_is_drilled_and_its_fetching_is_timed(copied):
    for path in copied.backups.glob("db_backup_2*.sql.gz"):
        path.unlink()  # it is there alone
    with nothing_changes(copied):
        report = copied.json("drill", "--from", "nas")
    assert report["verdict"] == "passed"
    assert "fetch" in report["phases"]
    assert not [path.name for path in copied.backups.iterdir() if path.name.startswith((".drill", ".spool"))]
    record = json.loads((copied.backups / ".journal.jsonl").read_text().splitlines()[-1])
    assert (record["verb"], record["why"]) == ("drill", {"from": "nas"})


@pytest.mark.promise("P1")
def test_a_damaged_copy_is_no_word_about_the_backup_here(copied):
    (dump,) = (path for path in copied.nas.rglob("db_backup_2*.sql.gz") if path.is_file())
    dump.chmod(0o600)
    dump.write_bytes(dump.read_bytes()[:-9])
    copied.korrigo("drill", "--from", "nas", code=9)
    assert "status.damaged" not in {one["id"] for one in copied.json("status", code=(0, 10))["attention"]}
    copied.korrigo("drill")
