"""A dump that nobody has signed, in a site whose role is a superuser: what it loads runs with no right of its own."""

import gzip
import os
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox import SCHEMA, connect, kill_all, nothing_changes, until
from shapes import known


@pytest.fixture
def superuser_site(make_site):
    site = make_site(schema="")
    site.superuser = True
    site.sql(SCHEMA, superuser=True)
    return site


def roles(site):
    with connect(site.server) as admin:
        return {name for (name,) in admin.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE '%\\_load\\_%'")}


def unsigned(site, made, *, hostile=""):
    """Return a copy of a dump as it comes from elsewhere: without its manifest, and with some SQL in its middle."""
    text = gzip.decompress(made.read_bytes())
    assert b"\nCREATE TABLE" in text
    foreign = site.home / "db_backup_20260101_030000.sql.gz"
    foreign.write_bytes(gzip.compress(text.replace(b"\nCREATE TABLE", f"\n{hostile}\nCREATE TABLE".encode(), 1)))
    return foreign


@pytest.mark.promise("P5")
def test_a_foreign_dump_is_loaded_and_belongs_to_the_owner_of_the_database(superuser_site):
    site = superuser_site
    before = site.rows()
    foreign = unsigned(site, site.backup())
    site.sql("DROP TABLE annotation; UPDATE exam SET name = 'x' || id", superuser=True)
    done = site.korrigo("restore", foreign, "--yes", "--no-safety-backup", "--allow-unsigned")
    assert "loaded without superuser rights" in done.out
    assert site.rows() == before
    owners = site.sql(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
        " WHERE nspname = 'public' UNION SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE proname = 'touch'"
        " UNION SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()",
        superuser=True,
    )
    assert owners == [("viatique_user",)]
    assert roles(site) == set()


def test_a_foreign_dump_with_a_materialised_view_is_loaded(make_site):
    """Its rows are not in the dump, so a dump without a manifest does not tell of them."""
    site = make_site(schema=f"{SCHEMA}; CREATE MATERIALIZED VIEW best AS SELECT * FROM copy WHERE mark > 10")
    foreign = unsigned(site, site.backup())
    before = site.content()
    site.sql("UPDATE copy SET mark = 0")
    done = site.korrigo("restore", foreign, "--yes", "--no-safety-backup", "--allow-unsigned")
    assert "public.best" not in done.out
    assert site.content() == before


@pytest.mark.promise("P5")
def test_large_objects_grants_and_default_privileges_of_a_foreign_dump(superuser_site):
    """Rights given to others stay; what objects of a role will be born with is left out, for no role is ours to speak for."""
    site = superuser_site
    if not known(site.server, ["CREATE EXTENSION hstore"]):
        pytest.skip("this PostgreSQL comes without contrib")
    site.sql(
        "SELECT lo_from_bytea(4711, 'a scan'); GRANT SELECT ON exam TO pg_monitor; CREATE EXTENSION hstore;"
        " ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC; CREATE SCHEMA more; CREATE TABLE more.t (h hstore);"
        " ALTER DEFAULT PRIVILEGES FOR ROLE viatique_user IN SCHEMA more GRANT ALL ON TABLES TO pg_monitor",
        superuser=True,
    )
    foreign = unsigned(site, site.backup())
    site.sql("SELECT lo_unlink(4711); DROP SCHEMA more CASCADE", superuser=True)
    site.korrigo("restore", foreign, "--yes", "--no-safety-backup", "--allow-unsigned")
    assert site.sql("SELECT lo_get(4711), pg_get_userbyid(lomowner) FROM pg_largeobject_metadata", superuser=True) == [
        (b"a scan", "viatique_user")
    ]
    assert site.sql("SELECT has_table_privilege('pg_monitor', 'exam', 'SELECT')", superuser=True) == [(True,)]
    assert site.sql("SELECT count(*) FROM pg_default_acl", superuser=True) == [(0,)]
    assert site.sql("SELECT pg_get_userbyid(extowner) FROM pg_extension WHERE extname = 'hstore'") == [
        ("viatique_user",)
    ]
    assert roles(site) == set()


HOSTILE = {
    "a program in a block": "DO $$ BEGIN EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch {proof}'''; END $$;",
    "a program": "COPY (SELECT 1) TO PROGRAM 'touch {proof}';",
    "a file written": "COPY (SELECT 1) TO '{proof}';",
    "a file read": "SELECT pg_read_file('/etc/passwd');",
    "a large object from a file": "SELECT lo_import('/etc/passwd');",
    "an event trigger": "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION suppress_redundant_updates_trigger();",
    "an untrusted language": "CREATE FUNCTION public.c() RETURNS int LANGUAGE c AS '/lib/x86_64-linux-gnu/libc.so.6', 'system';",
    "a setting of the server": "ALTER SYSTEM SET archive_command = 'touch {proof}';",
    "another role": "SET ROLE postgres;",
    "its session's role": "SET SESSION AUTHORIZATION postgres;",
    "back to who it was": "RESET SESSION AUTHORIZATION; RESET ROLE; COPY (SELECT 1) TO PROGRAM 'touch {proof}';",
    "a new superuser": "CREATE ROLE intruder SUPERUSER LOGIN;",
    "more rights for the site": "ALTER ROLE viatique_user SUPERUSER;",
    "membership": "GRANT pg_execute_server_program TO viatique_user;",
    "the live database": 'ALTER DATABASE "{database}" RENAME TO gone;',
    "a setting of the live database": 'ALTER DATABASE "{database}" SET search_path TO evil;',
    "a subscription": "CREATE SUBSCRIPTION s CONNECTION 'host=192.0.2.1' PUBLICATION p WITH (connect = false);",
    "rows of all roles": "SELECT * FROM pg_authid;",
}  # fmt: skip


@pytest.mark.promise("P5")
def test_a_hostile_dump_is_refused_and_rolled_back(superuser_site):
    site = superuser_site
    proof = Path("/tmp") / f"korrigo-it-ran-{os.getpid()}"
    made = site.backup()
    line = gzip.decompress(made.read_bytes()).partition(b"\nCREATE TABLE")[0].count(b"\n") + 2
    with nothing_changes(site), nothing_changes_on(site.server):
        for what, sql in HOSTILE.items():
            foreign = unsigned(site, made, hostile=sql.format(proof=proof, database=site.database))
            done = site.korrigo("restore", foreign, "--yes", "--allow-unsigned", code=(1, 4))
            assert "state: rolled back: the site is as it was before" in done.err, what
            assert f"{foreign.name}, line {line}: " in done.err, (what, done.err)
            assert "do not load it" in done.err, what
            assert not proof.exists(), what


@pytest.mark.promise("P5")
def test_an_extension_that_reads_the_servers_files_is_refused_before_anything_is_loaded(superuser_site):
    site = superuser_site
    foreign = unsigned(site, site.backup(), hostile="CREATE EXTENSION file_fdw;")
    with nothing_changes(site):
        refused = site.korrigo("restore", foreign, "--yes", "--allow-unsigned", code=4)
    assert "file_fdw" in refused.err


@pytest.mark.parametrize("options", [[], ["--in-place"]])
def test_an_extension_that_the_server_has_not_is_named_before_anything_is_loaded(make_site, options):
    """A dump without a manifest does not list its extensions; its statements do."""
    site = make_site()
    foreign = unsigned(site, site.backup(), hostile='CREATE EXTENSION IF NOT EXISTS "not-there" WITH SCHEMA public;')
    with nothing_changes(site):
        refused = site.korrigo("restore", foreign, "--yes", "--allow-unsigned", *options, code=4)
    assert "extensions are not available on this server: not-there" in refused.err
    assert "hint: install their packages on the database server" in refused.err
    assert "state: nothing was changed" in refused.err


@pytest.mark.promise("P5")
@pytest.mark.parametrize("command", ["COMMIT;", "BEGIN; rollback;"])
def test_a_transaction_command_of_its_own_is_named_before_anything_is_loaded(superuser_site, command):
    site = superuser_site
    foreign = unsigned(site, site.backup(), hostile=f"SELECT 1;\n{command}")
    done = site.korrigo("plan", foreign, "--allow-unsigned", code=9)
    before = gzip.decompress(foreign.read_bytes()).partition(command.encode())[0]
    words = command.removeprefix("BEGIN; ").partition(";")[0]
    assert f"line {before.count(10) + 1}: '{words}'" in done.err
    assert "hint: do not load it: " in done.err
    assert "state: nothing was changed" in done.err


@contextmanager
def nothing_changes_on(server):
    """Roles, their memberships and the server's settings are the same after the block as before."""
    questions = (
        "SELECT rolname, rolsuper, rolcreaterole, rolcreatedb FROM pg_roles ORDER BY 1",
        "SELECT roleid, member FROM pg_auth_members ORDER BY 1, 2",
        "SELECT name, setting FROM pg_file_settings ORDER BY 1, 2",
        "SELECT setdatabase, setrole, setconfig FROM pg_db_role_setting ORDER BY 1, 2",
    )
    with connect(server) as admin:
        before = [admin.execute(question).fetchall() for question in questions]
        yield
        assert [admin.execute(question).fetchall() for question in questions] == before


@pytest.mark.promise("P5")
def test_a_view_in_the_place_of_a_table_that_we_read_runs_nothing(superuser_site):
    """The next plan and backup look for Django's migrations, as a superuser."""
    site = superuser_site
    proof = Path("/tmp") / f"korrigo-it-ran-{os.getpid()}"
    hostile = f"""
        CREATE FUNCTION public.run() RETURNS text LANGUAGE plpgsql AS $f$ BEGIN
          EXECUTE 'COPY (SELECT 1) TO PROGRAM ''touch {proof}'''; RETURN 'x'; END $f$;
        CREATE VIEW public.django_migrations AS SELECT public.run() AS app, public.run() AS name;"""
    foreign = unsigned(site, site.backup(), hostile=hostile)
    site.korrigo("restore", foreign, "--yes", "--no-safety-backup", "--allow-unsigned")
    site.korrigo("plan", site.backup())
    assert not proof.exists()


@pytest.mark.promise("P2")
def test_the_role_that_a_killed_load_leaves_is_dropped_by_the_next_command(superuser_site):
    site = superuser_site
    foreign = unsigned(site, site.backup(), hostile="SELECT pg_sleep(60);")
    before = site.content()
    with site.started("restore", foreign, "--yes", "--allow-unsigned") as child:
        until(lambda: _sleeping(site))
        kill_all(child)
    (left,) = roles(site)
    with connect(site.server) as admin:
        admin.execute("CREATE ROLE elsewhere_load_20260101_030000")  # another site's, at work
    try:
        site.korrigo("doctor", "--fix", code=(0, 10))
        assert roles(site) == {"elsewhere_load_20260101_030000"}
    finally:
        with connect(site.server) as admin:
            admin.execute("DROP ROLE elsewhere_load_20260101_030000")
    assert left.startswith(site.database + "_load_")
    assert site.databases() == {site.database}
    assert site.content() == before


def _sleeping(site):
    with connect(site.server) as admin:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname LIKE %s"
        return admin.execute(asked, [site.database + "%"]).fetchone()[0]
