"""Kill -9, a fault, and a failing undo at every effect of a restore and of a rollback, of database and media together.

Afterwards the site is entirely old or entirely new, after `rollback` as after any next command: never mixed, nothing
staged is left, the database takes connections and the services run.
"""

import os
import shutil

import pytest

import steps
from sandbox import connect, quoted

ALL = bool(os.environ.get("KORRIGO_TEST_FAULTS"))
"""Whether the load beside the live site is visited at every effect, too, and not at every third (`make test-faults`)."""

TINY = "CREATE TABLE exam (id serial PRIMARY KEY, name text); INSERT INTO exam (name) VALUES ('one'), ('two')"
FAULTS = ("full", "broken", "dies", "lies", "gone", "sql")
CONFIG = """
[services]
stop = [["sh", "-c", "echo stopped > {0}"]]
start = [["sh", "-c", "echo started > {0}"]]
"""


class World:
    """A site with a restore point of its new state, in its old state; and what is in it, told by others."""

    def __init__(self, site):
        self.site = site
        self.services = site.home / "services"
        self.services.write_text("started\n")
        (site.home / "korrigo-backup.toml").write_text(CONFIG.format(self.services))
        self.shrink()
        self.new = self.view()
        self.go("backup", "full")
        (self.point,) = site.backups.glob("restore_point_*.json")
        site.sql("UPDATE exam SET name = 'changed' WHERE id = 2; INSERT INTO exam (name) VALUES ('three')")
        site.write("late/c.pdf", b"late")
        site.write("a.pdf", b"changed")
        self.old = self.view()
        self.aside = site.home / "aside"
        shutil.copytree(site.media, self.aside)
        with connect(site.server) as connection:
            connection.execute(f"CREATE DATABASE {quoted(site.database + '_saved')} TEMPLATE {quoted(site.database)}")

    def shrink(self):
        shutil.rmtree(self.site.media)
        for name in ("a.pdf", "b/b.pdf"):
            self.site.write(name, name.encode())

    def view(self):
        names = self.site.databases()
        rows = (self.site.rows(), self.site.sequences()) if self.site.database in names else None
        return rows, self.site.tree()

    def go(self, *arguments, code=0, **options):
        ran = steps.run(self.site, *arguments, **options)
        assert "Traceback" not in ran.said, ran.said
        assert code is None or ran.code == code, f"{arguments}: {ran.code} {ran.said} after {ran.effects[-3:]}"
        return ran

    def whole(self, case):
        """Assert that the site is entirely old or entirely new, and tell whether it is new."""
        now = self.view()
        assert now in (self.old, self.new), f"{case}: mixed: {now}"
        left = [name for name in self.site.databases() if "_stage_" in name]
        media = os.listdir(self.site.media) if self.site.media.exists() else []
        left += [name for name in media if name.startswith((".stage", ".absent")) or name.endswith((".moving", ".partial", "alone"))]
        with connect(self.site.server) as connection:
            left += [name for (name,) in connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE '%load_2%'")]
            left += [f"{name} closed" for (name,) in connection.execute(
                "SELECT datname FROM pg_database WHERE NOT datallowconn AND datname LIKE %s", [f"{self.site.database}%"])]  # fmt: skip
        assert left == [], f"{case}: left behind: {left}"
        assert self.services.read_text() == "started\n", f"{case}: the services are stopped"
        return now == self.new

    def reset(self):
        """Back to the old state, by other means than ours."""
        site = self.site
        with connect(site.server) as connection:
            for name in site.databases() - {f"{site.database}_saved"}:
                connection.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")
            connection.execute(f"CREATE DATABASE {quoted(site.database)} OWNER viatique_user TEMPLATE {quoted(site.database + '_saved')}")
        shutil.rmtree(site.media, ignore_errors=True)
        shutil.copytree(self.aside, site.media)


class FromNothing(World):
    """A site that is gone: no database, no media root; the point is signed with a key that is lost."""

    def __init__(self, site):
        super().__init__(site)
        shutil.rmtree(site.home / ".config")
        self.reset()
        self.old = self.view()

    def go(self, *arguments, **options):
        access = self.site.server.access()
        env = {"POSTGRES_USER": access.user, "POSTGRES_PASSWORD": access.password.reveal()}
        return super().go(*arguments, env=env, **options)

    def reset(self):
        super().reset()
        with connect(self.site.server) as connection:
            connection.execute(f"DROP DATABASE {quoted(self.site.database)} WITH (FORCE)")
        shutil.rmtree(self.site.media)
