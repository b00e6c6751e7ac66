"""A database that an earlier run left and that cannot be removed is named by each run, and keeps none from its work."""

import pytest

from sandbox import connect

STAGE = "stage_20260101_020304"
SUBSCRIPTION = """
CREATE SUBSCRIPTION taker CONNECTION 'host=192.0.2.1 dbname=x' PUBLICATION p
  WITH (connect = false, slot_name = 'of_the_live_one')
"""


@pytest.fixture
def fed(make_site):
    """A site whose role is superuser and whose database has a subscription with a slot at its publisher."""
    site = make_site(schema="CREATE TABLE t (i int); INSERT INTO t VALUES (1)")
    site.superuser = True
    site.sql(SUBSCRIPTION, superuser=True)
    yield site
    for name in site.databases():
        site.sql(
            "SELECT 1; DO $$ DECLARE one record; BEGIN FOR one IN SELECT subname FROM pg_subscription s"
            " JOIN pg_database d ON d.oid = subdbid WHERE datname = current_database() LOOP"
            " EXECUTE format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', one.subname);"
            " EXECUTE format('DROP SUBSCRIPTION %I', one.subname); END LOOP; END $$",
            name,
            superuser=True,
        )


@pytest.mark.promise("P4")
def test_a_drill_with_a_subscription_leaves_no_database_and_keeps_the_live_subscription(fed):
    before = fed.databases()
    made = fed.backup()
    fed.korrigo("verify", made, "--depth", "full")
    assert fed.databases() == before
    fed.backup()
    live = fed.sql("SELECT subname, subslotname FROM pg_subscription s JOIN pg_database d ON d.oid = subdbid"
                   " WHERE datname = current_database()", superuser=True)  # fmt: skip
    assert live == [("taker", "of_the_live_one")]


def test_a_leftover_of_another_owner_is_named_and_the_backup_is_made(site):
    name = f"{site.database}_{STAGE}"
    with connect(site.server) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # of the superuser, whom the site's role cannot replace
    done = site.korrigo("backup", "db")
    assert f"database {name}, left by an earlier run, cannot be removed: " in done.out
    assert "must be owner of database" in done.out
    assert len(site.published()) > 1
    assert name in site.databases()
