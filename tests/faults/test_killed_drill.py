"""Kill -9 at many effects of a drill in each place: the next drill passes, and leaves nothing of either."""

import os
from pathlib import Path

import pytest

import steps
from sandbox import USER, USER_PASSWORD

KILLS = 6
ALL = bool(os.environ.get("KORRIGO_TEST_FAULTS"))
TINY = "CREATE TABLE exam (id serial PRIMARY KEY, name text); INSERT INTO exam (name) VALUES ('one'), ('two')"


@pytest.fixture
def small(make_site):
    site = make_site(schema=TINY)
    access = site.server.access()
    (site.home / "korrigo-backup.env").write_text(
        f"KORRIGO_BACKUP_STAGING_HOST={access.host}\nKORRIGO_BACKUP_STAGING_PORT={access.port}\n"
        f"KORRIGO_BACKUP_STAGING_DB={site.database}_staging\nKORRIGO_BACKUP_STAGING_USER={USER}\n"
        f"KORRIGO_BACKUP_STAGING_PASSWORD={USER_PASSWORD}\n"
    )
    site.korrigo("backup", "full")
    return site


def listed(site):
    """Return all that a drill makes: databases, directories, and processes that work in one of them."""
    databases = site.databases() - {site.database}
    places = {path.name for path in site.backups.iterdir() if path.name.startswith(".drill")}
    stages = {path.name for path in site.media.iterdir() if path.name.startswith(".")}
    works = set()
    for process in Path("/proc").iterdir():
        try:
            directory = os.readlink(process / "cwd") if process.name.isdecimal() else ""
        except OSError:
            continue
        if directory.startswith(str(site.backups)):
            works.add(directory)
    return databases | places | stages | works


@pytest.mark.promise("P2")
@pytest.mark.parametrize("place", ["beside", "local", "staging"])
def test_a_killed_drill_leaves_nothing_that_the_next_one_does_not_remove(small, place):
    arguments = ("drill", "--place", place)
    whole = steps.run(small, *arguments)
    assert whole.code == 0, whole.output
    before = listed(small)
    left = []
    with nothing_changes_live(small):
        for number in range(1, len(whole.effects) + 1, 1 if ALL else len(whole.effects) // KILLS):
            killed = steps.run(small, *arguments, triggers={number: "kill"})
            assert killed.killed, killed.output
            left += listed(small) - before
            again = steps.run(small, *arguments)
            assert again.code == 0, f"after a kill at {number}: {again.output}"
            assert listed(small) == before, f"after a kill at {number}: {killed.effects[-2:]}"
    assert left, "no kill has left anything: this test would see nothing"


def nothing_changes_live(site):
    class Same:
        def __enter__(self):
            self.before = site.content(), site.tree()

        def __exit__(self, *_):
            assert (site.content(), site.tree()) == self.before

    return Same()
