"""A Django backup from the host whose media files are in the media store."""

import json
import shlex

import pytest

from demosite import MANAGE
from sandbox import nothing_changes
from wreckedsite import EARLIER, SERVICES, left, now

STORE = "[media]\nstore = true\n"


@pytest.fixture
def stored(demo):
    """A site with such a backup (`demo.made`), its rows and files (`demo.new`, `demo.contents`) and how it is now (`demo.old`)."""
    demo.toml(SERVICES.format(demo.home / "services") + STORE)
    demo.write("twice.pdf", demo.any_file("copies/**/*.pdf").read_bytes())
    (demo.media / "name of twice.pdf").hardlink_to(demo.media / "twice.pdf")
    demo.korrigo("backup", "full", "--method", "django")
    demo.made = demo.one("korrigo_backup_*")
    demo.new, demo.contents = demo.rows(), contents_of(demo)
    demo.sql("UPDATE exams_exam SET name = 'lost'; DELETE FROM exams_annotation")
    demo.write("intruder.pdf", b"of today")
    demo.any_file("copies/**/*.pdf").write_bytes(b"changed")
    demo.old = demo.rows(), demo.tree()
    return demo


def stored_files(site):
    return sorted(path.name for path in (site.backups / "media-store").glob("??/*"))


def test_it_holds_a_listing_and_no_archive(stored):
    manifest = json.loads((stored.made / "manifest.json").read_text())
    listing = f"media_backup_{manifest['timestamp']}.files.gz"
    fixture = f"db_backup_{manifest['timestamp']}.json"
    assert sorted(path.name for path in stored.made.iterdir()) == sorted([fixture, "manifest.json", listing])
    assert (manifest["includes_media"], manifest["media_backup"], manifest["kind"]) == (True, listing, "django")
    assert manifest["media"]["store"]["new_files"] == len(stored_files(stored))
    assert "signature authentic" in stored.korrigo("show", stored.made).out
    assert "every checksum as saved" in stored.korrigo("verify", stored.made).out
    again = stored.korrigo("backup", "full", "--method", "django")
    assert "Backup created" in again.out
    assert left(stored) == []


@pytest.mark.contract("R2")
@pytest.mark.parametrize("way", ["beside", "in place"])
def test_it_is_restored_and_rolled_back_with_its_media(stored, way):
    stored.settings(EARLIER if way == "in place" else "")
    with nothing_changes(stored):
        plan = stored.json("plan", stored.made)
    assert plan["media"]["added"]["first"] == ["intruder.pdf"]
    done = stored.korrigo("restore", stored.made, "--yes")
    assert f"Restored media from: {stored.made}/media_backup_" in done.out
    assert stored.rows() == stored.new
    assert contents_of(stored) == stored.contents
    assert left(stored) == []
    assert not list(stored.backups.rglob("*.zip"))
    stored.korrigo("rollback", "--yes")
    assert now(stored) == stored.old


def contents_of(site):
    files = (path.relative_to(site.media) for path in site.media.rglob("*") if path.is_file())
    return {str(path): (site.media / path).read_bytes() for path in files if not path.parts[0].startswith(".before-")}


def test_a_damaged_stored_file_is_found_and_restores_nothing(stored):
    victim = next(path for path in (stored.backups / "media-store").glob("??/*") if path.stat().st_size > 10)
    victim.chmod(0o600)
    content = bytearray(victim.read_bytes())
    content[5] ^= 1
    victim.write_bytes(content)
    assert "is damaged" in stored.korrigo("verify", stored.made, code=9).err
    with nothing_changes(stored):
        assert "is damaged" in stored.korrigo("restore", stored.made, "--yes", code=9).err
    victim.unlink()
    assert "is missing" in stored.korrigo("verify", stored.made, "--depth", "structure", code=9).err


def test_prune_keeps_the_stored_files_that_it_names(stored):
    before = stored_files(stored)
    stored.korrigo("backup", "media")
    media = stored.one("media_backup_*.files.gz")
    for path in stored.backups.glob(f"{media.name}*"):
        path.unlink()
    stored.korrigo("prune", "--apply")
    assert set(before) <= set(stored_files(stored))
    stored.korrigo("verify", stored.made)


def test_manage_py_alone_names_the_command_that_restores_it(stored):
    restore = [*shlex.split(MANAGE), "restore", str(stored.made)]
    with nothing_changes(stored):
        done = stored.run(restore, env=stored.env, code=4)
    assert "are in the media store" in done.err
    assert "korrigo-backup restore" in done.err
