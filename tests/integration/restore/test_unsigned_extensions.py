"""Extensions that only a superuser may make, in a dump that nobody has signed or whose key is lost."""

import os
from pathlib import Path

import pytest

from sandbox import SCHEMA, connect, nothing_changes

CHOSEN = """
CREATE TABLE srid (id serial PRIMARY KEY, name text);
SELECT pg_catalog.pg_extension_config_dump('srid', '');
SELECT pg_catalog.pg_extension_config_dump('srid_id_seq', '');
"""
LANGUAGE = """
CREATE FUNCTION kb_handler() RETURNS language_handler LANGUAGE c AS '$libdir/plpgsql', 'plpgsql_call_handler';
CREATE LANGUAGE kb_language HANDLER kb_handler;
"""


@pytest.fixture
def site(make_site):
    made = make_site(schema="")
    made.superuser = True
    ((share,),) = made.sql("SELECT setting FROM pg_config WHERE name = 'SHAREDIR'", superuser=True)
    directory = Path(share, "extension")
    if not os.access(directory, os.W_OK):
        pytest.skip("extensions are added to the server's own, where only root may write")
    files = {
        "kb_chosen.control": "default_version = '1'\nrelocatable = false\nschema = chosen\n",
        "kb_chosen--1.sql": CHOSEN,
        "kb_language.control": "default_version = '1'\nrelocatable = false\n",
        "kb_language--1.sql": LANGUAGE,
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    made.sql(f"{SCHEMA}; CREATE EXTENSION kb_chosen; INSERT INTO chosen.srid (name) VALUES ('own')", superuser=True)
    yield made
    for name in files:
        (directory / name).unlink()


def without_key(site):
    """Return a backup whose key is lost: the site goes on with another one."""
    made = site.backup()
    (site.home / ".config/korrigo-backup/key").unlink()
    site.korrigo("adopt", "--new-key", "--yes")
    return made


@pytest.mark.promise("P5")
def test_an_extension_of_the_live_database_is_made_first_after_the_loss_of_the_key(site):
    made = without_key(site)
    site.sql("DELETE FROM annotation; DELETE FROM chosen.srid", superuser=True)
    done = site.korrigo("restore", made, "--allow-unsigned", "--yes")
    assert "needs the extensions kb_chosen: they are made before the load" in done.out
    assert site.sql("SELECT name FROM chosen.srid", superuser=True) == [("own",)]
    assert site.sql("SELECT count(*) FROM annotation", superuser=True) == [(300,)]
    assert not site.sql("SELECT 1 FROM pg_roles WHERE rolname LIKE '%\\_load\\_%'", superuser=True)
    rights = "SELECT relacl::text FROM pg_class WHERE oid = 'chosen.srid'::regclass"
    assert "_load_" not in str(site.sql(rights, superuser=True))


@pytest.mark.promise("P5")
def test_an_extension_that_the_live_database_has_not_is_refused_beforehand_with_the_statement(site):
    made = without_key(site)
    site.sql("DROP EXTENSION kb_chosen", superuser=True)
    for verb in (("plan", made), ("restore", made, "--yes")):
        with nothing_changes(site):
            refused = site.korrigo(*verb, "--allow-unsigned", code=4)
        assert 'CREATE EXTENSION "kb_chosen"' in refused.err


@pytest.mark.promise("P5")
def test_an_untrusted_language_is_never_made_for_a_dump_of_a_stranger(site):
    site.sql("CREATE EXTENSION kb_language", superuser=True)
    made = without_key(site)
    with nothing_changes(site):
        refused = site.korrigo("restore", made, "--allow-unsigned", "--yes", code=4)
    assert "needs kb_language: an untrusted language runs commands on the server" in refused.err
    with connect(site.server) as admin:
        assert not admin.execute("SELECT 1 FROM pg_database WHERE datname LIKE '%\\_stage\\_%'").fetchall()
