"""A site that has commands `backup` and `restore` of its own before ours."""

import shlex
from pathlib import Path

import pytest

from demosite import MANAGE
from sandbox import nothing_changes

COMMAND = """
from pathlib import Path
from django.core.management.base import BaseCommand
class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("rest", nargs="*")
    def run_from_argv(self, argv):
        Path(__file__).with_name("it-ran").touch()
"""


@pytest.fixture
def former(demo):
    """An app `core` with former commands, before all others; yields the place where they say that they ran."""
    place = demo.home / "theirs"
    commands = place / "core" / "management" / "commands"
    commands.mkdir(parents=True)
    for directory in (commands.parents[1], commands.parent, commands):
        (directory / "__init__.py").touch()
    for name in ("backup", "restore"):
        (commands / f"{name}.py").write_text(COMMAND)
    (place / "former.py").write_text(
        "from korrigo_demo.settings import *\nINSTALLED_APPS = ['core', *INSTALLED_APPS]\n"
    )
    return place


def with_former(former):
    python, script = shlex.split(MANAGE)
    words = (
        "import sys; from django.core.management import execute_from_command_line;"
        f" sys.path[:0] = ['{former}', '{Path(script).parent}']; execute_from_command_line(sys.argv)"
    )
    return {"KORRIGO_BACKUP_MANAGE": shlex.join([python, "-c", words]), "DJANGO_SETTINGS_MODULE": "former"}


@pytest.mark.contract("B5")
@pytest.mark.promise("P5")
def test_commands_of_another_app_are_not_run(demo, former):
    demo.korrigo("backup", "full", "--method", "django")
    made = demo.one("korrigo_backup_*")
    with nothing_changes(demo):
        for verb in (("backup", "full", "--method", "django"), ("restore", made, "--yes"), ("plan", made)):
            done = demo.korrigo(*verb, code=4, env=with_former(former))
            assert "manage.py backup is that of core, manage.py restore is that of core" in done.err
            assert 'hint: put "korrigo_backup.djangoapp" first in INSTALLED_APPS' in done.err
    assert not list(former.rglob("it-ran"))
    assert len(list(demo.backups.glob("korrigo_backup_*"))) == 1
