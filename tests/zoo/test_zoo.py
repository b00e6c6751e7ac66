"""Sites made of popular packages: backed up, emptied and restored by Django, compared row by row. `make test-zoo`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from korrigo_backup.postgres.throwaway import ThrowawayServer, embedded_bindir, system_bindir
from sandbox import connect

PLACE = Path(os.environ.get("KORRIGO_TEST_ZOO", "no-zoo-was-fetched"))
pytestmark = [
    pytest.mark.zoo,
    pytest.mark.skipif(not PLACE.is_dir(), reason="the packages were not fetched (no PyPI?): make test-zoo"),
]

SETTINGS = """
import os
SECRET_KEY, SITE_ID, USE_TZ, LANGUAGE_CODE = "x", 1, True, "en"
LANGUAGES = [("en", "English"), ("fr", "French")]
PARLER_LANGUAGES = {{1: ({{"code": "en"}}, {{"code": "fr"}})}}
CMS_CONFIRM_VERSION4 = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "django.contrib.sites",
    "django.contrib.messages", "django.contrib.postgres", {apps} "zoo", "korrigo_backup.djangoapp"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.postgresql", **{{
    name: os.environ["ZOO_" + name] for name in ("NAME", "USER", "HOST", "PORT", "PASSWORD")}}}}}}
MEDIA_ROOT = os.environ["ZOO_MEDIA"]
TEMPLATES = [{{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True, "OPTIONS": {{
    "context_processors": ["django.template.context_processors.request", "cms.context_processors.cms_settings",
                           "sekizai.context_processors.sekizai"]}}}}]
"""

CASES = {
    "treebeard": (
        '"treebeard",',
        "from treebeard.mp_tree import MP_Node\nclass Thing(MP_Node):\n    name = models.CharField(max_length=9)",
        "r = Thing.add_root(name='a'); r.add_child(name='b'); r.add_child(name='c')",
    ),
    "mptt": (
        '"mptt",',
        (
            "from mptt.models import MPTTModel, TreeForeignKey\nclass Thing(MPTTModel):\n"
            "    parent = TreeForeignKey('self', models.CASCADE, null=True)"
        ),
        "Thing.objects.create(parent=Thing.objects.create())",
    ),
    "polymorphic": (
        '"polymorphic",',
        (
            "from polymorphic.models import PolymorphicModel\nclass Animal(PolymorphicModel):\n"
            "    name = models.CharField(max_length=9)\nclass Cat(Animal):\n    lives = models.IntegerField()"
        ),
        "Animal.objects.create(name='a'); Cat.objects.create(name='c', lives=9)",
    ),
    "guardian": (
        '"guardian",',
        "class Thing(models.Model):\n    name = models.CharField(max_length=9)",
        (
            "from guardian.shortcuts import assign_perm\nfrom django.contrib.auth.models import User\n"
            "u = User.objects.create_user('u'); assign_perm('zoo.change_thing', u, Thing.objects.create(name='a'))"
        ),
    ),
    "reversion": (
        '"reversion",',
        "import reversion\n@reversion.register()\nclass Thing(models.Model):\n    name = models.CharField(max_length=9)",
        "import reversion\nwith reversion.create_revision():\n    Thing.objects.create(name='a')",
    ),
    "simple_history": (
        '"simple_history",',
        (
            "from simple_history.models import HistoricalRecords\nclass Thing(models.Model):\n"
            "    name = models.CharField(max_length=9)\n    history = HistoricalRecords()"
        ),
        "t = Thing.objects.create(name='a'); t.name = 'b'; t.save(); t.delete()",
    ),
    "auditlog": (
        '"auditlog",',
        (
            "from auditlog.registry import auditlog\nclass Thing(models.Model):\n    name = models.CharField(max_length=9)\n"
            "auditlog.register(Thing)"
        ),
        "t = Thing.objects.create(name='a'); t.name = 'b'; t.save()",
    ),
    "parler": (
        '"parler",',
        (
            "from parler.models import TranslatableModel, TranslatedFields\nclass Thing(TranslatableModel):\n"
            "    translations = TranslatedFields(name=models.CharField(max_length=9))"
        ),
        "t = Thing(); t.set_current_language('en'); t.name = 'a'; t.set_current_language('fr'); t.name = 'é'; t.save()",
    ),
    "taggit": (
        '"taggit",',
        "from taggit.managers import TaggableManager\nclass Thing(models.Model):\n    tags = TaggableManager()",
        "Thing.objects.create().tags.add('a', 'é')",
    ),
    "pghistory": (
        '"pgtrigger", "pghistory",',
        "import pghistory\n@pghistory.track()\nclass Thing(models.Model):\n    name = models.CharField(max_length=9)",
        "t = Thing.objects.create(name='a'); t.name = 'b'; t.save()",
    ),
    "money": (
        '"djmoney", "phonenumber_field",',
        (
            "from djmoney.models.fields import MoneyField\nfrom phonenumber_field.modelfields import PhoneNumberField\n"
            "class Thing(models.Model):\n    price = MoneyField(max_digits=14, decimal_places=4, default_currency='EUR')\n"
            "    phone = PhoneNumberField(null=True)"
        ),
        "Thing.objects.create(price='1.2300', phone='+33612345678')",
    ),
    "filer": (
        '"easy_thumbnails", "filer", "django.contrib.admin",',
        (
            "from filer.fields.file import FilerFileField\nclass Thing(models.Model):\n"
            "    file = FilerFileField(on_delete=models.CASCADE, null=True)"
        ),
        (
            "from filer.models import File, Folder\nfrom django.core.files.base import ContentFile\n"
            "Thing.objects.create(file=File.objects.create(folder=Folder.objects.create(name='f'),"
            " file=ContentFile(b'x', name='a.txt')))"
        ),
    ),
    "cms": (
        '"django.contrib.admin", "cms", "menus", "treebeard", "sekizai",',
        "class Thing(models.Model):\n    name = models.CharField(max_length=9)",
        "from cms.api import create_page\ncreate_page('Home', 'base.html', 'en')",
    ),
}
CMS = """
SILENCED_SYSTEM_CHECKS = [f"admin.E{n}" for n in (402, 403, 404, 406, 408, 409, 410)]
CMS_TEMPLATES = [("base.html", "Base")]
ROOT_URLCONF = "zoo.urls"
MIDDLEWARE = []
STATIC_URL = "/static/"
"""

WITNESS = """
SELECT c.relname, (xpath('/row/d/text()', query_to_xml(format(
    'SELECT md5(coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '''')) AS d FROM %I t', c.relname),
    false, true, '')))[1]::text
FROM pg_class c WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
  AND relname NOT IN ('django_session', 'django_migrations') ORDER BY 1
"""


@pytest.fixture(scope="module")
def server():
    with ThrowawayServer(system_bindir() or embedded_bindir()) as running:
        yield running


@pytest.mark.parametrize("name", CASES)
def test_a_site_of_this_package_is_backed_up_and_restored(server, tmp_path, name):
    apps, models, fill = CASES[name]
    (tmp_path / "zoo").mkdir()
    (tmp_path / "media").mkdir()
    (tmp_path / "zoo" / "__init__.py").touch()
    (tmp_path / "zoo" / "urls.py").write_text("urlpatterns = []\n")
    (tmp_path / "zoo" / "templates").mkdir()
    (tmp_path / "zoo" / "templates" / "base.html").write_text("")
    (tmp_path / "zoo" / "models.py").write_text(f"from django.db import models\n{models}\n")
    (tmp_path / "settings.py").write_text(SETTINGS.format(apps=apps) + CMS)
    (tmp_path / "fill.py").write_text(f"import django\ndjango.setup()\nfrom zoo.models import *\n{fill}\n")
    access, database = server.access(), f"zoo_{name}"
    with connect(server) as admin:
        admin.execute(f"CREATE DATABASE {database}")

    def run(*words):
        place = {"NAME": database, "USER": access.user, "HOST": access.host, "PORT": str(access.port)}
        place["PASSWORD"] = access.password.reveal()
        env = {f"ZOO_{key}": value for key, value in place.items()}
        env |= {"PATH": os.environ["PATH"], "PYTHONPATH": str(PLACE), "HOME": str(tmp_path)}
        env |= {"DJANGO_SETTINGS_MODULE": "settings", "ZOO_MEDIA": str(tmp_path / "media")}
        argv = [sys.executable, *words]
        done = subprocess.run(argv, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-2000:]

    run("-m", "django", "makemigrations", "zoo", "--verbosity", "0")
    run("-m", "django", "migrate", "--verbosity", "0")
    run("fill.py")
    with connect(server, database) as site:
        before = site.execute(WITNESS).fetchall()
        run("-m", "django", "backup", "--include-media", "--output-dir", str(tmp_path / "out"))
        held = [table for table, _ in before if table not in {"django_content_type", "auth_permission"}]
        site.execute(f"TRUNCATE {', '.join(held)}")
        run("-m", "django", "restore", str(next((tmp_path / "out").iterdir())))
        assert site.execute(WITNESS).fetchall() == before
