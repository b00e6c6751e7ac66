"""Restore in place: no database beside, one transaction inside the live one, a safety backup before."""

import gzip
import os
import signal
from pathlib import Path

import pytest

from health_server import healthy_until
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.core.finding import error
from korrigo_backup.drill.opened import require_possible
from korrigo_backup.errors import KorrigoBackupError, Refused
from korrigo_backup.postgres.client import Session
from korrigo_backup.postgres.throwaway import ThrowawayServer
from korrigo_backup.recovery.in_place import note
from korrigo_backup.restore.django.way_back import obstacle
from korrigo_backup.restore.restore import RestoreOptions, restore
from korrigo_backup.run import journal
from korrigo_backup.run.record import Outcome
from sandbox import SCHEMA, USER_PASSWORD, connect, kill_all, nothing_changes, quoted, until
from servers import bindir
from shapes import LOSSES, OWNERS, SUPERUSERS, known, large_objects, make_roles

PLAIN = "plain_owner"


@pytest.fixture(scope="module")
def plain_role(server):
    """A role that owns its database and may make no other, as on many a shared server."""
    make_roles(server)
    with connect(server) as admin:
        admin.execute(f"CREATE ROLE {PLAIN} LOGIN NOCREATEDB PASSWORD '{USER_PASSWORD}'")


@pytest.fixture
def plain_site(make_site, plain_role):
    site = make_site(schema="")
    with connect(site.server) as admin:
        admin.execute(f"ALTER DATABASE {quoted(site.database)} OWNER TO {PLAIN}")
    site.user = PLAIN
    site.sql(SCHEMA)
    return site


def test_without_createdb_the_refusal_names_the_way(plain_site):
    made = plain_site.backup()
    done = plain_site.korrigo("restore", made, "--yes", code=4)
    assert "role plain_owner may not create databases" in done.err
    assert "--in-place" in done.err


def test_a_check_that_fails_afterwards_names_the_way_back_of_a_restore_in_place(plain_site):
    site = plain_site
    made = site.backup()
    site.media.rename(site.home / "not mounted")
    done = site.korrigo("restore", made, "--yes", "--in-place", code=3)
    assert "1 of 10 validation checks failed" in done.err
    assert "to go back: korrigo-backup rollback --to safety --in-place" in done.err
    (site.home / "not mounted").rename(site.media)
    site.korrigo("rollback", "--to", "safety", "--in-place", "--yes")


@pytest.mark.promise("P1")
def test_the_content_is_replaced_and_the_way_back_is_the_safety_backup(plain_site):
    site = plain_site
    new = site.content()
    made = site.backup()
    site.wreck()
    old = site.content()
    done = site.korrigo("restore", made, "--yes", "--in-place")
    assert "no previous copy is kept" in done.out
    assert "keeps     no database: only a safety backup, made first" in done.out
    assert site.content() == new
    assert site.databases() == {site.database}
    safety = site.one("pre_restore_safety_backup_*.sql.gz")
    assert str(safety) in done.out
    site.korrigo("rollback", "--to", "safety", "--in-place", "--yes")
    assert site.content() == old


@pytest.fixture
def own_extension(plain_site):
    """An extension that only a superuser may make, with a table whose rows are marked to be dumped."""
    ((share,),) = plain_site.sql("SELECT setting FROM pg_config WHERE name = 'SHAREDIR'", superuser=True)
    files = {
        "kb_own.control": "default_version = '1'\nrelocatable = false\nschema = public\n",
        "kb_own--1.sql": "CREATE TABLE own_srid (srid int); GRANT SELECT ON own_srid TO PUBLIC;"
        " SELECT pg_catalog.pg_extension_config_dump('own_srid', '');",
    }
    places = [Path(share, "extension", name) for name in files]
    if not os.access(places[0].parent, os.W_OK):
        pytest.skip("an extension is added to the server's own, where only root may write")
    for place, text in zip(places, files.values(), strict=True):
        place.write_text(text)
    plain_site.sql("CREATE EXTENSION kb_own; INSERT INTO own_srid VALUES (900913)", superuser=True)
    yield "kb_own"
    for place in places:
        place.unlink()


@pytest.mark.promise("P1")
def test_rows_of_an_administrator_s_extension_stay_and_are_proven(plain_site, own_extension):
    """Our role may not write into them; the server prints them into the dump, since the extension marks the table."""
    site = plain_site
    made = site.backup()
    site.sql("DELETE FROM annotation")
    for verb in (("plan", made), ("restore", made, "--yes")):
        refused = site.korrigo(*verb, code=4)
        assert "may not create databases; and role plain_owner may not create the extensions kb_own" in refused.err
        assert "--in-place" in refused.err
    site.korrigo("restore", made, "--yes", "--in-place")
    assert site.sql("SELECT count(*) FROM annotation") == [(300,)]
    assert site.sql("SELECT srid FROM public.own_srid") == [(900913,)]
    site.sql("INSERT INTO public.own_srid VALUES (2)", superuser=True)
    before = site.content()
    differs = site.korrigo("restore", made, "--yes", "--in-place", code=9)
    assert "public.own_srid has 2 rows, not 1" in differs.err
    assert site.content() == before
    accepted = site.korrigo("restore", made, "--yes", "--in-place", "--accept", "table:public.own_srid", code=3)
    assert "public.own_srid has 2 rows, not 1" in accepted.output
    assert site.sql("SELECT count(*) FROM public.own_srid") == [(2,)]


@pytest.mark.promise("P1")
def test_a_drill_uses_a_throwaway_server_if_the_role_may_not_create_databases(plain_site, own_extension):
    site = plain_site
    site.backup()
    named_from_here = {"BACKUP_DIR": os.path.relpath(site.backups, site.home)}
    done = site.korrigo("verify", "latest", "--depth", "full", env=named_from_here)
    assert "on a throw-away server of this machine, because role plain_owner may not create databases" in done.out
    assert not (site.backups / ".drill-server").exists()


def test_a_rollback_is_not_staged_if_the_role_may_not_create_an_extension(plain_site, own_extension):
    """The way back of a restore by Django is a load beside the live database, where the role may make such."""
    safety = plain_site.backup()
    with connect(plain_site.server) as admin:
        admin.execute(f"ALTER ROLE {PLAIN} CREATEDB")
    try:
        wired = plain_site.wired()
        for known_by in (None, wired.catalog.find(str(safety))):
            assert obstacle(wired.site(), known_by) == "this role may not create the extensions kb_own in a staged copy"
    finally:
        with connect(plain_site.server) as admin:
            admin.execute(f"ALTER ROLE {PLAIN} NOCREATEDB")


def test_the_server_of_a_killed_drill_is_named_by_doctor_and_removed_by_the_next_run(plain_site):
    site = plain_site
    site.backup()
    home = site.backups / ".drill-server"
    place = ThrowawayServer(bindir(), home=home)
    place.__enter__()
    pid = int((home / "data" / "postmaster.pid").read_text().split()[0])
    assert str(home) in site.korrigo("doctor", code=(0, 10)).output
    assert Path(f"/proc/{pid}").exists()
    assert f"removed the leftover of a killed drill: {home}" in site.korrigo("backup", "db").output
    assert not home.exists()
    until(lambda: not Path(f"/proc/{pid}").exists())


def test_a_drill_names_everything_that_is_in_its_way():
    found = [error("space.database", what, f"do {what}") for what in "ab"]
    with pytest.raises(Refused, match="a; and b") as refused:
        require_possible(found)
    assert refused.value.hint == "do a; then do b"


def test_a_rename_does_not_undo_the_restore_before_the_one_in_place(plain_site, make_site):
    site = make_site()
    made = site.backup()
    site.restore(made)
    site.wreck()
    site.korrigo("restore", made, "--yes", "--in-place")
    content, databases = site.content(), site.databases()
    done = site.korrigo("rollback", "--yes", code=4)
    assert "was made in place" in done.err
    assert "rollback --to safety --in-place" in done.err
    assert (site.content(), site.databases()) == (content, databases)
    site.restore(made)
    site.korrigo("rollback", "--yes")
    assert site.content() == content


def test_a_rebuild_after_a_restore_in_place_can_be_rolled_back(site):
    made = site.backup()
    site.korrigo("restore", made, "--yes", "--in-place")
    content = site.content()
    site.korrigo("rebuild", "--empty", "--yes", code=3)
    assert site.content() != content
    site.korrigo("rollback", "--yes")
    assert site.content() == content


def test_plan_in_place_shows_that_no_previous_database_is_kept(plain_site):
    made = plain_site.backup()
    with nothing_changes(plain_site):
        plan = plain_site.json("plan", made, "--in-place")
    assert plan["replaces"][0]["in_place"] is True
    assert plan["replaces"][0]["kept_as"] is None
    assert "restore.in_place" in {finding["id"] for finding in plan["findings"]}


@pytest.mark.promise("P1")
def test_objects_of_every_kind_are_replaced(make_site, server, plain_role):
    """Also after a day that left its own traces in every corner."""
    site = make_site(schema=";".join(known(server, OWNERS.values())))
    before, objects = site.content(), large_objects(site)
    made = site.backup()
    for statement in known(server, [*LOSSES, "CREATE EXTENSION citext"]):
        site.sql(statement)
    site.sql("CREATE SCHEMA intruder CREATE TABLE t (id int); SELECT lo_create(9999)")
    site.sql("CREATE AGGREGATE none_of(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0'); CREATE DOMAIN odd AS int")
    site.sql(
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO shape_other; GRANT ALL ON SCHEMA public TO shape_other"
    )
    site.korrigo("restore", made, "--yes", "--in-place")
    assert site.content() == before
    assert large_objects(site) == objects


def test_a_superuser_restores_in_place_too(make_site, server, plain_role):
    site = make_site(schema="")
    site.superuser = True
    kinds = [sql for name, sql in SUPERUSERS.items() if "subscriptions" not in name]
    kinds.append("CREATE PUBLICATION everything FOR ALL TABLES WITH (publish = 'insert')")
    site.sql(";".join(known(server, [*OWNERS.values(), *kinds])), superuser=True)
    before = site.content()
    made = site.backup()
    site.sql("DROP SERVER IF EXISTS elsewhere CASCADE; DROP SCHEMA theirs CASCADE; DELETE FROM bound", superuser=True)
    site.korrigo("restore", made, "--yes", "--in-place")
    assert site.content() == before


def test_an_extension_of_the_administrator_stays(plain_site):
    site = plain_site
    extensions = "CREATE EXTENSION pageinspect; CREATE EXTENSION pg_trgm"
    if not known(site.server, [extensions]):
        pytest.skip("this PostgreSQL comes without contrib")
    site.sql(extensions, superuser=True)
    site.sql("CREATE INDEX ON exam USING gin (name gin_trgm_ops)")
    before = site.content()
    made = site.backup()
    site.wreck()
    site.korrigo("restore", made, "--yes", "--in-place")
    assert site.content() == before
    assert site.sql("SELECT pg_get_userbyid(extowner) FROM pg_extension WHERE extname = 'pageinspect'") == [
        ("postgres",)
    ]


def test_an_extension_that_is_not_there_is_named_with_the_statements(plain_site):
    site = plain_site
    extension = "CREATE EXTENSION pageinspect"
    if not known(site.server, [extension]):
        pytest.skip("this server has no pageinspect")
    site.sql(extension, superuser=True)
    made = site.backup()
    site.sql("DROP EXTENSION pageinspect", superuser=True)

    refused = site.korrigo("restore", made, "--yes", "--in-place", code=4)
    assert f'as a superuser: in database {site.database}: CREATE EXTENSION "pageinspect"; then' in refused.err


@pytest.mark.promise("P2")
@pytest.mark.parametrize(
    ("where", "sql", "code"),
    [
        (b"\nCREATE VIEW", "\nSELECT no_such_function();", 1),
        (b"\nCREATE INDEX", "\nDELETE FROM public.annotation WHERE id = 7;", 9),
    ],
)
def test_a_load_that_fails_leaves_the_old_content(plain_site, where, sql, code):
    site = plain_site
    foreign = altered(site, site.backup(), where, sql)
    site.wreck()
    before = site.content()
    done = site.korrigo("restore", foreign, "--yes", "--in-place", "--allow-unsigned", code=code)
    assert "state: rolled back: the site is as it was before" in done.err
    assert site.content() == before
    assert site.sql("SELECT datallowconn FROM pg_database WHERE datname = current_database()") == [(True,)]


def test_a_dump_with_transactions_of_its_own_is_refused(plain_site):
    foreign = altered(plain_site, plain_site.backup(), b"\nCREATE VIEW", "\ncommit;")
    with nothing_changes(plain_site):
        done = plain_site.korrigo("restore", foreign, "--yes", "--in-place", "--allow-unsigned", code=9)
    assert "a transaction command that pg_dump does not write, line " in done.err


@pytest.mark.promise("P2")
@pytest.mark.parametrize("everything", [True, False])
def test_kill_9_during_the_load_leaves_the_old_content(plain_site, everything):
    """With psql killed, too, and with psql left alone: it must not commit what it has got so far."""
    site = plain_site
    foreign = altered(site, site.backup(), b"\nCREATE VIEW", "\nSELECT pg_sleep(3);")
    site.wreck()
    before = site.content()
    with site.started("restore", foreign, "--yes", "--in-place", "--allow-unsigned") as child:
        until(lambda: sleeping(site))
        kill_all(child) if everything else os.kill(child.pid, signal.SIGKILL)
    site.korrigo("doctor", "--fix", code=(0, 10))
    assert not sleeping(site)
    assert site.content() == before


@pytest.mark.promise("P2")
def test_a_site_that_does_not_become_healthy_gets_its_old_content_back(plain_site):
    site = plain_site
    made = site.backup()
    site.wreck()
    before = site.content()
    gone = site.home / "gone"
    with healthy_until(gone) as url:
        (site.home / "korrigo-backup.toml").write_text(
            f'[services]\nhealth_url = "{url}"\nhealth_timeout = 1\nstop = [["touch", "{gone}"]]\nstart = [["true"]]\n'
        )
        done = site.korrigo("restore", made, "--yes", "--in-place", code=1)
    assert "⏳ Waiting until healthy, 1 s at most: services" in done.out
    assert "healthy after" not in done.out
    assert "state: rolled back: the site is as it was before" in done.err
    assert site.content() == before


@pytest.mark.promise("P2")
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interruption_around_the_commit_ends_in_the_old_content(plain_site, monkeypatch, when):
    """Nobody knows then whether it was done; the content tells."""
    site = plain_site
    made = site.backup()
    site.wreck()
    before = site.content()
    real = Session.run
    struck: list[str] = []

    def strike(session, sql):
        if sql != "COMMIT" or struck:
            return real(session, sql)
        struck.append(when)
        if when == "after":
            real(session, sql)
        raise KorrigoBackupError("struck", hint="")

    monkeypatch.setattr(Session, "run", strike)
    wired = site.wired()
    options, artifact = RestoreOptions(in_place=True), wired.catalog.find(str(made))
    with pytest.raises(KorrigoBackupError, match="struck") as failure:
        restore(wired.site(), wired.catalog, artifact, options, now=local_now(), confirm=lambda _: {})
    assert failure.value.state == "rolled back: the site is as it was before"
    assert struck == [when]
    assert site.content() == before


@pytest.mark.promise("P2")
def test_a_kill_behind_the_commit_that_brings_the_old_content_back_is_journalled_as_that(plain_site, monkeypatch):
    site = plain_site
    made = site.backup()
    site.wreck()
    before = site.content()
    written: list[bytes] = []
    real = Session.run

    def strike(session, sql):
        done = real(session, sql)
        if sql == "COMMIT":
            written.append((site.backups / journal.FILE).read_bytes())
            if len(written) == 1:
                raise KorrigoBackupError("struck", hint="")
        return done

    wired = site.wired()
    options, artifact = RestoreOptions(in_place=True), wired.catalog.find(str(made))
    with monkeypatch.context() as patch, pytest.raises(KorrigoBackupError, match="struck"):
        patch.setattr(Session, "run", strike)
        restore(wired.site(), wired.catalog, artifact, options, now=local_now(), confirm=lambda _: {})
    assert (len(written), site.content()) == (2, before)
    for lines, outcome in zip(written, (Outcome.PARTLY, Outcome.FAILED), strict=True):
        (site.backups / journal.FILE).write_bytes(lines)  # as a kill would leave it
        note(wired.site(), wired.catalog)
        assert journal.read(site.backups)[-1].outcome is outcome


def test_what_was_written_after_the_safety_backup_is_not_lost(plain_site):
    """The service stops, and one of its forgotten workers goes on."""
    site = plain_site
    made = site.backup()
    wrapper = site.home / "clients"
    wrapper.mkdir()
    real = site.server.access().client_dir
    (wrapper / "psql").symlink_to(real / "psql")
    (wrapper / "pg_dump").write_text(
        f"#!/bin/sh\n'{real}/pg_dump' \"$@\" || exit $?\n"
        f"echo \"INSERT INTO exam (name) VALUES ('late ' || random())\" | '{real}/psql' -q\n"
    )
    (wrapper / "pg_dump").chmod(0o755)
    done = site.korrigo("restore", made, "--yes", "--in-place", code=4, env={"KORRIGO_BACKUP_CLIENT_DIR": str(wrapper)})
    assert (
        "another program has written to the database since its safety backup was made: public.exam has 21 rows, not 20"
        in done.err
    )
    assert site.sql("SELECT count(*) FROM exam") == [(21,)]


def test_a_restore_point_and_no_safety_backup_are_refused(plain_site):
    plain_site.korrigo("backup", "full")
    plain_site.korrigo("restore", "latest", "--in-place", "--no-safety-backup", "--yes", code=2)
    done = plain_site.korrigo("restore", "latest-point", "--in-place", "--yes", code=2)
    assert "--in-place restores a database alone" in done.err
    dump, archive = (plain_site.one(name).name for name in ("db_backup_2*.sql.gz", "media_backup_2*.tar.gz"))
    assert f"korrigo-backup restore {dump} --in-place; korrigo-backup restore {archive}" in done.err


def altered(site, made, where, sql):
    """Return a dump with more SQL in it and a manifest of its own that nobody signed."""
    text = gzip.decompress(made.read_bytes())
    assert where in text
    foreign = site.home / "db_backup_20260101_030000.sql.gz"
    foreign.write_bytes(gzip.compress(text.replace(where, sql.encode() + where, 1)))
    return foreign


def sleeping(site):
    with connect(site.server) as admin:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = %s"
        return admin.execute(asked, [site.database]).fetchone()[0]
