"""One server a major version, started when a test first asks for it."""

from contextlib import ExitStack
from dataclasses import replace

import pytest

from korrigo_backup.postgres.throwaway import ThrowawayServer
from sandbox import USER, USER_PASSWORD, Sandbox, connect, drop_database
from servers import in_memory
from shapes import make_roles
from versions.binaries import Unavailable, client_bindir, server_bindir


class VersionServer(ThrowawayServer):
    """A server of one version, used through clients of a version that is not older."""

    def __init__(self, major):
        self.clients = client_bindir(major)
        with in_memory():
            super().__init__(server_bindir(major))

    def access(self, *arguments):
        return replace(super().access(*arguments), client_dir=self.clients)


@pytest.fixture(scope="session")
def server_of():
    """Return a function: the running server of a major version."""
    running = {}
    with ExitStack() as stack:

        def get(major):
            if major not in running:
                try:
                    running[major] = stack.enter_context(VersionServer(major))
                except Unavailable as reason:
                    pytest.skip(str(reason))
                with connect(running[major]) as admin:
                    admin.execute(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{USER_PASSWORD}'")
                make_roles(running[major])
            return running[major]

        yield get


@pytest.fixture
def clients_of():
    """Return a function: the environment in which clients of a major version, or old ones, are used."""

    def get(major):
        try:
            return {"KORRIGO_BACKUP_CLIENT_DIR": str(client_bindir(major))}
        except Unavailable as reason:
            pytest.skip(str(reason))

    return get


@pytest.fixture
def empty_site_on(site_on):
    """Return a function that makes a site with an empty database on a server of a version."""
    return lambda major: site_on(major, "")


@pytest.fixture
def site_on(server_of, tmp_path):
    """Return a function that makes a site on a server of a version."""
    made: list[Sandbox] = []

    def make(major, schema):
        site = Sandbox(server_of(major), f"viatique_{len(made)}", tmp_path / f"site{len(made)}")
        made.append(site)
        site.create(schema)
        return site

    yield make
    for site in made:
        for name in site.databases():
            drop_database(site.server, name)
