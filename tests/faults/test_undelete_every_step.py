"""Kill -9 and a fault at every effect of an undelete with files, and of its rollback: all or nothing, rows and files.

Afterwards the site is entirely as before or entirely as after, as soon as the next command has run; nothing is staged,
no record is pending.
"""

import os
import shutil

import pytest

import steps
from sandbox import connect, quoted

ALL = bool(os.environ.get("KORRIGO_TEST_FAULTS"))
"""Whether every effect is visited (`make test-faults`); else those from the first file on, and every fifth before."""

SCHEMA = """
CREATE TABLE exam (id serial PRIMARY KEY, name text UNIQUE, scan text);
CREATE TABLE page (id serial PRIMARY KEY, exam_id int REFERENCES exam, image text);
INSERT INTO exam (name, scan) SELECT 'exam ' || n, 'scans/' || n || '.pdf' FROM generate_series(1, 3) n;
INSERT INTO page (exam_id, image) SELECT n, 'pages/' || n || '.png' FROM generate_series(1, 3) n;
"""
UNDELETE = ("undelete", "exam:2", "--yes")
ROLLBACK = ("rollback", "--yes")


class Library:
    """A site that has lost an exam, its page and their files, and has a restore point of before."""

    def __init__(self, site):
        self.site = site
        (site.home / "korrigo-backup.toml").write_text('[media]\ncolumns = ["exam.scan", "page.image"]\n')
        shutil.rmtree(site.media)
        for n in range(1, 4):
            site.write(f"scans/{n}.pdf", f"scan {n}".encode())
            site.write(f"pages/{n}.png", f"page {n}".encode())
        self.go("backup", "full")
        self.after = self.view()
        site.sql("DELETE FROM page WHERE id = 2; DELETE FROM exam WHERE id = 2")
        (site.media / "scans/2.pdf").unlink()
        (site.media / "pages/2.png").unlink()
        self.before = self.view()
        self.aside = site.home / "aside"
        shutil.copytree(site.media, self.aside)
        with connect(site.server) as connection:
            connection.execute(f"CREATE DATABASE {quoted(site.database + '_saved')} TEMPLATE {quoted(site.database)}")

    def view(self):
        return self.site.rows(), {name: entry for name, entry in self.site.tree().items() if not name.startswith(b".")}

    def go(self, *arguments, code=0, **options):
        ran = steps.run(self.site, *arguments, **options)
        assert "Traceback" not in ran.output, ran.output
        assert code is None or ran.code == code, f"{arguments}: {ran.code} {ran.output} after {ran.effects[-3:]}"
        return ran

    def brought_back(self, case):
        """Assert that the site is entirely as before or as after, and tell whether the exam is back."""
        now = self.view()
        assert now in (self.before, self.after), f"{case}: mixed: {now}"
        left = [name for name in os.listdir(self.site.media) if name.startswith(".")]
        left += [
            name
            for name in os.listdir(self.site.backups)
            if name.endswith((".pending", ".undoing")) or "partial" in name
        ]
        assert left == [], f"{case}: left behind: {left}"
        return now == self.after

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
        for path in site.backups.glob(".undelete-*"):
            path.unlink()


@pytest.fixture
def library(make_site):
    return Library(make_site(schema=SCHEMA))


def visited(effects):
    first = next(n for n, what in enumerate(effects, 1) if ".undelete-" in what)
    return [n for n in range(1, len(effects) + 1) if ALL or n >= first or n % 5 == 0]


@pytest.mark.promise("P2")
def test_an_undelete_killed_at_any_effect_is_all_or_nothing(library):
    effects = library.go(*UNDELETE).effects
    assert library.brought_back("undisturbed")
    library.reset()
    seen = set()
    for number in visited(effects):
        case = f"killed at {number} of {len(effects)}, {effects[number - 1]}"
        ran = library.go(*UNDELETE, code=None, triggers={number: "kill"})
        assert ran.killed, f"{case}: {ran}"
        followed = (
            library.go("rollback", "--yes", code=None) if number % 2 else library.go("doctor", "--fix", code=None)
        )
        back = library.brought_back(f"{case}, then {followed.output}")
        seen.add(back)
        if back:
            library.reset()
    assert seen == {False, True}
    library.go(*UNDELETE)
    assert library.brought_back("after all that")


@pytest.mark.promise("P2")
def test_a_rollback_of_an_undelete_killed_at_any_effect_is_all_or_nothing(library):
    library.go(*UNDELETE)
    effects = library.go(*ROLLBACK).effects
    assert not library.brought_back("undisturbed")
    library.go(*UNDELETE)
    seen = set()
    for number in visited(effects):
        case = f"killed at {number} of {len(effects)}, {effects[number - 1]}"
        ran = library.go(*ROLLBACK, code=None, triggers={number: "kill"})
        assert ran.killed, f"{case}: {ran}"
        library.go("doctor", "--fix", code=None)
        back = library.brought_back(case)
        seen.add(back)
        if not back:
            library.go(*UNDELETE)
    assert seen == {False, True}


@pytest.mark.promise("P2")
def test_a_fault_at_any_effect_of_an_undelete_is_told_and_changes_nothing(library):
    effects = library.go(*UNDELETE).effects
    library.reset()
    for turn, number in enumerate(visited(effects)):
        effect = effects[number - 1]
        fault = ("dies", "lies")[turn % 2] if effect.startswith(("start", "at work")) else ("full", "broken")[turn % 2]
        case = f"{fault} at {number} of {len(effects)}, {effect}"
        ran = library.go(*UNDELETE, code=None, triggers={number: fault})
        if ran.code:
            assert "state:" in ran.output, f"{case}: {ran.output}"
            library.go("doctor", "--fix", code=None)
        back = library.brought_back(f"{case}: {ran.output}")
        if "rolled back" in ran.output or "nothing was changed" in ran.output:
            assert not back, f"{case}: said unchanged: {ran.output}"
        if back:
            library.reset()
