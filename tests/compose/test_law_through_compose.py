"""The law of `tests/law` for a database in a container, reached by `docker compose exec` alone."""

import itertools
import os
import textwrap
from dataclasses import dataclass

import pytest

from compose.dockerstack import IMAGES, PREFIX, docker, remove
from korrigo_backup.core.secret import Secret
from law.law import bounded, hold
from law.states import BY_ADMINS, BY_OWNERS, ENCODINGS
from law.trees import trees
from property_testing import given, st
from sandbox import USER, USER_PASSWORD, Sandbox, connect, drop_database

PASSWORD = "only-for-this-test"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Container:
    """The server in the container, as the test's own client sees it: by its address on the bridge."""

    home: object
    project: str

    def access(self):
        return self

    @property
    def host(self):
        of_it = f"label=com.docker.compose.project={self.project}"
        (name,) = docker("ps", "--quiet", "--filter", of_it, "--filter", "label=com.docker.compose.service=db")
        (address,) = docker("inspect", "--format", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", name)
        return address

    @property
    def port(self):
        return 5432

    @property
    def password(self):
        return Secret(PASSWORD)


class ContainedSite(Sandbox):
    """A site whose database the command reaches through Compose, as the role of POSTGRES_USER."""

    @property
    def env(self):
        return {
            **{name: os.environ[name] for name in ("PYTHONPYCACHEPREFIX",) if name in os.environ},
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "POSTGRES_DB": self.database,
            "POSTGRES_USER": "postgres" if self.superuser else self.user,
            "POSTGRES_PASSWORD": PASSWORD if self.superuser else USER_PASSWORD,
            "MEDIA_ROOT": str(self.media),
            "BACKUP_DIR": str(self.backups),
        }

    def create(self, schema=""):
        super().create(schema)
        (self.home / "korrigo-backup.toml").write_text(
            textwrap.dedent(f"""\
            [site]
            access = "compose"
            [compose]
            files = ["{self.server.home}/compose.yml"]
            media = "/sites/{self.home.name}/media"
            """)
        )


@pytest.fixture(scope="module")
def container(engine, tmp_path_factory):
    home = tmp_path_factory.mktemp("contained")
    found = Container(home, f"{PREFIX}-{os.getpid()}-9001")
    (home / "compose.yml").write_text(
        textwrap.dedent(f"""\
        name: {found.project}
        services:
          db:
            image: {IMAGES["KORRIGO_DB_IMAGE"]}
            environment: {{POSTGRES_USER: postgres, POSTGRES_PASSWORD: {PASSWORD}}}
            healthcheck: {{test: [CMD, pg_isready, -h, 127.0.0.1, -U, postgres], interval: 1s, retries: 60}}
          backend:
            image: {IMAGES["KORRIGO_BACKEND_IMAGE"]}
            entrypoint: [sleep, infinity]
            init: true
            healthcheck: {{test: ["CMD", "true"], interval: 1s}}
            volumes: [".:/sites"]
        """)
    )
    try:
        docker("compose", "-f", str(home / "compose.yml"), "up", "--detach", "--wait")
        with connect(found) as admin:
            admin.execute(f"CREATE ROLE {USER} LOGIN CREATEDB PASSWORD '{USER_PASSWORD}'")
        yield found
    finally:
        remove(found.project)


@pytest.mark.promise("P9")
@pytest.mark.contract("T3")
@bounded
@given(
    case=BY_OWNERS | BY_ADMINS,
    tree=trees(),
    options=st.sampled_from(ENCODINGS),
)
def test_what_is_saved_through_a_container_comes_back(container, case, tree, options):
    number = next(_numbers)
    site = ContainedSite(container, f"law {number}", container.home / f"site{number}")
    site.create()
    try:
        hold(site, case["states"], tree, superuser=case["superuser"], options=options)
    finally:
        drop_database(container, site.database)
