"""A role, a database and a server may be set to anything: backup, proof and restore are the same."""

import pytest

from korrigo_backup.postgres.session_settings import FIXED
from sandbox import USER, connect, quoted

ODD = {
    "array_nulls": "off",
    "backslash_quote": "off",
    "bytea_output": "escape",
    "check_function_bodies": "on",
    "client_min_messages": "debug1",
    "datestyle": "German, DMY",
    "default_tablespace": "",
    "default_transaction_deferrable": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "escape_string_warning": "on",
    "exit_on_error": "on",
    "extra_float_digits": "-10",
    "idle_in_transaction_session_timeout": "300ms",
    "intervalstyle": "sql_standard",
    "lock_timeout": "1ms",
    "quote_all_identifiers": "on",
    "row_security": "on",
    "standard_conforming_strings": "off",
    "statement_timeout": "300ms",
    "synchronous_commit": "remote_apply",
    "transform_null_equals": "on",
    "xmlbinary": "hex",
    "xmloption": "document",
}
ELSE = {"client_encoding": "LATIN1", "search_path": "elsewhere, public", "timezone": "Asia/Kathmandu", "jit": "on"}
SCHEMA = r"""
CREATE SCHEMA elsewhere;
CREATE TABLE elsewhere.pg_class (relname text);
CREATE TABLE "User" (id serial PRIMARY KEY, "select" text DEFAULT E'a\\b', CHECK ("select" IS DISTINCT FROM 'C:\x'));
CREATE TABLE odd (i interval, d date, b bytea, f float8, a text[], t timestamptz, s text);
INSERT INTO odd VALUES ('1 mon -3 days 04:05', '2026-02-01', '\x00ff27', 0.1::float8 + 0.2, '{NULL,"NULL",x}',
                        '2026-03-29 02:30+02', 'é ✅ \ ''');
INSERT INTO "User" ("select") VALUES ('x\y'), (NULL);
CREATE FUNCTION slash(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 = ''a\b''';
CREATE VIEW empty AS SELECT id FROM "User" WHERE "select" = NULL;
COMMENT ON TABLE odd IS 'back\slash';
"""


def settle(site, odd, *, reset=False):
    """Set every setting for the site's role and its database, as an administrator may."""
    with connect(site.server) as admin:
        for who in (f"ROLE {USER}", f"DATABASE {quoted(site.database)}"):
            for name, value in odd.items():
                admin.execute(f"ALTER {who} RESET {name}" if reset else f"ALTER {who} SET {name} = '{value}'")


@pytest.fixture
def odd_site(make_site):
    site = make_site(schema=SCHEMA)
    before = site.content()
    settle(site, ODD)
    with connect(site.server) as admin:
        admin.execute(f"ALTER DATABASE {quoted(site.database)} SET search_path = elsewhere, public")
    yield site, before
    settle(site, ODD, reset=True)


def test_every_setting_that_we_fix_has_an_odd_value_here():
    assert set(ODD) == set(FIXED)


@pytest.mark.promise("P1")
def test_a_site_with_odd_settings_is_saved_proven_and_restored(odd_site):
    site, before = odd_site
    site.korrigo("backup", "db")
    site.korrigo("verify", "latest", "--depth", "full")
    with site.connect() as connection:
        connection.execute("SET default_transaction_read_only = off")
        connection.execute('DELETE FROM "User"')
    site.korrigo("restore", "latest", "--yes")
    settle(site, ODD, reset=True)
    assert site.content() == before


def test_the_digests_do_not_depend_on_settings(make_site):
    site = make_site(schema=SCHEMA)
    plain = site.wired().catalog.find(str(site.backup())).manifest.database
    settle(site, ODD | ELSE)
    try:
        odd = site.wired().catalog.find(str(site.backup())).manifest.database
    finally:
        settle(site, ODD | ELSE, reset=True)
    assert odd.tables == plain.tables
    assert odd.schema == plain.schema
    assert odd.sequences == plain.sequences


@pytest.mark.parametrize("timeout", ["transaction_timeout", "idle_session_timeout"])
def test_limits_of_newer_servers_do_not_end_a_run(site, timeout):
    with connect(site.server) as admin:
        known = admin.execute("SELECT 1 FROM pg_settings WHERE name = %s", [timeout]).fetchone()
        if known is None:
            pytest.skip(f"this server does not know {timeout}")
        admin.execute(f"ALTER ROLE {USER} SET {timeout} = '100ms'")
        try:
            with site.wired().site().postgres.session() as session:
                session.run("SELECT pg_sleep(0.3)")
                assert session.ask(f"SELECT to_json(current_setting('{timeout}'))", str) == "0"
        finally:
            admin.execute(f"ALTER ROLE {USER} RESET {timeout}")


def test_the_configured_role_works_itself_whatever_role_it_is_set_to(site):
    before = site.content()
    with connect(site.server) as admin:
        admin.execute("CREATE ROLE nobody_at_all; GRANT nobody_at_all TO " + USER)
        admin.execute(f"ALTER ROLE {USER} SET role = nobody_at_all")
        try:
            made = site.backup()
            with admin.transaction():
                admin.execute(f"ALTER ROLE {USER} RESET role")
            site.wreck()
            admin.execute(f"ALTER ROLE {USER} SET role = nobody_at_all")
            site.restore(made)
        finally:
            admin.execute(f"ALTER ROLE {USER} RESET role; DROP ROLE nobody_at_all")
    assert site.content() == before


@pytest.mark.promise("P1")
def test_a_superuser_in_replica_mode_restores_all_the_same(site):
    site.superuser = True
    before = site.content()
    made = site.backup()
    with connect(site.server) as admin:
        admin.execute(f"ALTER DATABASE {quoted(site.database)} SET session_replication_role = replica")
    site.sql("DELETE FROM annotation", superuser=True)
    site.restore(made)
    assert site.content() == before


def test_a_commit_does_not_wait_for_a_standby_that_is_away(site):
    server = site.server
    with connect(server) as admin:
        admin.execute("ALTER SYSTEM SET synchronous_standby_names = 'gone'")
        admin.execute(f"ALTER ROLE {USER} SET synchronous_commit = on")
        admin.execute("SELECT pg_reload_conf()")
        try:
            site.korrigo("backup", "db")
            site.korrigo("restore", "latest", "--yes", timeout=60)
        finally:
            admin.execute("SET synchronous_commit = local")
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute(f"ALTER ROLE {USER} RESET synchronous_commit")
            admin.execute("SELECT pg_reload_conf()")
