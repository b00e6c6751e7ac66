"""Kill -9 and a fault at every effect of an undelete, a revert, a restore of a table or of files, and of each rollback.

Rows and files are then entirely as before or entirely as after, as soon as the next command has run; nothing is staged,
no record is pending.
"""

import os
import shutil

import pytest

import steps
from rescue_days import EXAMS
from sandbox import Sandbox, connect, drop_database, quoted

ALL = bool(os.environ.get("KORRIGO_TEST_FAULTS"))
"""Whether every effect is visited (`make test-faults`); else a few, from the record on, and one before."""
FEW = 4

ROLLBACK = ("rollback", "--yes")
FINISH = ("doctor", "--fix")

EXAMS_WITH_FILES = """
CREATE TABLE exam (id serial PRIMARY KEY, name text UNIQUE, scan text);
CREATE TABLE page (id serial PRIMARY KEY, exam_id int REFERENCES exam, image text);
INSERT INTO exam (name, scan) SELECT 'exam ' || n, 'scans/' || n || '.pdf' FROM generate_series(1, 3) n;
INSERT INTO page (exam_id, image) SELECT n, 'pages/' || n || '.png' FROM generate_series(1, 3) n;
"""
ACCIDENT = """
UPDATE exam SET name = 'oops ' || id, facts = NULL;
DELETE FROM exam WHERE id = 4;
INSERT INTO exam (name) VALUES ('newer');
"""


class World:
    """A site after a loss, with a backup of before, and the command that makes the loss good.

    `before` is the view of the site without the command, `after` that with it. Other words for the same: away, back.
    """

    schema = EXAMS
    command: tuple[str, ...] = ()
    keeps_former = False
    """Whether the former files stay among the media until the rollback."""

    def __init__(self, site):
        self.site = site
        site.create(self.schema)
        shutil.rmtree(site.media)
        site.media.mkdir()
        self.lose()
        self.before = self.view()
        self.aside = site.home / "aside"
        shutil.copytree(site.media, self.aside)
        with connect(site.server) as connection:
            connection.execute(f"CREATE DATABASE {quoted(site.database + '_saved')} TEMPLATE {quoted(site.database)}")
        self.effects = self.go(*self.command).effects
        self.after = self.view()
        assert self.brought_back("undisturbed")
        self.rollback_effects = self.go(*ROLLBACK).effects
        assert not self.brought_back("undisturbed")

    def lose(self):
        """Make the backup, then the loss."""
        raise NotImplementedError

    def view(self):
        return self.site.rows(), {name: entry for name, entry in self.site.tree().items() if not name.startswith(b".")}

    def go(self, *arguments, code=0, **options):
        ran = steps.run(self.site, *arguments, **options)
        assert "Traceback" not in ran.output, ran.output
        assert code is None or ran.code == code, f"{arguments}: {ran.code} {ran.output} after {ran.effects[-3:]}"
        return ran

    def disturbed(self, command, number, action, **options):
        return self.go(*command, code=None, triggers={number: action}, **options)

    def brought_back(self, case):
        """Assert that the site is entirely as before or as after, and return whether the loss is made good."""
        now = self.view()
        assert now in (self.before, self.after), f"{case}: mixed: {now}"
        back = now == self.after
        hidden = [name.partition("-")[0] for name in os.listdir(self.site.media) if name.startswith(".")]
        assert hidden == ([".replaced"] if back and self.keeps_former else []), f"{case}: {hidden}"
        names = os.listdir(self.site.backups)
        left = [name for name in names if name.endswith((".pending", ".undoing")) or "partial" in name]
        assert left == [], f"{case}: left behind: {left}"
        done = [name for name in names if name.endswith(".done")]
        assert bool(done) == back, f"{case}: {done}"
        return back

    def reset(self):
        """Back to the loss, by other means than ours."""
        site = self.site
        with connect(site.server) as connection:
            connection.execute(f"DROP DATABASE {quoted(site.database)} WITH (FORCE)")
            connection.execute(
                f"CREATE DATABASE {quoted(site.database)} OWNER viatique_user TEMPLATE {quoted(site.database + '_saved')}"
            )
        shutil.rmtree(site.media)
        shutil.copytree(self.aside, site.media)
        for path in (*site.backups.glob(".undelete-*"), *site.backups.glob(".files-*")):
            path.unlink()


class Undelete(World):
    """An exam, its page and their files are gone, and one of the files has other content now."""

    schema = EXAMS_WITH_FILES
    command = ("undelete", "exam:2", "--overwrite-file", "pages/2.png", "--yes")
    keeps_former = True

    def lose(self):
        site = self.site
        (site.home / "korrigo-backup.toml").write_text('[media]\ncolumns = ["exam.scan", "page.image"]\n')
        for n in range(1, 4):
            site.write(f"scans/{n}.pdf", f"scan {n}".encode())
            site.write(f"pages/{n}.png", f"page {n}".encode())
        self.go("backup", "full")
        whole = self.view()
        site.sql("DELETE FROM page WHERE id = 2; DELETE FROM exam WHERE id = 2")
        (site.media / "scans/2.pdf").unlink()
        site.write("pages/2.png", b"another")
        assert self.view() != whole


class Revert(World):
    """An UPDATE without WHERE, a deleted row and a new row."""

    def lose(self):
        made = str(self.site.backup())
        self.command = ("revert", "--table", "exam", "--from", made, "--yes")
        self.site.sql(ACCIDENT)


class Table(World):
    """The same accident, made good by the restore of the table."""

    def lose(self):
        made = str(self.site.backup())
        self.command = ("restore", made, "--table", "exam", "--exact", "--yes")
        self.site.sql(ACCIDENT)


class Files(World):
    """A scan is gone with its directory, and another has other content now."""

    schema = "CREATE TABLE exam (id int)"
    command = ("restore", "--file", "scans", "--overwrite", "--yes")
    keeps_former = True

    def lose(self):
        site = self.site
        for name in ("1.pdf", "2.pdf", "deep/3.pdf"):
            site.write(f"scans/{name}", f"scan {name}".encode())
        site.backup_media()
        shutil.rmtree(site.media / "scans/deep")
        site.write("scans/2.pdf", b"annotated")


@pytest.fixture(scope="module", params=[Undelete, Revert, Table, Files], ids=lambda one: one.__name__.lower())
def lost(request, server, tmp_path_factory):
    made = Sandbox(server, f"viatique_lost_{request.param.__name__.lower()}", tmp_path_factory.mktemp("lost") / "site")
    yield request.param(made)
    for name in made.databases():
        drop_database(server, name)


@pytest.fixture
def world(lost):
    lost.reset()
    return lost


def visited(effects):
    """The numbers of the effects that are visited: all, or a few from the first that writes a record to the last."""
    first = next(n for n, what in enumerate(effects, 1) if ".undelete-" in what or ".files-" in what)
    if ALL:
        return list(range(1, len(effects) + 1))
    apart = (len(effects) - first) / (FEW - 1)
    return sorted({first // 2, *(round(first + apart * n) for n in range(FEW))})


@pytest.mark.promise("P2")
def test_a_run_killed_at_any_effect_is_all_or_nothing(world):
    seen = set()
    for turn, number in enumerate(visited(world.effects)):
        case = f"killed at {number} of {len(world.effects)}, {world.effects[number - 1]}"
        ran = world.disturbed(world.command, number, "kill")
        assert ran.killed, f"{case}: {ran}"
        followed = world.go(*(FINISH, ROLLBACK)[turn % 2], code=None)
        back = world.brought_back(f"{case}, then {followed.output}")
        seen.add(back)
        if back:
            world.reset()
    assert seen == {False, True}
    world.go(*world.command)
    assert world.brought_back("after all that")


@pytest.mark.promise("P2")
def test_a_rollback_killed_at_any_effect_is_all_or_nothing(world):
    seen, effects = set(), world.rollback_effects
    back = False
    for number in visited(effects):
        if not back:
            world.go(*world.command)
        case = f"killed at {number} of {len(effects)}, {effects[number - 1]}"
        ran = world.disturbed(ROLLBACK, number, "kill")
        assert ran.killed, f"{case}: {ran}"
        world.go(*FINISH, code=None)
        back = world.brought_back(case)
        seen.add(back)
    assert seen == {False, True}


@pytest.mark.promise("P2")
def test_a_fault_at_any_effect_is_named_and_changes_nothing(world):
    for turn, number in enumerate(visited(world.effects)):
        effect = world.effects[number - 1]
        fault = ("dies", "lies")[turn % 2] if effect.startswith(("start", "at work")) else ("full", "broken")[turn % 2]
        case = f"{fault} at {number} of {len(world.effects)}, {effect}"
        ran = world.disturbed(world.command, number, fault)
        if ran.code:
            assert "state:" in ran.output, f"{case}: {ran.output}"
            world.go(*FINISH, code=None)
        back = world.brought_back(f"{case}: {ran.output}")
        if "rolled back" in ran.output or "nothing was changed" in ran.output:
            assert not back, f"{case}: said unchanged: {ran.output}"
        if back:
            world.reset()


@pytest.mark.promise("P2")
@pytest.mark.parametrize("lost", [Files], indirect=True, ids=["files"])
def test_the_next_restore_of_files_takes_a_killed_one_back_without_the_database(world):
    away = {"POSTGRES_PORT": "1"}
    for number in visited(world.effects)[1:]:
        case = f"killed at {number} of {len(world.effects)}, {world.effects[number - 1]}"
        assert world.disturbed(world.command, number, "kill", env=away).killed, case
        world.go(*world.command, env=away)
        assert world.brought_back(case)
        world.reset()
