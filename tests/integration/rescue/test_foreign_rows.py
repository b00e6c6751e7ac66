"""Rows that are not of this site, or that cannot be told apart: they are never mixed with the live rows."""

from datetime import datetime

import pytest

pytestmark = pytest.mark.promise("P10")

ROWS = "CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (1, 'saved'), (2, 'kept');"


def wrecked(make_site, schema, accident):
    site = make_site(schema=schema)
    made = site.backup()
    since = datetime.now().astimezone().isoformat(sep=" ")
    site.sql(accident)
    return site, str(made), since


def ways(made):
    return (
        ("undelete", "a:1", "--from", made, "--yes"),
        ("revert", "--table", "a", "--from", made, "--yes"),
        ("restore", made, "--table", "a", "--yes"),
    )


@pytest.mark.parametrize("setting", ['name = "other"', 'environment = "staging"'])
def test_rows_of_another_site_or_environment_are_refused(make_site, setting):
    site, made, _ = wrecked(make_site, ROWS, "DELETE FROM a WHERE id = 1; UPDATE a SET v = 'now'")
    (site.home / "korrigo-backup.toml").write_text(f"[site]\n{setting}\n")
    for way in ways(made):
        assert "this is a backup of korrigo production" in site.korrigo(*way, code=4).err
    assert site.sql("SELECT * FROM a") == [(2, "now")]


def test_files_of_another_environment_are_refused(make_site):
    site = make_site(schema=ROWS)
    site.write("scans/1.pdf", b"saved")
    made = site.backup_media()
    (site.media / "scans/1.pdf").unlink()
    (site.home / "korrigo-backup.toml").write_text('[site]\nenvironment = "staging"\n')
    site.korrigo("restore", "--file", "scans/1.pdf", str(made), "--yes", code=4)
    assert not (site.media / "scans/1.pdf").exists()


def test_rows_of_another_database_are_refused_although_unsigned_backups_are_allowed(make_site):
    site, made, _ = wrecked(make_site, ROWS, "")
    other = make_site(schema="CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a VALUES (2, 'theirs');")
    other.backup()
    for way in ways(made):
        assert "this is a backup of database" in other.korrigo(*way, "--allow-unsigned", code=4).err
    assert other.sql("SELECT * FROM a") == [(2, "theirs")]
    assert site.sql("SELECT count(*) FROM a") == [(2,)]


def test_an_undelete_is_not_undone_in_another_database(make_site):
    site, _, _ = wrecked(make_site, ROWS, "DELETE FROM a WHERE id = 1")
    site.korrigo("undelete", "a:1", "--yes")
    other = make_site(schema=ROWS)
    refused = site.korrigo("rollback", "--yes", env={"POSTGRES_DB": other.database}, code=4)
    assert f"was made in database {site.database}" in refused.err
    assert other.sql("SELECT count(*) FROM a") == [(2,)]
    site.korrigo("rollback", "--yes")
    assert site.sql("SELECT id FROM a") == [(2,)]


def test_an_undelete_is_undone_after_the_time_zone_of_the_database_has_changed(make_site):
    schema = "CREATE TABLE a (id int PRIMARY KEY, at timestamptz); INSERT INTO a VALUES (1, now()), (2, now());"
    site, _, _ = wrecked(make_site, schema, "DELETE FROM a WHERE id = 1")
    site.korrigo("undelete", "a:1", "--yes")
    site.sql(f"ALTER DATABASE \"{site.database}\" SET timezone = 'Asia/Tokyo'")
    site.korrigo("rollback", "--yes")
    assert site.sql("SELECT id FROM a") == [(2,)]


def test_a_changed_row_of_a_table_without_a_key_is_no_deleted_row(make_site):
    schema = ROWS + "CREATE TABLE counter (name text, n int); INSERT INTO counter VALUES ('a', 1), ('b', 1);"
    site, _, since = wrecked(make_site, schema, "UPDATE counter SET n = 2 WHERE name = 'a'; DELETE FROM a")
    done = site.korrigo("undelete", "--since", since, "--yes")
    assert "without a key in the backup a changed row looks like a deleted row: public.counter" in done.output
    assert site.sql("SELECT * FROM counter ORDER BY name") == [("a", 2), ("b", 1)]
    assert site.sql("SELECT count(*) FROM a") == [(2,)]


def test_a_key_that_the_backup_does_not_have_is_named_and_no_row_is_doubled(make_site):
    accident = "ALTER TABLE a RENAME id TO nr; UPDATE a SET v = 'NEW' WHERE nr = 1; DELETE FROM a WHERE nr = 2"
    site, _, since = wrecked(make_site, ROWS, accident)
    assert "the key of public.a is nr" in site.korrigo("undelete", "--table", "a", "--yes", code=4).err
    site.korrigo("undelete", "--since", since, "--yes", code=6)
    assert site.sql("SELECT * FROM a") == [(1, "NEW")]


def test_a_migration_that_was_taken_back_stays_taken_back(make_site):
    schema = ROWS + (
        "CREATE TABLE django_migrations (id int PRIMARY KEY, app text, name text, applied timestamptz);"
        "INSERT INTO django_migrations VALUES (1, 'a', '0001', now()), (2, 'a', '0002', now());"
    )
    site, _, since = wrecked(make_site, schema, "DELETE FROM django_migrations WHERE id = 2; DELETE FROM a")
    assert "a migration was taken back since" in site.korrigo("undelete", "--since", since, "--yes").output
    assert site.sql("SELECT id FROM django_migrations") == [(1,)]
    assert site.sql("SELECT count(*) FROM a") == [(2,)]


@pytest.mark.promise("P11")
def test_values_of_a_dropped_column_are_named_by_each_way_back(make_site):
    site, made, _ = wrecked(make_site, ROWS, "ALTER TABLE a DROP v")
    lost = "the live table public.a has no such column any more, so its values stay in the backup: v: 2 values"
    for way in ways(made)[1:]:
        assert lost in site.korrigo(*way, code=4).err
    site.sql("DELETE FROM a WHERE id = 1")
    assert lost.replace("2 values", "1 value") in site.korrigo("undelete", "a:1", "--yes").output
    assert site.sql("SELECT count(*) FROM a") == [(2,)]
