"""Projects of other shapes than the test site: a user model without rights, schemas in table names, no users at all."""

import os
import subprocess
import sys

import pytest

from korrigo_backup.postgres.throwaway import embedded_bindir, system_bindir
from sandbox import connect
from servers import quick_server

SETTINGS = """
import os
SECRET_KEY = "x"
USE_TZ = {use_tz}
TIME_ZONE = "Europe/Paris"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", {apps} "shop", "korrigo_backup.djangoapp"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", **{{
    name: os.environ["SHOP_" + name] for name in ("NAME", "USER", "HOST", "PORT", "PASSWORD")}}}}}}
MEDIA_ROOT = os.environ["SHOP_MEDIA"]
MIGRATION_MODULES = dict.fromkeys(("auth", "contenttypes", "sessions"))
{more}
"""
AUTH = '"django.contrib.auth", "django.contrib.sessions",'

WITHOUT_RIGHTS = """
from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.contrib.sessions.models import Session
from django.db import models
class User(AbstractBaseUser):
    email = models.EmailField(unique=True)
    is_admin = models.BooleanField(default=True)
    objects = BaseUserManager()
    USERNAME_FIELD = "email"
    @property
    def is_superuser(self):
        return self.is_admin
class Person(models.Model):
    name = models.CharField(max_length=9)
    class Meta:
        db_table = 'hr"."person'
class Cart(models.Model):
    session = models.ForeignKey(Session, models.CASCADE)
    at = models.DateTimeField()
class Reading(models.Model):
    day = models.DateField()
    class Meta:
        managed = False
        db_table = "reading"
"""
WITHOUT_RIGHTS_ROWS = """
INSERT INTO shop_user (email, password, is_admin) VALUES ('Boss@X.fr', 'x', true);
INSERT INTO hr.person (name) VALUES ('Ada');
INSERT INTO django_session VALUES ('one', 'data', '2026-01-01'), ('two', 'data', '2026-01-01');
INSERT INTO shop_cart (session_id, at) VALUES ('one', '2026-07-01 12:00:00.123456+02');
CREATE TABLE reading (id bigserial, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE reading_1 PARTITION OF reading FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE TABLE reading_2 PARTITION OF reading DEFAULT;
INSERT INTO reading (day) VALUES ('2026-02-03'), ('2028-02-03');
"""

BY_NUMBER = """
import uuid
from django.contrib.auth.models import AbstractUser
from django.db import models
class User(AbstractUser):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    boss = models.ForeignKey("self", models.SET_NULL, null=True)
"""
BY_NUMBER_ROWS = """
INSERT INTO shop_user (id, username, password, is_superuser, is_staff, is_active, first_name, last_name, email, date_joined)
VALUES ('00000000-0000-0000-0000-000000000001', 'a', 'x', true, true, true, '', '', '', '2026-01-01');
UPDATE shop_user SET boss_id = id;
"""

WITHOUT_USERS = """
from django.db import models
class Person(models.Model):
    name = models.CharField(max_length=9)
"""
WITHOUT_USERS_ROWS = "INSERT INTO shop_person (name) VALUES ('Ada')"

USER = 'AUTH_USER_MODEL = "shop.User"'
SITES = {
    "a user model without rights": (
        WITHOUT_RIGHTS, AUTH, USER, "False", WITHOUT_RIGHTS_ROWS, ("shop_user", "hr.person", "shop_cart", "reading")
    ),
    "users with a UUID who refer to each other": (BY_NUMBER, AUTH, USER, "True", BY_NUMBER_ROWS, ("shop_user",)),
    "no users": (WITHOUT_USERS, "", "", "True", WITHOUT_USERS_ROWS, ("shop_person",)),
}  # fmt: skip


@pytest.fixture(scope="module")
def server():
    with quick_server(system_bindir() or embedded_bindir()) as running:
        yield running


@pytest.mark.promise("P9")
@pytest.mark.parametrize("kind", SITES)
def test_a_site_of_another_shape_is_backed_up_and_restored(server, tmp_path, kind):
    models, apps, more, use_tz, rows, tables = SITES[kind]
    (tmp_path / "shop").mkdir()
    (tmp_path / "media").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "models.py").write_text(models)
    (tmp_path / "settings.py").write_text(SETTINGS.format(apps=apps, more=more, use_tz=use_tz))
    access, database = server.access(), f"shop_{list(SITES).index(kind)}"
    with connect(server) as admin:
        admin.execute(f"CREATE DATABASE {database}")

    def manage(*words):
        password = access.password.reveal()
        place = {"NAME": database, "USER": access.user, "HOST": access.host, "PORT": str(access.port)}
        env = {f"SHOP_{name}": value for name, value in (place | {"PASSWORD": password}).items()}
        env |= {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "PYTHONPYCACHEPREFIX") if name in os.environ}
        env |= {"HOME": str(tmp_path), "DJANGO_SETTINGS_MODULE": "settings", "SHOP_MEDIA": str(tmp_path / "media")}
        argv = [sys.executable, "-m", "django", *words]
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done

    with connect(server, database) as site:
        site.execute("CREATE SCHEMA hr")
        manage("migrate", "--run-syncdb", "--verbosity", "0")
        site.execute(rows)

        def read():
            return {name: site.execute(f"SELECT t::text FROM {name} t ORDER BY 1").fetchall() for name in tables}

        before = read()
        manage("backup", "--output-dir", str(tmp_path / "out"))
        for name in reversed(tables):
            site.execute(f"DELETE FROM {name}")
        if "Session" in models:
            site.execute("DELETE FROM django_session WHERE session_key = 'one'")
        manage("restore", str(next((tmp_path / "out").iterdir())))
        assert read() == before
        if "Session" in models:
            assert site.execute("SELECT count(*) FROM django_session").fetchone() == (2,)
        manage("korrigo_describe")
