"""Kill -9, a full disk and a read error at every effect of a backup into the media store, and of its sweep.

Afterwards every backup that is listed is whole, and the next run needs no hands.
"""

import hashlib
import os
import shutil

import pytest

import steps

TINY = "CREATE TABLE exam (id int)"
CONFIG = "[media]\nstore = true\nreread_nights = 1\n"
ALL = bool(os.environ.get("KORRIGO_TEST_FAULTS"))
"""Whether every effect is visited (`make test-faults`), or every seventh: by each fault another one."""

FAULTS = ("kill", "full", "broken")


@pytest.fixture
def stored(make_site):
    """A site with a listing of a former state: one content has gone since, others have come."""
    site = make_site(schema=TINY)
    (site.home / "korrigo-backup.toml").write_text(CONFIG)
    for number in range(20):
        site.write(f"scans/{number}.pdf", b"scan %d" % number)
    site.backup_media()
    (site.media / "scans/3.pdf").unlink()
    for number in range(20, 40):  # so many that they are forced to disk together
        site.write(f"scans/{number}.pdf", b"scan %d" % number)
    return site


def go(site, *arguments, **options):
    ran = steps.run(site, *arguments, **options)
    assert "Traceback" not in ran.output, ran.output
    return ran


def visited(effects, fault):
    first = 1 if ALL else 1 + 2 * FAULTS.index(fault)
    return range(first, len(effects) + 1, 1 if ALL else 7)


def stored_names(site):
    return {path.name for path in (site.backups / "media-store").glob("??/*")}


def require_all_whole(site, case):
    """Every listed backup verifies to the last byte, and no temporary file is taken for a stored one."""
    for path in site.backups.glob("media_backup_*.files.gz"):
        done = go(site, "verify", str(path), "--depth", "content")
        assert done.code == 0, f"{case}: {done.output}"
    for path in (site.backups / "media-store").glob("??/*"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name, f"{case}: {path}"


@pytest.mark.promise("P2", "P3")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_backup_that_ends_at_any_effect_harms_no_backup(stored, fault):
    before = stored.home / "before"
    shutil.copytree(stored.backups, before)
    effects = go(stored, "backup", "media").effects
    assert len(effects) > 60
    for number in visited(effects, fault):
        shutil.rmtree(stored.backups)
        shutil.copytree(before, stored.backups)
        case = f"{fault} at {number} of {len(effects)}, {effects[number - 1]}"
        ran = go(stored, "backup", "media", triggers={number: fault})
        assert ran.code != 0 or fault != "kill" or number > len(ran.effects), case
        require_all_whole(stored, case)
    again = go(stored, "backup", "media")
    assert again.code == 0, again.output
    require_all_whole(stored, "the next backup")
    assert not (stored.backups / "media-store" / ".partial").exists()


@pytest.mark.promise("P2")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_sweep_that_ends_at_any_effect_harms_no_backup(stored, fault):
    first = next(stored.backups.glob("media_backup_*.files.gz"))
    stored.aged(first, 40)
    for path in (first, first.with_name(first.name + ".manifest.json")):
        path.unlink()
    stored.backup_media()
    before = stored.home / "before"
    shutil.copytree(stored.backups, before)
    assert hashlib.sha256(b"scan 3").hexdigest() in stored_names(stored)
    prune = ("prune", "--apply", "--clock-is-right")
    effects = go(stored, *prune).effects
    assert hashlib.sha256(b"scan 3").hexdigest() not in stored_names(stored)
    for number in visited(effects, fault):
        shutil.rmtree(stored.backups)
        shutil.copytree(before, stored.backups)
        case = f"{fault} at {number} of {len(effects)}, {effects[number - 1]}"
        go(stored, *prune, triggers={number: fault})
        require_all_whole(stored, case)
        assert go(stored, *prune).code == 0, case
        require_all_whole(stored, f"{case}, then again")
    assert hashlib.sha256(b"scan 3").hexdigest() not in stored_names(stored)
