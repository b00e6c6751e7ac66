"""Transactions that were prepared and never ended: they keep a database from being renamed, and nobody sees them."""

import pytest

from korrigo_backup.postgres import throwaway
from korrigo_backup.postgres.throwaway import ThrowawayServer
from sandbox import USER, USER_PASSWORD, Sandbox, connect
from servers import bindir


@pytest.fixture(scope="module")
def preparing():
    """A server that knows prepared transactions, as distributed applications want it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(throwaway._SETTINGS, "max_prepared_transactions", "5")
        with ThrowawayServer(bindir()) as running:
            with connect(running) as connection:
                connection.execute(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{USER_PASSWORD}'")
            yield running


@pytest.fixture
def site(preparing, tmp_path):
    """A site with a backup, after which somebody has prepared a transaction and left it."""
    made = Sandbox(preparing, "viatique_prepared", tmp_path / "site")
    made.create("CREATE TABLE exam (id serial PRIMARY KEY, name text); INSERT INTO exam (name) VALUES ('one')")
    made.backup()
    with made.connect() as connection:
        connection.execute("BEGIN")
        connection.execute("INSERT INTO exam (name) VALUES ('forgotten')")
        connection.execute("PREPARE TRANSACTION 'left''over'")
    return made


@pytest.mark.promise("P1")
def test_a_forgotten_one_is_named_before_anything_is_stopped(site):
    for done in (site.korrigo("plan", "latest", code=4), site.korrigo("restore", "latest", "--yes", code=4)):
        assert "prepared transactions that have not ended: left'over" in done.output
        assert "ROLLBACK PREPARED 'left''over'" in done.output
    in_place = site.korrigo("restore", "latest", "--yes", "--in-place", code=4)
    assert "prepared transactions" in in_place.err
    assert site.sql("SELECT name FROM exam") == [("one",)]
    site.backup()
    site.korrigo("verify", "latest", "--depth", "full")
    with site.connect() as connection:
        connection.autocommit = True
        connection.execute("ROLLBACK PREPARED 'left''over'")
    site.korrigo("restore", "latest", "--yes")
    site.korrigo("rollback", "--yes")
