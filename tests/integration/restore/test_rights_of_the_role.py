"""A role without the usual rights: it does what it can, and is told what it cannot before that is needed."""

import psycopg
import pytest

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.errors import Locked, Unreachable
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.dump import load_in_place as sql_inplace
from korrigo_backup.postgres.fence import held
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.restore.django.way_back import may_stage
from korrigo_backup.restore.restore import RestoreOptions, restore
from sandbox import nothing_changes


@pytest.fixture
def shut(site):
    """The site, whose role may not enter the database `postgres`."""
    site.sql("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC", "postgres", superuser=True)
    yield site
    site.sql("GRANT CONNECT ON DATABASE postgres TO PUBLIC", "postgres", superuser=True)


@pytest.mark.promise("P1")
def test_a_backup_and_a_restore_in_place_need_no_other_database(shut):
    made, wanted = shut.backup(), shut.rows()
    shut.wreck()
    shut.korrigo("restore", made, "--in-place", "--yes", "--no-validate")
    assert shut.rows() == wanted
    shut.korrigo("rollback", "--to", "safety", "--in-place", "--yes", code=(0, 3))
    assert shut.rows() != wanted
    assert shut.json("status")["verified"]


def test_sessions_of_the_site_are_ended_for_a_restore_in_place(shut):
    made = shut.backup()
    with shut.connect() as other:
        other.execute("SELECT 1")
        shut.korrigo("restore", made, "--in-place", "--yes", "--no-validate")
        with pytest.raises(Exception, match="terminat"):
            other.execute("SELECT 1")


@pytest.mark.promise("P1")
def test_a_staged_restore_is_refused_with_hints_if_the_role_cannot_enter_postgres(shut):
    made = shut.backup()
    with nothing_changes(shut):
        refused = shut.korrigo("restore", made, "--yes", code=4)
    assert "cannot enter database postgres" in refused.err
    assert "--in-place" in refused.err
    assert "GRANT CONNECT" in refused.err
    doctor = {one["id"]: one for one in shut.json("doctor", code=(0, 10))["findings"]}
    assert doctor["database.maintenance"]["level"] == "warning"


@pytest.mark.promise("P2")
def test_a_restore_in_place_locks_tables_against_writes_after_the_safety_backup(shut, monkeypatch):
    """Nobody can be kept out of the one database that the role may enter, so its tables are locked."""
    made, tried = shut.backup(), []
    unchanged = sql_inplace._require_unchanged

    def then_write(taken, present):
        unchanged(taken, present)
        with pytest.raises(psycopg.errors.LockNotAvailable):
            shut.sql("SET lock_timeout = '100ms'; INSERT INTO exam (name) VALUES ('paid just now')")
        tried.append(True)

    monkeypatch.setattr(sql_inplace, "_require_unchanged", then_write)
    wired = shut.wired()
    options, artifact = RestoreOptions(in_place=True), wired.catalog.find(str(made))
    restore(wired.site(), wired.catalog, artifact, options, now=local_now(), confirm=lambda _: {})
    assert tried


@pytest.mark.promise("P10")
def test_a_run_of_another_role_that_locks_elsewhere_is_seen(shut):
    ours = shut.wired().site().postgres
    shut.superuser = True
    administrators = shut.wired().site().postgres
    with held(administrators, "a restore"), pytest.raises(Locked), held(ours, "the nightly backup"):
        pass
    with held(ours, "a drill"), pytest.raises(Locked), held(administrators, "a backup"):
        pass


@pytest.mark.promise("P2")
def test_a_server_that_is_away_for_a_moment_does_not_move_a_run_to_another_database(site, monkeypatch):
    with held(site.wired().site().postgres, "a restore") as server:
        answered, away = server.script, [True]

        def script(sql, **options):
            if options.get("database") == server.maintenance and away:
                away.pop()
                raise Unreachable("the database system is starting up", hint="wait")
            return answered(sql, **options)

        monkeypatch.setattr(server, "script", script)
        with pytest.raises(Unreachable):
            Databases(server).names()
        assert server.common == server.maintenance
        assert site.database in Databases(server).names()


def test_a_rollback_by_renames_is_refused_before_the_services_stop(make_site):
    site = make_site()
    site.restore(site.backup())
    site.sql("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC", "postgres", superuser=True)
    try:
        with nothing_changes(site):
            refused = site.korrigo("rollback", "--yes", code=4)
    finally:
        site.sql("GRANT CONNECT ON DATABASE postgres TO PUBLIC", "postgres", superuser=True)
    assert "cannot enter database postgres" in refused.err


def test_a_backup_of_such_a_role_is_drilled(shut):
    shut.backup()
    shut.korrigo("verify", "latest", "--depth", "full")


def test_two_runs_of_such_a_role_do_not_work_at_once(shut):
    with held(shut.wired().site().postgres, "a long backup"):
        refused = shut.korrigo("backup", "db", code=7)
    assert "a long backup" in refused.err


@pytest.mark.promise("P1")
def test_each_backup_warns_that_a_role_without_the_owners_rights_cannot_restore(site):
    site.sql(f'ALTER DATABASE "{site.database}" OWNER TO postgres', superuser=True)
    output = site.korrigo("backup", "db").out
    assert f"this role cannot restore database {site.database}, which belongs to postgres" in output
    night = site.korrigo("nightly", code=(0, 3)).out
    assert "this role cannot restore database" in night
    doctor = {one["id"]: one for one in site.json("doctor", code=(0, 10))["findings"]}
    assert doctor["database.owner"]["level"] == "error"
    assert "a restore has no place" not in doctor["role.createdb"]["message"]


def test_a_backup_by_a_role_with_the_owners_rights_prints_no_warning(site):
    assert "cannot restore" not in site.korrigo("backup", "db").out


def test_the_way_back_of_a_restore_by_django_is_in_place_for_such_a_role(shut):
    """It may make databases, and cannot exchange them."""
    wired = shut.wired()
    with exclusive(wired.site(), wired.catalog, "look") as (held_site, _):
        assert not may_stage(held_site)
