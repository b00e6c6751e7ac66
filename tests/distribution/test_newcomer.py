"""The first minutes of a newcomer: a project of his own, the wheel, nothing else; commands counted and timed."""

import re
import subprocess
import time
import venv

import pytest

from distribution.conftest import clean_environment
from korrigo_backup import __version__
from sandbox import connect, quoted

pytestmark = pytest.mark.dist

PASSWORD = "n3wcomer's-own"
LOCATION = """
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", "NAME": "shop", "USER": "shop",
                         "PASSWORD": {password!r}, "HOST": {host!r}, "PORT": {port!r}}}}}
MEDIA_ROOT = BASE_DIR / "media"
"""
SECONDS = 60
"""From the end of the installation to a verified backup, also on a busy machine."""


class Newcomer:
    """A person at a shell: what he types is counted, and its output kept."""

    def __init__(self, home, project, path):
        self.project = project
        self.environment = clean_environment(home) | {"PATH": path}
        self.typed, self.began = 0, time.monotonic()

    def types(self, *words):
        self.typed += 1
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.stdout}\n{done.stderr}"
        return done.stdout

    def run(self, *words):
        return subprocess.run(
            [*map(str, words)], cwd=self.project, env=self.environment, capture_output=True, text=True, check=False
        )

    @property
    def seconds(self):
        return time.monotonic() - self.began


@pytest.fixture(scope="module")
def site_environment(dist, tmp_path_factory):
    """A virtual environment as a site has it: Django, a driver, and the wheel."""
    home = tmp_path_factory.mktemp("newcomer")
    venv.create(home / "venv", with_pip=True)
    wheel = dist / f"korrigo_backup-{__version__}-py3-none-any.whl"
    install = [
        home / "venv" / "bin" / "python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "Django<6",
        "psycopg[binary]",
        wheel,
    ]
    done = subprocess.run(
        [*map(str, install)], env=clean_environment(home), capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"the packages cannot be fetched here: {done.stderr.strip().splitlines()[-1]}")
    return home


@pytest.fixture
def newcomer(server, site_environment):
    """A project made by django-admin on PostgreSQL, migrated, with an upload and a user; no .env and no git."""
    access = server.access()
    with connect(server) as connection:
        connection.execute(f"CREATE ROLE shop LOGIN CREATEDB PASSWORD {literal(PASSWORD)}")
        connection.execute("CREATE DATABASE shop OWNER shop")
    project = site_environment / "shop"
    project.mkdir()
    path = f"{site_environment / 'venv' / 'bin'}:{access.client_dir}:/usr/bin:/bin"
    person = Newcomer(site_environment, project, path)
    assert person.run("django-admin", "startproject", "shop", ".").returncode == 0
    settings = project / "shop" / "settings.py"
    with settings.open("a") as file:
        file.write(LOCATION.format(password=PASSWORD, host=str(access.host), port=str(access.port)))
    done = person.run("python", "manage.py", "migrate", "--verbosity", "0")
    assert done.returncode == 0, done.stderr
    (project / "media").mkdir()
    (project / "media" / "scan.pdf").write_bytes(b"%PDF-1.7 a scan")
    yield person
    with connect(server) as connection:
        for (name,) in connection.execute("SELECT datname FROM pg_database WHERE datname LIKE 'shop%'").fetchall():
            connection.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")
        connection.execute("DROP ROLE shop")


def literal(text):
    return "'" + text.replace("'", "''") + "'"


def test_a_newcomer_has_a_verified_backup_with_two_commands_and_a_rehearsed_restore_with_three(newcomer):
    newcomer.began = time.monotonic()
    looked = newcomer.types("korrigo-backup", "init")
    assert "The password of the database is that of Django's settings" in looked
    assert PASSWORD not in looked
    assert "❌" not in looked
    made = newcomer.types("korrigo-backup", "backup", "full")
    assert "restore_point_" in made
    assert newcomer.typed <= 3
    assert newcomer.seconds < SECONDS
    rehearsed = newcomer.types("korrigo-backup", "drill", "latest-point")
    assert "✅ Drill passed" in rehearsed
    assert newcomer.typed <= 4

    last = newcomer.run("korrigo-backup", "init", "--force").stdout.splitlines()[-1]
    assert re.match(r"✅ You can restore: proven at \d\d:\d\d", last)

    (newcomer.project / "media" / "scan.pdf").unlink()
    newcomer.run(
        "python",
        "manage.py",
        "shell",
        "-c",
        "from django.contrib.auth.models import Permission as P; P.objects.all().delete()",
    )
    restored = newcomer.run("korrigo-backup", "restore", "latest-point", "--yes")
    assert restored.returncode in {0, 3}, restored.stderr
    assert (newcomer.project / "media" / "scan.pdf").read_bytes() == b"%PDF-1.7 a scan"
    counted = newcomer.run(
        "python",
        "manage.py",
        "shell",
        "-c",
        "from django.contrib.auth.models import Permission as P; print(P.objects.count())",
    )
    assert int(counted.stdout.splitlines()[-1]) > 0
    assert newcomer.run("korrigo-backup", "rollback", "--yes").returncode in {0, 3}
