"""Restoring the database."""

import re

import pytest

from sandbox import connect, nothing_changes, quoted

QUESTION = "⚠️  DESTRUCTIVE OPERATION - This will DELETE all current data. Continue? (yes/no): "
STEPS = [
    "🔍 Verifying backup integrity...",
    QUESTION,
    "🆕 Creating fresh database...",
    "📥 Restoring from ",
    "🛑 Stopping backend...",
    "🔌 Terminating database connections...",
    "🚀 Starting backend...",
    "💾 Creating safety backup of current state...",
    "✅ Restore completed successfully",
    "📊 Verification recommended - check database contents",
]


@pytest.mark.contract("R1")
@pytest.mark.promise("P1")
def test_after_the_script_the_database_is_as_it_was_saved(site):
    before = site.content()
    made = site.backup()
    site.wreck()
    done = site.script("restore_db.sh", made, stdin="yes\n")
    assert site.content() == before
    assert "✅ Proven: 4 tables, 620 rows, all as they were saved" in done.out


@pytest.mark.contract("R1")
def test_the_script_prints_the_steps_of_the_runbook_in_order(site):
    done = site.script("restore_db.sh", site.backup(), stdin="yes\n")
    places = [done.out.find(step) for step in STEPS]
    assert -1 not in places, done.out
    assert places == sorted(places)


@pytest.mark.contract("R1")
@pytest.mark.parametrize("answer", ["no\n", "y\n", "YES\n", "yes please\n", " yes\n", "\n", ""])
def test_anything_but_yes_cancels_and_changes_nothing(site, answer):
    made = site.backup()
    with nothing_changes(site):
        done = site.script("restore_db.sh", made, stdin=answer)
    assert "❌ Restore cancelled" in done.out
    assert "completed" not in done.out


@pytest.mark.contract("R1")
def test_the_verb_itself_ends_with_5_when_it_is_cancelled(site):
    done = site.korrigo("restore", site.backup(), stdin="no\n", code=5)
    assert done.err.startswith("Restore cancelled\nhint: ")  # the decision of the operator is no error
    assert "state: nothing was changed" in done.err


@pytest.mark.contract("R1")
@pytest.mark.parametrize("script", ["restore_db.sh", "validate_backup.sh"])
def test_a_script_without_its_argument_prints_its_usage(site, script):
    assert "Usage:" in site.script(script, code=1).out


@pytest.mark.contract("T2")
def test_a_restore_keeps_the_previous_data_in_a_database_and_in_a_safety_backup(site):
    made = site.backup()
    site.wreck()
    wrecked = site.content()
    site.korrigo("restore", made, "--yes")
    (previous,) = site.previous_databases()
    assert re.fullmatch(site.database + r"_before_\d{8}_\d{6}", previous)
    assert site.content(previous) == wrecked
    safety = site.one("pre_restore_safety_backup_*.sql.gz")
    site.restore(safety)
    assert site.content() == wrecked


def test_without_a_safety_backup_none_is_made(site):
    made = site.backup()
    site.korrigo("restore", made, "--yes", "--no-safety-backup")
    assert not list(site.backups.glob("pre_restore_*"))
    assert len(site.previous_databases()) == 1


def test_latest_never_selects_a_safety_backup(site):
    made = site.backup()
    site.restore(made, safety_backup=True)
    assert site.json("show", "latest")["path"] == str(made)
    assert (site.backups / "db_backup_latest.sql.gz").resolve() == made.resolve()


def test_two_restores_in_one_minute_keep_both_former_states(site):
    made = site.backup()
    site.sql("UPDATE exam SET name = 'first ' || id")
    site.restore(made)
    site.sql("UPDATE exam SET name = 'second ' || id")
    site.restore(made)
    states = [site.sql("SELECT name FROM exam WHERE id = 1", previous) for previous in site.previous_databases()]
    assert states == [[("first 1",)], [("second 1",)]]


def test_a_database_that_was_dropped_is_made_anew(site):
    before = site.content()
    made = site.backup()
    with connect(site.server) as connection:
        connection.execute(f"DROP DATABASE {quoted(site.database)}")
    done = site.korrigo("restore", made, "--yes")
    assert f"database {site.database} does not exist: the restore creates it" in done.out
    assert site.content() == before
    assert site.databases() == {site.database}


def test_sessions_of_the_site_are_ended_by_the_swap_and_can_come_back(site):
    made = site.backup()
    with site.connect() as working:
        working.execute("INSERT INTO exam (name) VALUES ('while it is restored')")
        site.restore(made)
        assert working.closed or _is_cut(working)
    assert site.sql("SELECT count(*) FROM exam") == [(20,)]


def _is_cut(connection):
    try:
        connection.execute("SELECT 1")
    except Exception:  # noqa: BLE001 - whatever the driver calls it
        return True
    return False


SUPERUSER_ONLY = ("ALTER DATABASE {} SET app.motto TO 'it''s = \\ here'", "ALTER DATABASE {} SET log_duration TO on")


@pytest.mark.parametrize("superuser", [False, True])
def test_what_belongs_to_the_database_and_not_to_the_dump_is_carried_over(site, superuser):
    name = quoted(site.database)
    password = site.server.password.reveal()
    env = {"POSTGRES_USER": "postgres", "POSTGRES_PASSWORD": password} if superuser else {}
    with connect(site.server) as admin:
        admin.execute("DO $$ BEGIN CREATE ROLE report_reader LOGIN; EXCEPTION WHEN duplicate_object THEN END $$")
        for line in (
            f'ALTER DATABASE {name} SET search_path TO "$user", public, pg_catalog',
            f"ALTER DATABASE {name} SET statement_timeout TO '30s'",
            f"ALTER ROLE viatique_user IN DATABASE {name} SET work_mem TO '7MB'",
            f"ALTER DATABASE {name} CONNECTION LIMIT 42",
            f"COMMENT ON DATABASE {name} IS 'Korrigo''s own'",
            f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC",
            f"GRANT CONNECT, TEMPORARY ON DATABASE {name} TO report_reader WITH GRANT OPTION",
            *([line.format(name) for line in SUPERUSER_ONLY] if superuser else []),
        ):
            admin.execute(line)
    before = _carried(site)
    site.korrigo("restore", site.backup(), "--yes", "--no-safety-backup", env=env)
    assert _carried(site) == before
    assert before["settings"][0][1][0] == 'search_path="$user", public, pg_catalog'


def test_a_setting_that_only_a_superuser_may_make_is_kept_by_a_restore_in_place(site):
    with connect(site.server) as admin:
        admin.execute(f"ALTER DATABASE {quoted(site.database)} SET app.motto TO 'ours'")
    made, carried, content = site.backup(), _carried(site), site.content()
    site.wreck()
    done = site.korrigo("restore", made, "--yes")
    assert "app.motto" in done.out
    assert "keeps     no database: only a safety backup" in done.out
    assert site.content() == content
    assert _carried(site) == carried
    assert site.previous_databases() == []


def test_a_table_that_the_role_may_not_read_stands_in_no_way(site):
    made, content = site.backup(), site.content()
    site.sql("CREATE TABLE public.private (id int)", superuser=True)
    planned = site.korrigo("plan", made)
    assert "cannot be read to its end: psql: permission denied for table private" in planned.out
    done = site.korrigo("restore", made, "--yes", code=3)
    assert "the safety backup failed" in done.err
    assert site.content() == content
    assert site.sql("SELECT count(*) FROM private", site.previous_databases()[0], superuser=True) == [(0,)]


def _carried(site):
    where = f"WHERE d.datname = '{site.database}'"
    with connect(site.server) as admin:
        return {
            "properties": admin.execute(
                "SELECT pg_get_userbyid(datdba), encoding, datcollate, datctype, datconnlimit, datallowconn,"
                f" dattablespace, shobj_description(oid, 'pg_database') FROM pg_database d {where}"
            ).fetchall(),
            "settings": admin.execute(
                "SELECT setrole::regrole::text, setconfig FROM pg_db_role_setting s"
                f" JOIN pg_database d ON d.oid = s.setdatabase {where} ORDER BY 1"
            ).fetchall(),
            "grants": admin.execute(
                f"SELECT grantor, grantee, privilege_type, is_grantable FROM pg_database d, aclexplode(datacl) {where}"
                " ORDER BY 2, 3, 4"
            ).fetchall(),
        }


def test_a_restore_by_latest_and_by_bare_name_finds_the_same_backup(site):
    made = site.backup()
    for named in ("latest", made.name, "db_backup_latest.sql.gz"):
        assert f"Plan: restore {made}" in site.korrigo("plan", named).out


def test_a_renamed_copy_without_a_manifest_is_restored_with_a_warning(site):
    made = site.backup()
    before = site.content()
    moved = site.home / "from the archive.sql.gz"
    moved.write_bytes(made.read_bytes())
    site.wreck()
    done = site.korrigo("restore", moved, "--yes", "--no-safety-backup", "--allow-unsigned")
    assert "its content cannot be proven" in done.out
    assert "⚠️ Counted: 4 tables, 620 rows" in done.out
    assert "Proven:" not in done.out
    assert site.content() == before
