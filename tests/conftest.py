"""Fixtures for all tests: one throw-away PostgreSQL a run, one site of its own a test."""

import itertools
import os
from pathlib import Path

import hypothesis
import pytest

from demosite import demo, seeded
from korrigo_backup.postgres.throwaway import ThrowawayServer
from sandbox import SCHEMA, USER, USER_PASSWORD, Sandbox, bindir, connect, drop_database

__all__ = ["demo", "seeded"]
"""Of the reference site; imported here alone, since every import of a fixture makes it once more."""

PROJECT = Path(__file__).parents[1]

os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(PROJECT / ".venv" / "cache" / "hypothesis")
hypothesis.settings.register_profile(
    "ours",
    deadline=None,  # the machine may be busy
    database=None,
    max_examples=60,
    suppress_health_check=[hypothesis.HealthCheck.too_slow, hypothesis.HealthCheck.function_scoped_fixture],
)
hypothesis.settings.load_profile("ours")

_numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    """The home of whoever runs the tests is not theirs to write in: a signing key is made in it on first use."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(scope="session")
def server():
    """A real server for the whole run; what a test leaves in it is dropped by its `site`."""
    with ThrowawayServer(bindir()) as running:
        with connect(running) as connection:
            connection.execute(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{USER_PASSWORD}'")
        yield running


@pytest.fixture
def make_site(server, tmp_path):
    """Return a function that makes a site: database, media, backup directory. All is dropped at the end."""
    with connect(server) as connection:
        before = _databases(connection)

    def make(*, name=None, schema=SCHEMA):
        number = next(_numbers)
        made = Sandbox(server, name or f"viatique_{number}", tmp_path / f"site{number}")
        made.create(schema)
        return made

    yield make
    with connect(server) as connection:
        made = _databases(connection) - before
    for name in made:
        drop_database(server, name)


@pytest.fixture
def site(make_site):
    """A site like Korrigo's: related tables with rows of many types, and some media files."""
    return make_site()


@pytest.fixture
def empty_site(make_site):
    """A site whose database holds nothing yet."""
    return make_site(schema="")


def _databases(connection):
    return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
