"""Fixtures for all tests: one throw-away PostgreSQL a run, one site of its own a test.

Each fixture imports its modules when a test uses it. A unit test starts without psycopg, Django and hypothesis.
"""

import itertools
import sys

import pytest

_numbers = itertools.count(1)


def pytest_collection_finish(session):
    """Remove the plugin of hypothesis when no test uses it: its summary imports all of hypothesis."""
    if "hypothesis" not in sys.modules:
        session.config.pluginmanager.unregister(name="hypothesispytest")


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    """The home of whoever runs the tests is not theirs to write in: a signing key is made in it on first use."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)


@pytest.fixture(scope="session")
def server():
    """A real server for the whole run; what a test leaves in it is dropped by its `site`."""
    from sandbox import USER, USER_PASSWORD, connect, make_template
    from servers import bindir, quick_server

    with quick_server(bindir()) as running:
        with connect(running) as connection:
            connection.execute(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{USER_PASSWORD}'")
        make_template(running)
        yield running


@pytest.fixture
def make_site(server, tmp_path):
    """Return a function that makes a site: database, media, backup directory. All is dropped at the end."""
    from sandbox import SCHEMA, Sandbox, database_names, drop_database

    before = database_names(server)

    def make(*, name=None, schema=SCHEMA):
        number = next(_numbers)
        made = Sandbox(server, name or f"viatique_{number}", tmp_path / f"site{number}")
        made.create(schema)
        return made

    yield make
    for name in database_names(server) - before:
        drop_database(server, name)


@pytest.fixture
def site(make_site):
    """A site like Korrigo's: related tables with rows of many types, and some media files."""
    return make_site()


@pytest.fixture
def empty_site(make_site):
    """A site whose database holds nothing yet."""
    return make_site(schema="")


@pytest.fixture(scope="session")
def seeded(server, tmp_path_factory):
    """The reference site, migrated and seeded once: a database to copy, and its media."""
    from demosite import make_seeded

    with make_seeded(server, tmp_path_factory.mktemp("seeded") / "site") as made:
        yield made


@pytest.fixture
def demo(seeded, make_site, tmp_path):
    """A copy of the reference site. It is dropped by `make_site`."""
    from demosite import copy_of

    return copy_of(seeded, tmp_path / "validated")


@pytest.fixture
def other_disk(tmp_path):
    """A directory on another file system than that of the backups."""
    import tempfile
    from pathlib import Path

    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir=memory) as made:
        yield Path(made)
