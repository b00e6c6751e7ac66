"""The canary on real backups: lost rows and files are found, and the last calm backup is kept."""

import random

import pytest

from korrigo_backup.canary.watch import HOLDER


@pytest.fixture(params=["archive", "store"])
def full(request, site):
    """A site with 501 media files and three restore points, with its media in archives or in the media store."""
    store = "true" if request.param == "store" else "false"
    (site.home / "korrigo-backup.toml").write_text(f"[media]\nstore = {store}\n[nightly]\ndrill = false\n")
    for number in range(497):
        site.write(f"copies/{number:03}.pdf", b"%PDF-1.4 " + bytes(str(number), "ascii") * 50)
    for _ in range(3):
        site.korrigo("backup", "full")
    return site


@pytest.fixture
def nights(site):
    """A site with backups of its database of three nights."""
    (site.home / "korrigo-backup.toml").write_text("[nightly]\ndrill = false\n")
    made = site.backup()
    for days in (1, 2, 3):
        site.aged(made, days)
    return site


def held(site):
    return [hold["name"] for hold in site.json("hold")["holds"] if hold["holder"] == HOLDER]


def points(site):
    return sorted(path.name for path in site.backups.glob("restore_point_*.json"))


def test_an_empty_media_tree_is_found(full):
    last = points(full)[-1]
    for path in sorted(full.media.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    done = full.korrigo("nightly", "--full", code=3)
    assert "holds no media file, usual are 501" in done.err
    assert f"the last calm backup is {last}, restore it with: korrigo-backup restore {last}" in done.err
    assert held(full) == [last]


def test_an_encrypted_tree_of_equal_size_is_found(full):
    last = points(full)[-1]
    for number, path in enumerate(path for path in full.media.rglob("*") if path.is_file()):
        path.write_bytes(random.Random(number).randbytes(path.stat().st_size))
    done = full.korrigo("nightly", "--full", code=3)
    assert "they may be encrypted" in done.err
    assert held(full) == [last]
    again = full.korrigo("nightly", "--full", code=3)
    assert "they may be encrypted" in again.err
    assert held(full) == [last]
    assert "canary.encrypted" in {one["id"] for one in full.json("status")["attention"]}


def test_a_tree_that_was_compressed_anew_is_no_alarm(full):
    for number in range(497):
        full.write(f"copies/{number:03}.pdf", b"%PDF-1.7 " + bytes(str(number), "ascii") * 45)
    full.korrigo("nightly", "--full")
    assert held(full) == []


def test_an_exam_week_is_no_alarm(full):
    full.sql("INSERT INTO exam (name) SELECT 'new ' || n FROM generate_series(1, 5000) n")
    for number in range(2000):
        full.write(f"copies/new/{number:04}.pdf", b"%PDF-1.4 " + random.Random(number).randbytes(100))
    full.korrigo("nightly", "--full")
    assert full.json("canary")["alarm"] is False


def test_an_emptied_table_is_found_and_its_last_calm_backup_outlives_the_policy(nights):
    nights.sql("DELETE FROM annotation")
    done = nights.korrigo("nightly", code=3)
    assert "canary: " in done.err
    assert "public.annotation (300)" in done.err
    (calm,) = held(nights)
    old = nights.aged(nights.backups / calm, 60)
    reason = ["--reason", "the test"]
    nights.korrigo("hold", "release", calm)
    nights.korrigo("hold", "add", old.name, "--by", HOLDER, *reason)
    nights.korrigo("prune", "--apply")
    assert old.exists()
    assert nights.json("canary", code=10)["watched"][0]["calm"] == old.name


def test_a_person_ends_the_alarm(nights):
    nights.sql("DELETE FROM annotation")
    nights.korrigo("nightly", code=3)
    assert "an alarm ends for a reason" in nights.korrigo("canary", "accept", code=2).err
    done = nights.korrigo("canary", "accept", "--reason", "the year was archived")
    assert "is the usual state from now on" in done.out
    assert held(nights) == []
    assert nights.journal()[-1]["why"] == {"reason": "the year was archived"}
    nights.korrigo("nightly")
    assert nights.korrigo("canary").out.count("✅ as usual") == 1
    nights.sql("DELETE FROM copy")
    assert "public.copy" in nights.korrigo("nightly", code=3).err


def test_an_alarm_stands_until_it_is_accepted_though_the_data_are_back(nights):
    nights.sql("CREATE TABLE saved AS SELECT id, body FROM annotation; DELETE FROM annotation")
    nights.korrigo("nightly", code=3)
    nights.sql("INSERT INTO annotation (body) SELECT body FROM saved; DROP TABLE saved")
    assert "canary.stands" not in nights.korrigo("nightly").err
    assert {"canary.stands"} <= {one["id"] for one in nights.json("status")["attention"]}
    nights.korrigo("canary", "accept", "--reason", "the rows are back")
    assert held(nights) == []
    assert "no alarm of the canary stands" in nights.korrigo("canary", "accept", "--reason", "again", code=6).err


def test_a_migration_that_drops_a_table_is_no_alarm(nights):
    nights.sql("DROP TABLE annotation")
    done = nights.korrigo("nightly")
    assert "canary" not in done.err
    assert "lacks public.annotation" in nights.korrigo("canary").out


def test_a_site_with_two_backups_is_calm(site):
    site.backup()
    site.sql("DELETE FROM annotation")
    site.korrigo("nightly")
    assert "✅ as usual" in site.korrigo("canary").out


def test_an_alarm_by_hand_does_not_become_usual_until_the_night(nights):
    nights.sql("DELETE FROM annotation")
    nights.korrigo("backup")
    assert "public.annotation" in nights.korrigo("nightly", code=3).err


def test_the_canary_of_an_empty_directory(site):
    assert site.json("canary")["watched"] == []


def test_without_a_backup_the_canary_says_so(site):
    assert "no good backup to compare" in site.korrigo("canary").out
    site.korrigo("canary", "show", "latest", code=2)


def test_holds_that_cannot_be_read_are_named_once_a_night_and_hide_no_alarm(nights):
    nights.sql("DELETE FROM annotation")
    (nights.backups / ".holds.json").write_text("[{")
    done = nights.korrigo("nightly", code=3)
    (error,) = (line for line in done.err.splitlines() if line.startswith("error: "))
    assert error.count("the holds") == 1
    assert "public.annotation (300)" in error
    assert "the holds" in nights.korrigo("canary", "accept", "--reason", "meant", code=4).err


def test_a_finding_that_the_site_lives_with_is_no_alarm(nights):
    settings = nights.home / "korrigo-backup.toml"
    settings.write_text(settings.read_text() + '[status]\naccept = ["canary.emptied"]\n')
    nights.sql("DELETE FROM annotation")
    nights.korrigo("nightly")
    assert held(nights) == []
    assert "public.annotation (300)" in nights.korrigo("canary").out
    assert nights.json("canary")["alarm"] is False
    assert "canary.emptied" not in {one["id"] for one in nights.json("status")["attention"]}


def test_a_site_can_turn_the_canary_off(nights):
    (nights.home / "korrigo-backup.toml").write_text("[nightly]\ndrill = false\ncanary = false\n")
    nights.sql("DELETE FROM annotation")
    nights.korrigo("nightly")
    assert held(nights) == []
    assert "canary.emptied" not in {one["id"] for one in nights.json("status")["attention"]}
    assert nights.json("canary", code=10)["alarm"] is True
