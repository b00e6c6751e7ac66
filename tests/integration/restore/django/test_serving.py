"""A Django backup restored while the site serves: it is answered during the load, and nothing written is lost unnamed."""

import shlex
from contextlib import contextmanager

import pytest

from demosite import MANAGE
from sandbox import connect, until
from wreckedsite import left, now

WAITS = """
CREATE FUNCTION waits() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
  WHILE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'go_on') LOOP PERFORM pg_sleep(0.02); END LOOP;
  RETURN true; END $$;
ALTER TABLE exams_annotation ADD CONSTRAINT waits CHECK (waits());
CREATE TABLE notes (id serial PRIMARY KEY, words text);
INSERT INTO notes (words) VALUES ('first'), (E'tab\\tand \\\\. line\\n');
CREATE SEQUENCE tickets;
"""
"""Annotations wait for a role, which the databases of a server share."""


@pytest.fixture
def waiting(wrecked):
    (wrecked.home / "services").write_text("started\n")
    wrecked.sql(WAITS)
    yield wrecked
    with connect(wrecked.server) as admin:
        admin.execute("DROP ROLE IF EXISTS go_on")


@contextmanager
def loading(site):
    """The restore, waiting in the midst of its load; it goes on after the block, and its result is appended."""
    output: list[str] = []
    with site.started("restore", site.made, "--yes", "--no-validate") as child:
        until(lambda: is_waiting(site), 60)
        yield output
        until(lambda: is_waiting(site))
        assert (site.home / "services").read_text() == "started\n"
        with connect(site.server) as admin:
            admin.execute("CREATE ROLE go_on")
        out, err = child.communicate(timeout=60)
        assert child.returncode == 0, err.decode()
        output.append(out.decode())


def is_waiting(site):
    asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname LIKE %s"
    with connect(site.server) as admin:
        return admin.execute(asked, [f"{site.database}_stage_%"]).fetchone()[0]


@pytest.mark.contract("R2")
@pytest.mark.promise("P11")
def test_rows_are_read_and_written_during_the_load_and_those_that_the_backup_does_not_hold_stay(waiting):
    site = waiting
    with loading(site) as output:
        assert site.sql("SELECT DISTINCT name FROM exams_exam") == [("lost",)]
        site.sql("UPDATE exams_exam SET name = 'meanwhile'")
        site.sql("INSERT INTO notes (words) VALUES ('meanwhile')")
        site.sql("INSERT INTO django_session VALUES ('key', 'data', now())")
        site.sql("SELECT nextval('tickets')")
        written = site.rows()
    assert "Copied again, as rows were written meanwhile: public.django_session, public.notes" in output[0]
    assert {name: rows for name, rows in site.rows().items() if name not in {"notes", "django_session"}} == {
        name: rows for name, rows in site.new[0].items() if name != "django_session"
    }
    assert [site.rows()[name] for name in ("notes", "django_session")] == [
        written[name] for name in ("notes", "django_session")
    ]
    assert site.sql("SELECT nextval('tickets'), nextval('notes_id_seq')") == [(2, 4)]
    assert site.tree() == site.new[1]
    assert left(site) == []
    site.korrigo("rollback", "--yes")
    assert site.rows() == written
    assert site.tree() == site.old[1]
    assert "Copied again" not in site.korrigo("rollback", "--to", "after", "--yes").out
    assert site.tree() == site.new[1]


@pytest.mark.contract("R7")
def test_rows_that_others_depend_on_make_the_restore_go_on_in_place(waiting):
    site = waiting
    site.sql("CREATE TABLE remarks (note int REFERENCES notes); INSERT INTO remarks VALUES (1)")
    with loading(site) as output:
        site.sql("INSERT INTO notes (words) VALUES ('meanwhile')")
        written = site.rows()
    assert "Restoring in place: rows of public.notes have changed since the copy" in output[0]
    assert "to go back to the data of before: korrigo-backup rollback" in output[0]
    assert site.rows() == site.new[0] | {name: written[name] for name in ("notes", "remarks")}
    assert site.tree() == site.new[1]
    assert left(site) == []
    assert site.journal()[-1]["verb"] == "restore by Django"
    assert "Loading the data of before" in site.korrigo("rollback", "--yes").out
    assert site.rows() == written
    assert site.tree() == site.old[1]


NO_ENTRANCE = """
from korrigo_backup.djangoapp.transaction import snapshot

lead_to = snapshot.lead_to
snapshot.lead_to = lambda alias, name: lead_to(alias, "not_admitted")
"""
NO_COPY = """
CREATE FUNCTION only_here() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
  IF current_database() ~ '_stage_' THEN RAISE 'not in a copy'; END IF; RETURN true; END $$;
CREATE TABLE notes (words text CHECK (only_here()));
INSERT INTO notes VALUES ('first')
"""


@pytest.mark.promise("P2")
@pytest.mark.parametrize(
    ("settings", "sql", "reason"),
    [
        (NO_ENTRANCE, "", "the copy of the live database cannot be used"),
        ("", NO_COPY, "the live database cannot be copied"),
    ],
)
def test_where_no_copy_can_be_made_or_entered_the_backup_is_restored_in_place(wrecked, settings, sql, reason):
    site = wrecked
    site.settings(settings)
    if sql:
        site.sql(sql)
    old = now(site)
    done = site.korrigo("restore", site.made, "--yes", "--no-validate")
    assert f"Restoring in place: {reason}" in done.out
    assert "⚠️" in done.out.partition("Restore completed")[2]
    assert {name: rows for name, rows in site.rows().items() if name != "notes"} == site.new[0]
    assert site.tree() == site.new[1]
    assert left(site) == []
    site.settings("")
    if not sql:
        site.korrigo("rollback", "--yes")
        assert now(site) == old


def test_only_a_host_points_manage_py_to_a_copy(demo):
    done = demo.run([*shlex.split(MANAGE), "restore", "somewhere", "--into", "other"], env=demo.env, code=2)
    assert "--into is for korrigo-backup restore" in done.err
