"""The settings of a site, asked of its own manage.py."""

import sys

import pytest

from korrigo_backup.site.django_settings import Manage, ask, ask_password

SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = []
MEDIA_ROOT = "/srv/media"
DATABASES = {"default": {
    "ENGINE": "django.db.backends.postgresql", "NAME": "school", "USER": "teacher", "PASSWORD": "chalk-and-slate",
    "OPTIONS": {"sslmode": "require", "password": "second-secret", "connect_timeout": 5}}}
"""
MANAGE = """
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "own_settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""


@pytest.fixture
def manage(tmp_path):
    (tmp_path / "own_settings.py").write_text(SETTINGS)
    (tmp_path / "manage.py").write_text(MANAGE)
    return Manage((sys.executable, "manage.py"), tmp_path)


@pytest.mark.promise("P7")
def test_of_the_options_those_of_tls_are_printed_and_no_secret(manage):
    found = ask(manage, {})
    assert (found.name, found.user, found.media) == ("school", "teacher", "/srv/media")
    assert found.options == {"sslmode": "require"}


def test_the_password_is_asked_by_itself(manage):
    found = ask_password(manage, {})
    assert found is not None
    assert found.reveal() == "chalk-and-slate"
    assert "chalk" not in repr(found)
