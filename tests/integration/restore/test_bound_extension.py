"""pg_cron can stand in one database of a server alone: a restore makes it in the live one, right after the swap."""

import json
import os
import signal
from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

import steps
from korrigo_backup.core.finding import Level
from korrigo_backup.postgres import throwaway
from korrigo_backup.postgres.difference import Acceptance
from korrigo_backup.postgres.throwaway import ThrowawayServer
from korrigo_backup.recovery.django import DJANGO
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.restore import needs, parts
from korrigo_backup.restore.django.way_back import may_stage, take_back_loaded
from korrigo_backup.restore.parts import RestoreContext, open_part
from korrigo_backup.run import journal
from korrigo_backup.run.record import Outcome, Record
from korrigo_backup.run.step import silent
from sandbox import USER, USER_PASSWORD, Sandbox, connect
from servers import bindir

NAME = "viatique_cron"
JOBS = """
SET ROLE head; CREATE EXTENSION pg_cron; RESET ROLE; CREATE ROLE teacher; GRANT USAGE ON SCHEMA cron TO teacher;
SELECT cron.schedule('clean', '0 3 * * *', 'DELETE FROM exam'); SELECT cron.schedule('late', '0 4 * * *', 'SELECT 1');
SELECT cron.unschedule('late'); COMMENT ON EXTENSION pg_cron IS 'marks at night'
"""
SEEN = """
SELECT (SELECT string_agg(jobname, ' ') FROM cron.job), (SELECT last_value FROM cron.jobid_seq),
       has_schema_privilege('teacher', 'cron', 'USAGE'),
       (SELECT obj_description(oid, 'pg_extension') FROM pg_extension WHERE extname = 'pg_cron')
"""

COMMENT = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = current_database()"


@pytest.fixture(scope="module")
def server():
    share = bindir().parents[3] / "share" / "postgresql" / bindir().parent.name / "extension"
    if not (share / "pg_cron.control").exists():
        pytest.skip(f"there is no pg_cron in {share} (Debian: postgresql-15-cron)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(throwaway._SETTINGS, "shared_preload_libraries", "pg_cron")
        patch.setitem(throwaway._SETTINGS, "cron.database_name", NAME)
        patch.setitem(throwaway._SETTINGS, "cron.launch_active_jobs", "off")
        with ThrowawayServer(bindir()) as running:
            with connect(running) as admin:
                admin.execute("CREATE ROLE head SUPERUSER")
                admin.execute(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{USER_PASSWORD}'")
            yield running


@pytest.fixture
def site(server, tmp_path):
    made = Sandbox(server, NAME, tmp_path / "site")
    made.superuser = True
    with connect(server) as admin:
        for (left,) in admin.execute("SELECT datname FROM pg_database WHERE datname LIKE 'viatique%'").fetchall():
            admin.execute(f"DROP DATABASE {left} WITH (FORCE)")
        admin.execute("DROP ROLE IF EXISTS teacher")
    made.create("CREATE TABLE exam (id serial PRIMARY KEY, name text); INSERT INTO exam (name) VALUES ('one')")
    made.sql(JOBS, superuser=True)
    return made


@pytest.mark.promise("P1")
def test_its_jobs_and_rights_come_back_and_a_rollback_keeps_those_of_the_replaced_database(site):
    seen = site.sql(SEEN, superuser=True)
    assert seen == [("clean", 2, True, "marks at night")]
    site.sql(f"COMMENT ON DATABASE {NAME} IS 'of the school'", superuser=True)
    site.backup()
    drilled = site.korrigo("verify", "latest", "--depth", "full")
    assert "leaves out the extension pg_cron" in drilled.out
    site.sql("SELECT cron.schedule('other', '0 5 * * *', 'SELECT 2'); DELETE FROM exam", superuser=True)
    replaced = site.sql(SEEN, superuser=True)
    assert "right after the swap" in site.korrigo("plan", "latest").out
    site.korrigo("restore", "latest", "--yes")
    assert site.sql(SEEN, superuser=True) == seen
    assert site.sql(COMMENT, superuser=True) == [("of the school",)]
    assert site.sql("SELECT name FROM exam", superuser=True) == [("one",)]
    site.korrigo("rollback", "--yes")
    assert site.sql(SEEN, superuser=True) == replaced
    made = site.backup()
    site.korrigo("restore", made, "--in-place", "--yes")
    assert site.sql(SEEN, superuser=True) == replaced


@pytest.mark.promise("P1")
@pytest.mark.promise("P2")
def test_rows_that_do_not_come_back_take_the_swap_back(site):
    """What is made after the swap is proven, too: here a trigger of the site keeps the jobs out."""
    site.backup()
    site.sql(
        "CREATE FUNCTION public.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        " CREATE FUNCTION public.spoil() RETURNS event_trigger LANGUAGE plpgsql AS"
        " $$ BEGIN IF tg_tag = 'CREATE EXTENSION' THEN EXECUTE 'CREATE TRIGGER r BEFORE INSERT ON cron.job FOR EACH ROW EXECUTE FUNCTION public.nothing()';"
        " END IF; END $$; CREATE EVENT TRIGGER spoil ON ddl_command_end EXECUTE FUNCTION public.spoil()",
        superuser=True,
    )
    spoiled = site.backup()
    site.sql("DELETE FROM exam; DROP EVENT TRIGGER spoil", superuser=True)
    before = site.sql(SEEN, superuser=True)
    failed = site.korrigo("restore", spoiled, "--yes", code=(1, 9))
    assert "rolled back: the site is as it was before" in failed.err
    assert site.sql(SEEN, superuser=True) == before
    assert site.sql("SELECT count(*) FROM exam", superuser=True) == [(0,)]


@pytest.mark.promise("P1")
def test_where_it_cannot_stand_the_way_is_named_and_the_loss_is_accepted_by_name(site, server):
    made = site.backup()
    with connect(server) as admin:
        admin.execute("DROP DATABASE IF EXISTS viatique_without WITH (FORCE)")
        admin.execute("CREATE DATABASE viatique_without")
    elsewhere = {"env": {"POSTGRES_DB": "viatique_without"}}
    refused = site.korrigo("plan", made, "--into-other-site", code=4, **elsewhere)
    assert f"the extension pg_cron can stand in database {NAME} alone" in refused.out
    assert "--accept extension:pg_cron" in refused.out
    accepted = ("--into-other-site", "--accept", "extension:pg_cron")
    done = site.korrigo("restore", made, "--yes", *accepted, code=3, **elsewhere)
    assert "the extension pg_cron and its rows are left out" in done.output
    assert site.sql("SELECT name FROM exam", "viatique_without", superuser=True) == [("one",)]


@pytest.mark.promise("P2")
@pytest.mark.contract("R7")
@pytest.mark.parametrize("from_nothing", [False, True], ids=["over-a-database", "from-nothing"])
def test_a_restore_that_is_killed_before_its_jobs_are_made_is_taken_back(site, server, monkeypatch, from_nothing):
    """The swap is one transaction and the jobs are another: without them the new database does not stay."""
    site.sql(f"COMMENT ON DATABASE {NAME} IS 'of the school'", superuser=True)
    made = site.backup()
    site.sql("DELETE FROM exam; SELECT cron.unschedule('clean')", superuser=True)
    before = site.sql(SEEN, superuser=True)
    if from_nothing:
        with connect(server) as admin:
            admin.execute(f"DROP DATABASE {NAME} WITH (FORCE)")
    with monkeypatch.context() as patch:
        patch.setattr(parts, "make", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
        assert steps.run(site, "restore", made, "--yes").killed
    assert site.sql("SELECT name FROM exam", superuser=True) == [("one",)], "it was killed before the swap"
    taken_back = site.korrigo("rollback", "--yes")
    assert "The interrupted restore is undone" in taken_back.out
    if from_nothing:
        assert not site.databases()
        site.korrigo("restore", made, "--yes")
        assert site.sql("SELECT string_agg(jobname, ' ') FROM cron.job", superuser=True) == [("clean",)]
    else:
        assert site.databases() == {NAME}
        assert site.sql(SEEN, superuser=True) == before
        assert site.sql("SELECT count(*) FROM exam", superuser=True) == [(0,)]
    assert site.sql(COMMENT, superuser=True) == [("of the school",)]


@pytest.mark.promise("P1")
def test_a_server_without_its_package_does_without_it(site, monkeypatch):
    """What is left out is not asked of the server either; a drill leaves it out by itself."""
    made = site.backup()
    bare = needs._SERVER.replace("pg_available_extensions)", "pg_available_extensions WHERE name <> 'pg_cron')", 1)
    assert bare != needs._SERVER
    monkeypatch.setattr(needs, "_SERVER", bare)
    wired = site.wired()
    artifact = wired.catalog.find(str(made))

    def errors(*accepted, rehearsal=False):
        context = RestoreContext(
            wired.site(), artifact.stamp, silent, trusted=True, accept=Acceptance(frozenset(accepted))
        )
        with open_part(artifact, context, rehearsal=rehearsal) as part:
            return [one.id for one in part.plan.findings if one.level is Level.ERROR]

    assert errors() == ["extensions.missing"]
    assert errors("extension:pg_cron") == []
    assert errors(rehearsal=True) == []


@pytest.mark.promise("P1")
@pytest.mark.contract("R7")
def test_the_way_back_of_a_restore_by_django_is_in_place_and_keeps_its_jobs(site):
    """A database that is loaded beside, as others are, would be without them."""
    made, seen = site.backup(), site.sql(SEEN, superuser=True)
    site.sql("DELETE FROM exam", superuser=True)
    wired = site.wired()
    safety = wired.catalog.find(str(made))
    with exclusive(wired.site(), wired.catalog, "take back") as (held, _):
        assert not may_stage(held)
        take_back_loaded(held, safety, safety.stamp, silent)
        ran = Record(id="x", verb=DJANGO, subject="x", site=held.name, by="x", started=datetime.now(UTC))
        journal.decided(site.backups, held, replace(ran, outcome=Outcome.DONE, safety=made.name))
    assert site.sql(SEEN, superuser=True) == seen
    assert site.sql("SELECT name FROM exam", superuser=True) == [("one",)]
    refused = site.korrigo("rollback", "--yes", code=4)
    assert "the extension pg_cron can stand in the live database alone" in refused.err
    assert "rollback --to safety --in-place" in refused.err
    assert site.databases() == {NAME}


@pytest.mark.promise("P4")
@pytest.mark.parametrize("manifest", [True, False], ids=["unsigned", "no-manifest"])
def test_jobs_of_a_dump_that_this_site_has_not_signed_are_never_made(site, manifest):
    """A job runs with the rights of the role that makes it, which is ours: here a superuser."""
    site.sql("SELECT cron.schedule('foreign', '0 3 * * *', 'DELETE FROM exam')", superuser=True)
    made = unsigned(site.backup(), manifest=manifest)
    site.sql("SELECT cron.unschedule('foreign')", superuser=True)
    before = site.sql(SEEN, superuser=True)
    refused = site.korrigo("restore", made, "--yes", "--allow-unsigned", code=4)
    assert "the rows of its extension pg_cron are not made" in refused.output
    assert "--accept extension:pg_cron" in refused.output
    assert site.sql(SEEN, superuser=True) == before
    accepted = ("--allow-unsigned", "--accept", "extension:pg_cron")
    done = site.korrigo("restore", made, "--yes", "--no-safety-backup", *accepted, code=3)
    assert "the extension pg_cron and its rows are left out" in done.output
    assert site.sql("SELECT name FROM exam", superuser=True) == [("one",)]
    assert site.sql("SELECT count(*) FROM pg_extension WHERE extname = 'pg_cron'", superuser=True) == [(0,)]


def unsigned(made, *, manifest):
    """Take the signature off a backup, or its manifest, so that anybody could have written it."""
    path = made.with_name(made.name + ".manifest.json")
    output = json.loads(path.read_text())
    path.write_text(json.dumps({name: value for name, value in output.items() if name != "auth"}))
    if not manifest:
        path.unlink()
    return made
