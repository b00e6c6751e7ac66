"""Kill -9 at every effect of the undo of a restore by Django in place: its rows and files are all those of before or none.

A role that may create databases has one command for it, `rollback`, which loads the safety backup beside the live
database. Another role has the two that `rollback` names: the rows in place, then the media by renames.
"""

import os
import shutil

import pytest

import steps
from sandbox import USER, USER_PASSWORD, connect, quoted
from wreckedsite import left, now

ALL = bool(os.environ.get("KORRIGO_TEST_FAULTS"))
"""Whether every effect is visited (`make test-faults`), or some."""
SOME = 3

ROLLBACK = ("rollback", "--yes")
ROWS = ("rollback", "--to", "safety", "--in-place", "--yes")
MEDIA = ("rollback", "--media-only", "--yes")
FINISH = ("doctor", "--fix")


class Restored:
    """A site after a restore by Django in place; `put_back` makes it so again, by other means than ours."""

    def __init__(self, site):
        self.site = site
        site.old = now(site)
        site.korrigo("restore", site.made, "--yes", "--no-validate")
        assert now(site) == site.new
        self.keep()

    def keep(self):
        """Keep the present state for `put_back`."""
        site = self.site
        self.aside = site.home / "aside"
        shutil.rmtree(self.aside, ignore_errors=True)
        for path in (site.media, site.backups):
            shutil.copytree(path, self.aside / path.name)
        self._copy(site.database, f"{site.database}_saved")

    def put_back(self):
        site = self.site
        for path in (site.media, site.backups):
            shutil.rmtree(path)
            shutil.copytree(self.aside / path.name, path)
        with connect(site.server) as admin:
            for name in site.databases() - {site.database, f"{site.database}_saved"}:
                admin.execute(f"DROP DATABASE {quoted(name)} WITH (FORCE)")
        self._copy(f"{site.database}_saved", site.database)

    def _copy(self, source, name):
        with connect(self.site.server) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {quoted(name)} WITH (FORCE)")
            admin.execute(f"CREATE DATABASE {quoted(name)} OWNER {self.site.user} TEMPLATE {quoted(source)}")

    def go(self, *arguments, code=0, **options):
        ran = steps.run(self.site, *arguments, **options)
        assert "Traceback" not in ran.output, ran.output
        assert code is None or ran.code == code, f"{arguments}: {ran.code} {ran.output}"
        return ran

    def killed_everywhere(self, command, former, undone):
        """Kill `command` at its effects; after the next command the site is `former` or `undone`.

        The command itself, given again, then ends in `undone`.
        """
        effects = self.go(*command).effects
        assert now(self.site) == undone
        assert left(self.site) == []
        seen = set()
        for turn, number in enumerate(visited(effects)):
            self.put_back()
            case = f"{command} killed at {number} of {len(effects)}, {effects[number - 1]}"
            ran = self.go(*command, code=None, triggers={number: "kill"})
            assert ran.killed, f"{case}: {ran}"
            followed = self.go(*FINISH, code=None)
            found = now(self.site)
            assert found in (former, undone), f"{case}: mixed, {followed.output}"
            assert left(self.site) == [], f"{case}: {left(self.site)} {followed.output}"
            assert (self.site.home / "services").read_text() == "started\n", case
            seen.add(found == undone)
            if found == former and turn % 2:
                again = self.go(*command)
                assert now(self.site) == undone, f"{case}, then again: {again.output}"
        assert seen == {False, True}


def visited(effects):
    """The numbers of the effects that are visited: all, or some with the last."""
    count = len(effects)
    return list(range(1, count + 1)) if ALL else sorted({*range(count // SOME, count, count // SOME), count - 1, count})


@pytest.fixture
def plain(wrecked):
    """The site of a role that may create no database."""
    role = f"{wrecked.database}_plain"
    with connect(wrecked.server) as admin:
        admin.execute(f"CREATE ROLE {quoted(role)} LOGIN NOCREATEDB PASSWORD '{USER_PASSWORD}'")
    wrecked.sql(f"REASSIGN OWNED BY {USER} TO {quoted(role)}", superuser=True)
    wrecked.user = role
    return wrecked


@pytest.mark.promise("P2")
@pytest.mark.contract("R7")
def test_the_rollback_that_loads_the_safety_backup_killed_at_any_effect_is_all_or_nothing(in_place):
    restored = Restored(in_place)
    restored.killed_everywhere(ROLLBACK, in_place.new, in_place.old)


@pytest.mark.promise("P2")
@pytest.mark.contract("R7")
def test_a_role_without_createdb_undoes_rows_and_media_each_all_or_nothing(plain):
    restored = Restored(plain)
    half = (plain.old[0], plain.new[1])
    restored.killed_everywhere(ROWS, plain.new, half)
    restored.put_back()
    restored.go(*ROWS)
    restored.keep()
    restored.killed_everywhere(MEDIA, half, plain.old)
