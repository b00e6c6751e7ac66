"""Fixtures for tests on a real Docker engine. `make test-compose` installs what is missing and runs them.

    def test_something(stack):              # shared by the run; up, healthy and seeded whenever a test begins
        stack.compose("ps")                 # docker compose -f infra/docker/docker-compose.prod.yml ps, in stack.root
        stack.exec("db", "pg_dump", …)      # … exec -T db pg_dump …      (given="…" goes to standard input)
        stack.manage("showmigrations")      # manage.py in the backend, as the site's user
        stack.sql("SELECT 1")               # psql in the database container
        stack.run("./scripts/backup_db.sh") # any command as the operator types it: cwd stack.root, environment stack.env
        stack.visitor().upload_copy(…)      # through nginx, in the admin
        stack.states(), stack.up(), stack.healthy(), stack.url, stack.health_url

    stack.root     a directory as an operator has it: infra/docker/, scripts/, .env (mode 600), backups/ once made
    stack.project  the name of the Compose project; it stands in stack.root's copy of the compose file
    stack.files    compose files, relative to stack.root, as typed: the production file
    stack.sibling("test")   the drill's stack in the same directory ("dev": development), with a project of its own; .up() it
    stack.argv     ["docker", "compose", "-f", …]
    stack.env      PATH, HOME and docker's own variables: the site's are in .env only
    stack.password POSTGRES_PASSWORD of .env

`make_stack(copies=…)` makes another one, of a test's own, which may be broken at will. All are removed at the
end, with their volumes, and nothing of them may be left. Without an engine the tests are skipped, with the reason.
"""

import itertools
import os
import shutil
import subprocess

import pytest

from compose.dockerstack import PREFIX, PROJECT, Stack, remove_left_by_the_dead

BUILD_LIMIT = 900  # seconds, from nothing on a busy machine

_numbers = itertools.count(1)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark what stands in this directory, so that nobody has to remember it."""
    for item in items:
        if item.path.is_relative_to(PROJECT / "tests" / "compose"):
            item.add_marker("compose")


@pytest.fixture(scope="session")
def engine():
    """A running engine with Compose, and the images made from the work tree as it is now."""
    missing = _what_the_engine_lacks()
    if missing:
        pytest.skip(f"{missing}; `make test-compose` tries to install and start one")
    build = subprocess.run(
        [PROJECT / "infra" / "docker" / "images" / "build.sh"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=BUILD_LIMIT,
    )
    if build.returncode:
        pytest.fail(f"the images cannot be built\n{build.stderr}", pytrace=False)
    remove_left_by_the_dead()


@pytest.fixture(scope="session")
def make_stack(engine, tmp_path_factory):
    """Return a function that makes a stack, up, healthy and seeded. At the end all are removed, volumes included."""
    made = []

    def make(*, copies=12):
        stack = Stack(tmp_path_factory.mktemp("stack"), f"{PREFIX}-{os.getpid()}-{next(_numbers)}").lay_out()
        made.append(stack)
        stack.up()
        stack.manage("seed", "--copies", str(copies), "--pages", "2", "--annotations-per-copy", "40")
        return stack

    yield make
    for stack in made:
        stack.down()


@pytest.fixture(scope="session")
def _shared_stack(make_stack):
    return make_stack()


@pytest.fixture
def stack(_shared_stack):
    """The stack that the tests of a run share: every service healthy, no backups. Rows and files are as tests left them."""
    if not _shared_stack.healthy():
        _shared_stack.up()
    shutil.rmtree(_shared_stack.root / "backups", ignore_errors=True)
    return _shared_stack


def _what_the_engine_lacks():
    for words, what in (
        (("docker", "version"), "no Docker engine answers"),
        (("docker", "compose", "version"), "docker has no Compose"),
        (("docker", "buildx", "version"), "docker has no buildx"),
    ):
        try:
            subprocess.run(words, capture_output=True, check=True, timeout=20)
        except (OSError, subprocess.SubprocessError):
            return what
    return ""
