"""A lost server gives a database back with all that a dump does not hold; what is missing is asked for before the load."""

import json

import pytest

from sandbox import connect, nothing_changes, quoted

OF_DATABASE = """
SELECT encoding, datcollate, datctype, datconnlimit, pg_get_userbyid(datdba), shobj_description(oid, 'pg_database'), datacl::text,
       (SELECT string_agg(setconfig::text, ' ' ORDER BY setconfig::text) FROM pg_db_role_setting WHERE setdatabase = d.oid)
FROM pg_database d WHERE datname = current_database()
"""


@pytest.fixture
def reader(server):
    """A role that only the database of one test grants anything to."""
    with connect(server) as connection:
        connection.execute("CREATE ROLE props_reader")
        yield "props_reader"
        connection.execute("DROP ROLE IF EXISTS props_reader")


def drop(site):
    with connect(site.server) as connection:
        connection.execute(f"DROP DATABASE {quoted(site.database)} WITH (FORCE)")


@pytest.mark.promise("P9")
def test_a_lost_database_comes_back_with_its_settings_grants_limit_and_comment(site):
    name = quoted(site.database)
    site.sql(f"ALTER DATABASE {name} SET search_path = public, pg_temp; ALTER DATABASE {name} CONNECTION LIMIT 40;"
             f"ALTER ROLE {site.user} IN DATABASE {name} SET statement_timeout = '5s';"
             f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC; COMMENT ON DATABASE {name} IS 'the site'")  # fmt: skip
    before = site.sql(OF_DATABASE)
    made = site.backup()
    drop(site)
    site.korrigo("restore", made, "--yes", "--no-validate")
    assert site.sql(OF_DATABASE) == before


@pytest.mark.promise("P11")
def test_a_setting_that_the_role_may_not_give_is_a_named_loss(site):
    with connect(site.server) as connection:
        connection.execute(f"ALTER DATABASE {quoted(site.database)} SET log_min_duration_statement = 500")
    made = site.backup()
    drop(site)
    done = site.korrigo("restore", made, "--yes", "--no-validate", code=3)
    assert "setting log_min_duration_statement is lost: " in done.out
    assert "ALTER DATABASE" in done.out


@pytest.mark.promise("P7")
def test_a_setting_that_is_a_secret_is_in_no_manifest(site):
    with connect(site.server) as connection:
        connection.execute(f"ALTER DATABASE {quoted(site.database)} SET app.jwt_secret = 'hush-hush'")
    made = site.backup()
    text = made.with_name(made.name + ".manifest.json").read_text()
    assert "hush-hush" not in text
    assert json.loads(text)["database"]["properties"]["settings"][0]["withheld"] == ["app.jwt_secret"]


@pytest.mark.promise("P2")
def test_all_missing_roles_are_named_before_anything_is_begun(site, reader):
    site.sql(f"GRANT SELECT ON exam TO {reader}; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO {reader}")
    made = site.backup()
    site.sql(f"DROP OWNED BY {reader}", superuser=True)
    with connect(site.server) as connection:
        connection.execute(f"DROP ROLE {reader}")
    with nothing_changes(site):
        done = site.korrigo("restore", made, "--yes", code=4)
    assert f'CREATE ROLE "{reader}"' in done.err


def test_a_database_of_another_owner_is_refused_by_plan_and_named_by_doctor(site):
    made = site.backup()
    with connect(site.server) as connection:
        connection.execute(f"ALTER DATABASE {quoted(site.database)} OWNER TO postgres")
    done = site.korrigo("plan", made, code=4)
    assert "cannot restore database" in done.err
    assert "belongs to postgres" in site.korrigo("doctor", code=10).out
    site.korrigo("backup", "db")
