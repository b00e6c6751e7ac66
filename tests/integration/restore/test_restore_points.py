"""A restore point is database and media of one moment: both come back, or neither, and it says what does not fit."""

import hashlib
import json
from datetime import UTC, datetime, timedelta

import pytest

from sandbox import SCHEMA, nothing_changes

COLUMNS = """
[media]
columns = ["copy.note", "page.images:$.pages[*].image", "page.scan", "absent.file"]
"""
PAGES = """
CREATE TABLE page (id serial PRIMARY KEY, images jsonb, scan varchar(200) NOT NULL DEFAULT '');
INSERT INTO page (images, scan) VALUES
  ('{"pages": [{"image": "pages/p1.jpg", "label": "not/a/path"}, {"image": "/media/pages/empty.jpg"}]}', ''),
  ('{"pages": []}', 'copies/2026/scan 1.pdf'), (NULL, 'copies/2026/scan 1.pdf'),
  ('{"pages": [{"image": "pages/gone.jpg"}]}', E'odd\\tname\\\\ é.pdf');
UPDATE copy SET note = '';
"""


@pytest.fixture
def site(make_site):
    made = make_site(schema=SCHEMA + PAGES)
    (made.home / "korrigo-backup.toml").write_text(COLUMNS)
    return made


def point(site):
    return site.one("restore_point_*.json")


@pytest.mark.contract("B10")
def test_a_full_backup_makes_both_artifacts_and_the_point_that_names_them(site):
    done = site.korrigo("backup", "full")
    manifest = json.loads(point(site).read_text())
    assert manifest["database_backup"] == site.one("db_backup_2*.sql.gz").name
    assert manifest["media_backup"] == site.one("media_backup_*.tar.gz").name
    assert "Backup created" in done.out
    kinds = {item["kind"]: item["proof"] for item in site.json("list")["items"]}
    assert kinds == {"point": "point", "sql": "rows", "media": "files"}
    assert site.json("verify", "latest-point")["passed"]


def test_what_does_not_fit_is_counted_and_named_at_backup_in_verify_and_in_show(site):
    site.write("pages/nobody names me.jpg", b"orphan")
    done = site.korrigo("backup", "full")
    found = json.loads(point(site).read_text())["consistency"]
    assert found["columns"] == ["copy.note", "page.images", "page.scan"]
    assert found["unknown"] == ["absent.file"]
    assert (found["references"], found["missing"], found["orphans"], found["empty"]) == (5, 2, 2, 1)
    assert found["first_missing"] == ["odd\\tname\\ é.pdf of page.scan", "pages/gone.jpg of page.images"]
    assert found["first_orphans"] == ["copies/2026/scan 2.pdf", "pages/nobody names me.jpg"]
    assert found["first_empty"] == ["pages/empty.jpg of page.images"]
    for output in (done.out, site.korrigo("verify", "latest-point").out, site.korrigo("show", "latest-point").out):
        assert "2 of 5 files that rows name are missing: odd\\tname\\ é.pdf of page.scan" in output
        assert "1 file that rows name is empty: pages/empty.jpg" in output
        assert "the database does not have the path columns absent.file" in output


def test_a_full_backup_reports_that_no_path_column_is_known(make_site):
    bare = make_site()
    assert "no column is known to hold paths" in bare.korrigo("backup", "full").out


@pytest.mark.promise("P2")
@pytest.mark.contract("R1")
@pytest.mark.contract("R5")
def test_a_point_brings_back_database_and_media_and_a_rollback_undoes_both(site):
    saved, files = site.content(), site.tree()
    site.korrigo("backup", "full")
    site.wreck()
    site.write("late.pdf", b"late")
    site.write("copies/2026/scan 1.pdf", b"changed")
    (site.media / "pages" / "p1.jpg").unlink()
    ruined, ruins = site.content(), site.tree()
    plan = site.json("plan", "latest-point")
    assert {one["part"] for one in plan["replaces"]} == {"database", "media"}
    assert plan["media"]["added"]["first"] == ["late.pdf"]
    assert plan["media"]["removed"]["first"] == ["pages/p1.jpg"]
    assert plan["media"]["changed"]["first"] == ["copies/2026/scan 1.pdf"]
    done = site.korrigo("restore", "latest-point", "--yes")
    assert (site.content(), site.tree()) == (saved, files)
    assert "the replaced database is kept as" in done.out
    assert "the replaced media is kept as" in done.out
    site.korrigo("rollback", "--yes")
    assert (site.content(), site.tree()) == (ruined, ruins)
    site.korrigo("rollback", "--to", "after", "--yes")
    assert (site.content(), site.tree()) == (saved, files)


@pytest.mark.promise("P2")
def test_a_point_whose_media_do_not_load_leaves_the_database_too(site):
    site.korrigo("backup", "full")
    archive = site.one("media_backup_*.tar.gz")
    archive.write_bytes(archive.read_bytes()[:-20])
    site.wreck()
    with nothing_changes(site):
        assert "is cut" in site.korrigo("restore", "latest-point", "--yes", code=9).err
    assert not site.json("verify", point(site).name, code=9)["passed"]


@pytest.mark.promise("P5")
def test_files_of_another_backup_under_the_names_of_a_point_are_found(site):
    site.korrigo("backup", "full")
    mine = site.one("db_backup_2*.sql.gz")
    other = site.backup()
    for suffix in ("", ".manifest.json"):
        mine.with_name(mine.name + suffix).write_bytes(other.with_name(other.name + suffix).read_bytes())
    with nothing_changes(site):
        done = site.korrigo("restore", "latest-point", "--yes", code=9)
    assert "is not the manifest that restore_point_" in done.err


def test_a_restore_point_without_its_media_archive_names_the_missing_file(site):
    site.korrigo("backup", "full")
    site.one("media_backup_*.tar.gz").unlink()
    done = site.korrigo("restore", "latest-point", "--yes", code=6)
    assert "media_backup_" in done.err
    assert "which is not in the same directory" in done.err


def test_a_full_backup_without_media_fails_and_makes_no_point(site):
    with nothing_changes(site):
        site.korrigo("backup", "full", code=6, env={"MEDIA_ROOT": "/nowhere"})
    site.korrigo("backup", "full", code=2, env={"MEDIA_ROOT": None})


def made_so_many_days_ago(site, point, days):
    """Let a restore point and what it is made of be so old, as their signed manifests say."""
    created = f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}"
    document = json.loads(point.read_text()) | {"created": created}
    for member in document["members"]:
        manifest = site.backups / member["name"]
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"created": created}))
        site.seal(manifest)
        member |= {"size": manifest.stat().st_size, "sha256": hashlib.sha256(manifest.read_bytes()).hexdigest()}
    point.write_text(json.dumps(document))
    site.seal(point)


@pytest.mark.contract("T7")
def test_the_newest_point_keeps_its_database_and_older_points_go_with_theirs(site):
    for _ in range(2):
        site.korrigo("backup", "full")
    points = sorted(site.backups.glob("restore_point_*"))
    assert len(points) == 2
    for point, days in zip(points, (9, 8), strict=True):
        made_so_many_days_ago(site, point, days)
    newest = site.json("show", "latest-point")["manifest"]
    site.korrigo("backup", "db", env={"BACKUP_RETENTION_DAYS": "7"})
    (left,) = site.backups.glob("restore_point_*")
    assert json.loads(left.read_text())["database_backup"] == newest["database_backup"]
    assert (site.backups / newest["database_backup"]).exists()


@pytest.mark.promise("P1")
def test_a_restore_point_without_a_database_or_media_backup_is_refused(site):
    site.korrigo("backup", "full")
    point = site.one("restore_point_*.json")
    for name in ("database_backup", "media_backup"):
        document = json.loads(point.read_text())
        made_up = point.with_name("restore_point_20200101_030000.json")
        made_up.write_text(json.dumps({key: value for key, value in document.items() if key != "auth"} | {name: None}))
        assert "it is no restore point" in site.korrigo("verify", made_up, code=9).err
        with nothing_changes(site):
            site.korrigo("restore", made_up, "--yes", "--allow-unsigned", code=9)
