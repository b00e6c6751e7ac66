"""`latest` is the newest good backup of this site: what a verification found bad, or no key proves, is passed over."""

import errno
import os

import pytest

from korrigo_backup.errors import Refused
from sandbox import nothing_changes


def damage(path):
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.write_bytes(raw)


@pytest.mark.promise("P9")
def test_a_backup_that_was_found_bad_is_passed_over_and_named(site):
    good = site.backup()
    wanted = site.content()
    site.wreck()
    bad = site.backup()
    damage(bad)
    site.korrigo("verify", bad.name, code=9)
    done = site.korrigo("restore", "latest", "--yes", "--no-safety-backup")
    assert f"newer, and passed over: {bad.name} was found bad" in done.output
    assert site.content() == wanted
    assert (site.backups / "db_backup_latest.sql.gz").readlink().name == good.name
    assert next(line for line in site.korrigo("list").out.splitlines() if line.startswith(bad.name)).endswith("bad")


@pytest.mark.promise("P9")
def test_a_restore_point_is_passed_over_when_a_component_of_it_is_bad(site):
    site.korrigo("backup", "full")
    good = site.one("restore_point_*.json")
    dumps, archives = set(site.backups.glob("db_*.gz")), set(site.backups.glob("media_*.gz"))
    site.korrigo("backup", "full")
    (archive,) = set(site.backups.glob("media_*.gz")) - archives
    damage(archive)
    newest = next(path for path in site.backups.glob("restore_point_*.json") if path != good)
    site.korrigo("verify", "latest-point", code=9)
    catalog = site.wired().catalog
    assert catalog.find("latest-point").name == good.name
    (dump,) = {path.name for path in site.backups.glob("db_*.gz") if not path.is_symlink()} - {
        path.name for path in dumps
    }
    assert catalog.find("latest").name == dump, "the dump of the bad point was verified, and is good"
    assert [one.name for one in catalog.find("latest-point").passed_over] == [newest.name]


def test_the_only_backup_is_latest_though_it_is_bad(site):
    bad = site.backup()
    damage(bad)
    site.korrigo("verify", code=9)
    site.korrigo("verify", code=9)


# Keys


@pytest.fixture
def other_home(tmp_path):
    place = tmp_path / "elsewhere"
    place.mkdir()
    return {"HOME": str(place)}


@pytest.mark.promise("P9")
@pytest.mark.parametrize("has_a_key", [False, True])
def test_no_key_is_made_or_used_where_the_backups_are_signed_with_another(site, other_home, tmp_path, has_a_key):
    site.backup()
    key = tmp_path / "elsewhere" / ".config" / "korrigo-backup" / "key"
    if has_a_key:
        key.parent.mkdir(parents=True)
        key.write_text("ab" * 32)
        key.chmod(0o600)
    with nothing_changes(site):
        for words in (("backup", "db"), ("nightly",), ("prune", "--apply")):
            done = site.korrigo(*words, env=other_home, code=4)
    for part in ("are signed with the key", "cron, sudo", "KORRIGO_BACKUP_KEY_FILE", "adopt --new-key"):
        assert part in done.err
    assert key.exists() == has_a_key
    doctor = site.korrigo("doctor", env=other_home, code=10)
    assert "are signed with the key" in doctor.output
    status = site.korrigo("status", env=other_home, code=10)
    assert "signed with a key that is not here" in status.output
    assert "unknown key" in site.korrigo("list", env=other_home).out


def test_a_lost_key_has_a_way_on(site):
    lost = site.backup()
    (site.home / ".config" / "korrigo-backup" / "key").unlink()
    site.korrigo("adopt", "--new-key", "--yes")
    made = site.backup()
    assert site.wired().catalog.find("latest").name == made.name
    site.korrigo("restore", lost.name, "--yes", "--no-safety-backup", "--allow-unsigned")
    plan = {one["name"]: one for one in site.json("prune")["artifacts"]}
    assert plan[lost.name]["reason"].endswith("by a key that is not here: not ours to remove")


def test_what_another_key_has_signed_is_passed_over(site, other_home):
    ours = site.backup()
    key = site.home / ".config" / "korrigo-backup" / "key"
    former = key.read_text()
    key.write_text("ab" * 32)
    site.korrigo("adopt", "--new-key", "--yes")
    site.backup()
    key.write_text(former)
    assert site.wired().catalog.find("latest").name == ours.name


def test_a_read_only_directory_is_refused_with_the_command_that_restores_from_it(site, monkeypatch):
    """A mount needs rights that a test may not have: the kernel's answer is given in its place."""
    made = site.backup()
    really = os.open

    def read_only(path, flags, *rest, **more):
        if flags & os.O_RDWR and str(path).endswith(".lock"):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return really(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", read_only)
    with pytest.raises(Refused) as refused:
        site.restore(made)
    assert f"BACKUP_DIR=/some/directory, {made}" in refused.value.hint
