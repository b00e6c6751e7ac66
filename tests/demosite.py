"""The reference site, migrated and seeded once a run, and a copy of it for each test that knows its manage.py."""

import json
import shlex
import shutil
import sys
from contextlib import contextmanager

from sandbox import PROJECT, USER, Sandbox, connect, quoted

MANAGE = shlex.join([sys.executable, str(PROJECT / "demo" / "manage.py")])
SEED = ("seed", "--copies", "4", "--pages", "2", "--annotations-per-copy", "2", "--events-per-copy", "2")
TEMPLATE = "validated_template"


@contextmanager
def make_seeded(server, home):
    """Make the reference site, migrated and seeded: a database to copy, and its media. Drop the database at the end."""
    made = Sandbox(server, TEMPLATE, home)
    made.create(schema="")
    shutil.rmtree(made.media)
    for arguments in (("migrate", "--verbosity", "0"), SEED):
        made.run([*shlex.split(MANAGE), *arguments], env={"DEBUG": "1"})
    yield made
    with connect(server) as connection:
        connection.execute(f"DROP DATABASE {quoted(TEMPLATE)} WITH (FORCE)")


class Validated(Sandbox):
    """A copy of the reference site that knows its manage.py."""

    extra: dict

    @property
    def env(self):
        return super().env | self.extra

    def validate(self, *arguments, code=0, env=None):
        """The findings of a validation: (id, level, message)."""
        done = self.korrigo("validate", *arguments, "--json", code=code, env=env)
        document = json.loads(done.out)
        assert (document["schema"], document["passed"]) == ("korrigo-backup/validate-1", code == 0)
        return [(f["id"], f["level"], f["message"]) for f in document["findings"]]

    def settings(self, text):
        """Make the site run with settings of its own, which begin with those of the reference site."""
        quick = 'PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]'
        (self.home / "own_settings.py").write_text(f"from korrigo_demo.settings import *\n{quick}\n{text}\n")
        self.extra |= {"DJANGO_SETTINGS_MODULE": "own_settings", "PYTHONPATH": str(self.home)}

    def toml(self, text):
        (self.home / "korrigo-backup.toml").write_text(text)

    def any_file(self, pattern):
        return min(self.media.glob(pattern))


def copy_of(seeded, home):
    """Copy the reference site to a database and a directory of its own."""
    made = Validated(seeded.server, f"{TEMPLATE}_copy", home)
    made.home.mkdir()
    with connect(seeded.server) as connection:
        connection.execute(f"CREATE DATABASE {quoted(made.database)} TEMPLATE {TEMPLATE} OWNER {USER}")
    shutil.copytree(seeded.media, made.media)
    made.extra = {"KORRIGO_BACKUP_MANAGE": MANAGE, "DEBUG": "1"}
    made.settings("")
    return made
