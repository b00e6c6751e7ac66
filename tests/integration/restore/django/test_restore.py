"""A Django backup restored by one command from the host, for a site whose manage.py runs on this machine."""

import os
import shlex
import shutil

import pytest

from demosite import MANAGE
from health_server import healthy_until
from sandbox import USER, USER_PASSWORD, connect, nothing_changes, quoted
from wreckedsite import EARLIER, SERVICES, left, now


@pytest.fixture(scope="module")
def plain_role(server):
    """A role that owns its database and may make no other, as on many a shared server."""
    with connect(server) as admin:
        admin.execute(f"CREATE ROLE plain_django LOGIN NOCREATEDB PASSWORD '{USER_PASSWORD}'")
    return "plain_django"


@pytest.mark.contract("R2")
@pytest.mark.contract("R4")
@pytest.mark.contract("R7")
@pytest.mark.parametrize("way", ["beside", "in place"])
def test_it_is_restored_rolled_back_and_brought_again_with_its_media(wrecked, way):
    site, is_in_place = wrecked, way == "in place"
    site.settings(EARLIER if is_in_place else "")
    with nothing_changes(site):
        plan = site.json("plan", site.made)
        cancelled = site.korrigo("restore", site.made, code=5, stdin="no\n")
    assert plan["kind"] == "django"
    assert [(one["part"], one["in_place"]) for one in plan["replaces"]] == [("database", is_in_place), ("media", False)]
    assert {"name": "exams_annotation", "now": 0, "after": 8} in [
        {key: table[key] for key in ("name", "now", "after")} for table in plan["tables"]
    ]
    assert plan["media"]["added"]["first"] == ["intruder.pdf"]
    assert "restore.django" in {finding["id"] for finding in plan["findings"]}
    assert "way back: korrigo-backup rollback" in cancelled.out
    assert (
        "no copy of the database is loaded while it serves: the site's korrigo-backup" in cancelled.out
    ) == is_in_place
    assert ("loads a copy of database" in str(plan["findings"])) != is_in_place
    done = site.korrigo("restore", site.made, "--yes")
    assert "Pass 1: Saved 300 objects. 0 remaining." in done.out
    assert f"Restored media from: {site.made}/media_backup_" in done.out
    assert "✅ Validation passed" in done.out
    assert now(site) == site.new
    assert (site.home / "services").read_text() == "started\n"
    assert left(site) == []
    safety = site.one("pre_restore_safety_backup_*.sql.gz")
    back = site.korrigo("rollback", "--yes")
    assert (f"Loading the data of before, from {safety.name}" in back.out) == is_in_place
    assert now(site) == site.old
    site.korrigo("rollback", "--to", "after", "--yes")
    assert now(site) == site.new
    again = site.korrigo("rollback", "--yes")
    assert "Loading the data of before" not in again.out  # it is kept as a database now
    assert now(site) == site.old
    assert left(site) == []


@pytest.mark.contract("R7")
def test_without_media_the_database_alone_goes_forth_and_back_in_the_order_of_the_restores(in_place):
    """A restore by renames before it, and one after it, are each undone in their turn."""
    site = in_place
    dump = site.backup()
    first = site.rows()
    site.sql("UPDATE exams_exam SET name = 'before all'")
    before_all = site.rows()
    site.restore(dump)
    made = site.home / "korrigo_backup_20260203_120000"
    elsewhere = {"HOME": str(site.home / "container")}  # where there is no key to sign with
    site.run([*shlex.split(MANAGE), "backup", "--output-dir", str(site.home / "by-hand")], env=elsewhere)
    next((site.home / "by-hand").iterdir()).rename(made)
    site.sql("UPDATE exams_exam SET name = 'before Django'")
    files, before_django = site.tree(), site.rows()
    refused = site.korrigo("restore", made, "--yes", code=4)
    assert "add --allow-unsigned" in refused.err
    done = site.korrigo("restore", made, "--yes", "--no-validate", "--allow-unsigned")
    assert "only rows of the site's models" in done.out
    assert (site.rows(), site.tree()) == (first, files)
    site.sql("UPDATE exams_exam SET name = 'before the last'")
    before_the_last = site.rows()
    site.restore(dump)
    for expected in (before_the_last, before_django, before_all):
        site.korrigo("rollback", "--yes")
        assert (site.rows(), site.tree()) == (expected, files)
        if expected is before_the_last:
            site.sql("UPDATE exams_exam SET name = 'written since'")


@pytest.mark.promise("P2")
@pytest.mark.contract("R8")
@pytest.mark.parametrize("settings", ["", EARLIER])
def test_a_manage_py_that_fails_or_a_site_that_does_not_get_well_leaves_all_as_it_was(wrecked, settings):
    site = wrecked
    site.settings(settings)
    with healthy_until(site.home / "services") as url:
        site.toml(SERVICES.format(site.home / "services") + f'health_url = "{url}"\nhealth_timeout = 1\n')
        done = site.korrigo("restore", site.made, "--yes", code=1)
    assert "Restored media from" in done.out
    assert ("Putting back the data of before, from pre_restore_safety_backup_" in done.out) == bool(settings)
    assert "state: rolled back: the site is as it was before" in done.err
    assert now(site) == site.old
    assert left(site) == []
    site.toml(SERVICES.format(site.home / "services"))
    site.sql("CREATE UNIQUE INDEX always ON exams_exam ((1)) WHERE name <> 'lost'")
    done = site.korrigo("restore", site.made, "--yes", code=9)
    assert 'violates unique constraint "always"' in done.err
    assert "state: rolled back: the site is as it was before" in done.err
    assert "Starting restoration of 300 objects" in done.out
    assert now(site) == site.old
    assert left(site) == []
    assert (site.home / "services").read_text() == "started\n"
    site.korrigo("rollback", "--yes", code=6)  # nothing was restored, so there is nothing to go back to


@pytest.mark.promise("P2")
def test_a_manage_py_of_another_database_or_of_other_media_is_not_let_to_its_end(wrecked):
    """What would be lost there has no safety backup here."""
    site = wrecked
    other = f"{site.database}_other"
    with connect(site.server) as admin:
        admin.execute(f"CREATE DATABASE {quoted(other)} TEMPLATE {quoted(site.database)} OWNER {USER}")
    (site.home / "elsewhere").mkdir()
    for setting, words in (
        (f'DATABASES["default"]["NAME"] = "{other}"', "has loaded into another database"),
        (f'MEDIA_ROOT = "{site.home}/elsewhere"', "has other media"),
    ):
        site.settings(setting)
        done = site.korrigo("restore", site.made, "--yes", code=4)
        assert words in done.err
        assert "state: rolled back" in done.err
        assert now(site) == site.old
    assert site.rows(other) == site.old[0]
    assert os.listdir(site.home / "elsewhere") == []


@pytest.mark.promise("P10")
def test_a_backup_that_manage_py_made_of_a_neighbour_is_not_restored_here(wrecked):
    site = wrecked
    neighbour = f"{site.database}_neighbour"
    with connect(site.server) as admin:
        admin.execute(f"CREATE DATABASE {quoted(neighbour)} TEMPLATE {quoted(site.database)} OWNER {USER}")
    for database in (neighbour, site.database):
        argv = [*shlex.split(MANAGE), "backup", "--output-dir", str(site.home / "by-hand")]
        site.run(argv, env={"POSTGRES_DB": database})
    theirs, ours = sorted((site.home / "by-hand").iterdir())
    with nothing_changes(site):
        refused = site.korrigo("restore", theirs, "--yes", code=4)
    assert f"this is a backup of database {neighbour}, and this site is database {site.database}" in refused.err
    assert "add --into-other-site" in refused.err
    assert "site.other" not in {one["id"] for one in site.json("plan", ours)["findings"]}
    theirs.rename(site.backups / theirs.name)
    listed = {one["name"]: one["ours"] for one in site.json("list")["items"]}
    assert listed == {theirs.name: False, site.made.name: True}


def test_what_cannot_be_is_refused_with_the_next_step(wrecked):
    site = wrecked
    with nothing_changes(site):
        assert (
            "always makes a safety backup"
            in site.korrigo("restore", site.made, "--yes", "--no-safety-backup", code=2).err
        )
        assert "a database alone" in site.korrigo("restore", site.made, "--yes", "--in-place", code=2).err
        bare = site.korrigo("restore", site.made, "--yes", code=2, env={"KORRIGO_BACKUP_MANAGE": None})
        assert "[django] manage" in bare.err
        archive = next(site.made.glob("*.zip"))
        archive.write_bytes(archive.read_bytes()[:-7])
        assert "it is not a complete ZIP archive" in site.korrigo("restore", site.made, "--yes", code=9).err


@pytest.mark.promise("P2")
def test_a_role_without_createdb_is_rolled_back_in_place_and_sees_the_rollback_command(wrecked, plain_role):
    site = wrecked
    site.sql(f"REASSIGN OWNED BY {USER} TO {plain_role}", superuser=True)
    site.user = plain_role
    old = now(site)
    way = "korrigo-backup rollback --to safety --in-place"
    assert way in site.json("plan", site.made)["findings"][-1]["hint"]
    with healthy_until(site.home / "services") as url:
        site.toml(SERVICES.format(site.home / "services") + f'health_url = "{url}"\nhealth_timeout = 1\n')
        done = site.korrigo("restore", site.made, "--yes", code=1)
    assert "state: rolled back: the site is as it was before" in done.err
    assert now(site) == old
    assert left(site) == []
    site.toml(SERVICES.format(site.home / "services"))
    assert way in site.korrigo("restore", site.made, "--yes", "--no-validate").out
    assert now(site) == site.new
    assert way in site.korrigo("rollback", "--yes", code=4).err
    site.korrigo("rollback", "--to", "safety", "--in-place", "--yes")
    site.korrigo("rollback", "--media-only", "--yes")
    assert now(site) == old


@pytest.mark.promise("P9")
def test_a_backup_of_empty_media_is_restored_from_the_host(demo):
    shutil.rmtree(demo.media)
    demo.media.mkdir()
    demo.korrigo("backup", "full", "--method", "django", "--accept", "media.shrunk")
    done = demo.korrigo("restore", demo.one("korrigo_backup_*"), "--yes", "--no-validate", code=(0, 3))
    assert "Restored media from:" in done.out


def test_a_table_that_migrate_does_not_make_again_is_not_sent_to_migrate(wrecked):
    """Its migration is recorded, so `migrate` would do nothing; only where one is to come does it help."""
    site = wrecked
    site.sql("ALTER TABLE django_admin_log RENAME TO lost")
    done = site.korrigo("restore", site.made, "--yes", code=4).err
    assert "has no table for admin.LogEntry" in done
    assert "a backup of the database does: restore latest" in done
    site.sql("DELETE FROM django_migrations WHERE app = 'admin'")
    assert "make the tables first: python manage.py migrate" in site.korrigo("restore", site.made, "--yes", code=4).err
