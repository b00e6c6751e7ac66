"""A drill on a staging server: the loaded database stays there until the next drill, and replaces only its own."""

import pytest

from sandbox import USER, USER_PASSWORD, connect, nothing_changes, quoted

WRONG = {"KORRIGO_BACKUP_STAGING_PASSWORD": "wrong"}


@pytest.fixture
def staged(site):
    """A site whose staging database is another one of the test's server."""
    access = site.server.access()
    (site.home / "korrigo-backup.env").write_text(
        f"KORRIGO_BACKUP_STAGING_HOST={access.host}\nKORRIGO_BACKUP_STAGING_PORT={access.port}\n"
        f"KORRIGO_BACKUP_STAGING_DB={site.database}_staging\nKORRIGO_BACKUP_STAGING_USER={USER}\n"
        f"KORRIGO_BACKUP_STAGING_PASSWORD={USER_PASSWORD}\n"
    )
    (site.home / "korrigo-backup.env").chmod(0o600)
    site.staging = f"{site.database}_staging"
    return site


def exams(site):
    with connect(site.server, site.staging) as staging:
        return staging.execute("SELECT count(*) FROM exam").fetchone()[0]


@pytest.mark.contract("D2")
def test_a_backup_is_restored_into_staging_and_replaces_the_database_of_the_drill_before(staged):
    staged.sql("CREATE TABLE auth_user (id int); INSERT INTO auth_user VALUES (1), (2)")
    staged.korrigo("backup", "full")
    done = staged.korrigo("drill", "--place", "staging")
    assert f"kept as database {staged.staging}" in done.out
    assert "   - Users: 2" in done.out
    assert exams(staged) == 20
    staged.sql("INSERT INTO exam (name) VALUES ('one more')")
    staged.backup()
    with connect(staged.server, staged.staging):  # a superuser's session, which this role cannot end
        refused = staged.korrigo("drill", "--place", "staging", code=4)
    assert f"cannot replace database {staged.staging}" in refused.err
    with connect(staged.server, staged.staging, USER, USER_PASSWORD):  # as the staging site's own are
        staged.korrigo("drill", "--place", "staging")
    assert exams(staged) == 21
    assert {name for name in staged.databases() if "stag" in name} == {staged.staging}
    assert not (staged.backups / ".drill-files").exists()


@pytest.mark.promise("P10")
def test_a_database_that_no_drill_of_this_site_made_is_not_replaced(staged):
    staged.backup()
    with connect(staged.server) as admin:
        admin.execute(f"CREATE DATABASE {quoted(staged.staging)} OWNER {USER}")
    refused = staged.json("drill", "--place", "staging", code=4)
    assert refused["verdict"] == "error"
    assert "was not made by a drill of korrigo production" in refused["message"]
    assert staged.staging in staged.databases()
    with connect(staged.server) as admin:
        admin.execute(f"DROP DATABASE {quoted(staged.staging)}")
    staged.korrigo("drill", "--place", "staging")
    other = {"KORRIGO_BACKUP_SITE": "another", "BACKUP_DIR": str(staged.home / "others")}
    staged.korrigo("backup", "db", env=other)
    assert "was not made by a drill of another" in staged.korrigo("drill", "--place", "staging", env=other, code=4).err


@pytest.mark.promise("P4")
def test_the_live_database_is_never_the_staging_database(staged):
    staged.backup()
    with nothing_changes(staged):
        same = staged.korrigo("drill", "--place", "staging", env={"KORRIGO_BACKUP_STAGING_DB": staged.database}, code=2)
        by_another_name = {"KORRIGO_BACKUP_STAGING_DB": staged.database, "KORRIGO_BACKUP_STAGING_PORT": "05432"}
        staged.korrigo("drill", "--place", "staging", env=by_another_name, code=(2, 4))
    assert "is the live database" in same.err


def test_without_a_staging_server_or_its_password_the_place_is_named(site, staged):
    staged.backup()
    refused = staged.korrigo("drill", "--place", "staging", env=WRONG, code=8)
    assert "password authentication failed" in refused.err
    assert "check KORRIGO_BACKUP_STAGING_USER and KORRIGO_BACKUP_STAGING_PASSWORD" in refused.err
    assert "wrong" not in refused.err.replace("wrong password", "")
    (staged.home / "korrigo-backup.env").unlink()
    before = (staged.backups / ".journal.jsonl").read_bytes()
    assert "[staging]" in staged.korrigo("drill", "--place", "staging", code=2).err
    assert (staged.backups / ".journal.jsonl").read_bytes() == before


@pytest.mark.contract("D2")
def test_the_script_of_the_runbook_restores_into_staging(staged):
    made = staged.backup()
    lines = staged.script("test_restore_staging.sh", made).out.splitlines()
    assert lines[0] == "=== TEST RESTORE STAGING ==="
    assert lines[1] == f"1. Backup source: {made}"
    assert "   - Tables: 4" in lines
    assert lines[-1] == "✅ RESTORE TEST PASSED"
    made.write_bytes(made.read_bytes()[:-9])
    failed = staged.script("test_restore_staging.sh", made, code=1)
    assert "❌ Restore validation failed" in failed.out
    assert "PASSED" not in failed.out
    assert exams(staged) == 20
