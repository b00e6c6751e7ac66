"""One Django project for these tests, on a throw-away PostgreSQL and on SQLite."""

import io
import os
import random
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import django
import pytest

from korrigo_backup.postgres.throwaway import embedded_bindir, system_bindir

os.environ["DJANGO_SETTINGS_MODULE"] = "testsite.settings"
os.environ.setdefault("TZ", "UTC")
PSYCOPG2 = os.environ.get("KORRIGO_TEST_DRIVER") == "psycopg2"
if PSYCOPG2:  # Django takes the older driver where the newer one is not
    import psycopg  # the tests themselves use the newer one

    modules: dict[str, Any] = sys.modules
    newer: Any = psycopg
    modules["psycopg"] = None
    import django.db.backends.postgresql.base

    modules["psycopg"] = newer
django.setup()

from django.conf import settings  # noqa: E402
from django.contrib.auth.models import Permission, User  # noqa: E402
from django.contrib.contenttypes.models import ContentType  # noqa: E402
from django.core.management import CommandError, call_command  # noqa: E402
from django.db import connections  # noqa: E402
from django.test import Client  # noqa: E402

from korrigo_backup.artifact.kinds import Kind  # noqa: E402
from korrigo_backup.requests.spool import Spool  # noqa: E402
from korrigo_backup.status.model import Goals  # noqa: E402
from korrigo_backup.status.published import encode  # noqa: E402
from sandbox import connect  # noqa: E402
from servers import quick_server  # noqa: E402
from standings import backup, facts  # noqa: E402
from testsite import content  # noqa: E402

ALIASES = ["default"] if PSYCOPG2 else ["default", "lite"]
"""SQLite has no psycopg that could be another."""

collect_ignore = ["test_django_golden.py"] if PSYCOPG2 else []
"""Its sites are processes of their own, which have the newer driver in any case."""


@pytest.fixture(scope="session")
def databases(tmp_path_factory):
    """Fill one database of each alias, and return a function that puts a copy in the place of what a test has left."""
    filled = tmp_path_factory.mktemp("lite") / "filled.sqlite3"
    site = filled.with_name("site.sqlite3")

    def renew(alias):
        connections[alias].close()
        ContentType.objects.clear_cache()
        if alias == "default":
            with connect(server) as admin:
                admin.execute("DROP DATABASE IF EXISTS site WITH (FORCE)")
                admin.execute("CREATE DATABASE site TEMPLATE filled")
        else:
            site.with_name(f"{site.name}-journal").unlink(missing_ok=True)  # of a test that killed its restore
            shutil.copyfile(filled, site)

    with quick_server(system_bindir() or embedded_bindir()) as server:
        access = server.access()
        assert access.password
        with connect(server) as admin:
            admin.execute("CREATE DATABASE filled")
        default, lite = (connections[alias].settings_dict for alias in ("default", "lite"))
        default.update(HOST=access.host, PORT=str(access.port), USER=access.user, PASSWORD=access.password.reveal())
        default["NAME"], lite["NAME"] = "filled", str(filled)
        for alias in ("default", "lite"):
            _fill(alias)
        default["NAME"], lite["NAME"] = "site", str(site)
        for alias in ("default", "lite"):
            renew(alias)
        yield renew
        connections.close_all()


def _fill(alias):
    """Make all tables, one that is not Django's, and a view; and all rows."""
    call_command("migrate", run_syncdb=True, database=alias, verbosity=0)
    with connections[alias].cursor() as cursor:
        key = "serial" if alias == "default" else "integer NOT NULL PRIMARY KEY AUTOINCREMENT"
        cursor.execute(f'CREATE TABLE "Legacy Table" (id {key}, text varchar(30) NOT NULL)')
        cursor.execute("CREATE VIEW a_view AS SELECT id, name FROM testsite_base")
    content.fill(alias)
    connections[alias].close()


@pytest.fixture(autouse=True)
def without_keys(tmp_path, monkeypatch):
    """A container of its own: no key file, neither named nor at home."""
    monkeypatch.delenv("KORRIGO_BACKUP_KEY_FILE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture(params=ALIASES)
def alias(request, databases, settings_media):
    databases(request.param)
    yield request.param
    connections[request.param].close()


@pytest.fixture
def settings_media(tmp_path, monkeypatch):
    root = tmp_path / "media"
    (root / "a" / "empty").mkdir(parents=True)
    (root / "a" / "b.pdf").write_bytes(b"%PDF" + random.Random(1).randbytes(5000))
    (root / "a" / "b.pdf").chmod(0o640)
    (root / "é ü.txt").write_text("text " * 1000)
    os.utime(root / "é ü.txt", (86400, 86400))
    (root / os.fsdecode(b"latin-\xe9.bin")).write_bytes(b"x")
    monkeypatch.setattr(settings, "MEDIA_ROOT", str(root), raising=False)
    return root


@pytest.fixture
def site(alias, settings_media, tmp_path):
    """The site under test: its two commands, its rows, its media."""
    out = tmp_path / "out"

    def backup(**options):
        options.setdefault("include_media", True)
        printed = io.StringIO()
        call_command("backup", output_dir=str(out), database=alias, stdout=printed, **options)
        (made,) = (entry for entry in out.iterdir() if not entry.name.startswith("."))
        return SimpleNamespace(path=made, printed=printed.getvalue())

    def restore(path, **options):
        printed, errors = io.StringIO(), io.StringIO()
        call_command("restore", str(path), database=alias, stdout=printed, stderr=errors, **options)
        return SimpleNamespace(printed=printed.getvalue(), errors=errors.getvalue())

    return SimpleNamespace(
        alias=alias,
        out=out,
        media=settings_media,
        backup=backup,
        restore=restore,
        rows=lambda: content.read_all(alias),
        files=lambda: tree(settings_media),
        clear=lambda: content.clear(alias),
    )


def tree(root: Path):
    """Return what stands below a directory, without what a restore keeps aside."""
    found = {}
    for path in sorted(root.rglob("*")):
        relative = path.relative_to(root)
        if relative.parts[0].startswith((".before-", ".stage-")):
            continue
        info = path.lstat()
        content_ = path.read_bytes() if path.is_file() else None
        found[str(relative)] = (info.st_mode & 0o777, info.st_mtime_ns, content_)
    return found


@pytest.fixture
def refused(site):
    """Run a restore that must fail, and return its message and exit code; nothing may have changed."""

    def attempt(path, **options):
        before = site.rows(), site.files()
        with pytest.raises(CommandError) as caught:
            site.restore(path, **options)
        assert (site.rows(), site.files()) == before
        assert "Traceback" not in str(caught.value)
        assert "\nhint: " in str(caught.value)
        assert "\nstate: " in str(caught.value)
        assert not [p for p in site.media.iterdir() if p.name.startswith((".stage-", ".before-"))]
        return SimpleNamespace(text=str(caught.value), code=caught.value.returncode)

    return attempt


@pytest.fixture
def copy(tmp_path):
    """Return a copy of an artifact that a test may damage."""

    def make(path):
        return Path(shutil.copytree(path, tmp_path / "copy" / path.name))

    return make


@pytest.fixture
def spool(tmp_path, monkeypatch):
    """The spool that the settings name, of a site whose host publishes its status."""
    (tmp_path / "seen.json").write_bytes(encode(facts(backup(3), backup(4, kind=Kind.MEDIA)), Goals()))
    monkeypatch.setattr(settings, "KORRIGO_BACKUP_DIR", tmp_path / "seen.json", raising=False)
    monkeypatch.setattr(settings, "KORRIGO_BACKUP_REQUESTS_DIR", tmp_path / "spool", raising=False)
    for name in ("requests", "answers"):
        (tmp_path / "spool" / name).mkdir(parents=True)
    return Spool(tmp_path / "spool")


@pytest.fixture
def staff(databases):
    """Return a function that logs in a member of staff with permissions."""
    databases("default")

    def login(*codenames):
        user = User.objects.create_user(f"staff{User.objects.count()}", is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        found = Client()
        found.force_login(user)
        return found

    return login
