"""Kill -9 and a fault at every effect of a restore of files, and of its rollback: all or nothing.

One file is missing below a directory that is gone, too; another is overwritten. Afterwards the media are entirely as
before or entirely as after, as soon as the next command has run; nothing is staged, no record is pending.
"""

import os
import shutil

import pytest

import steps

RESTORE = ("restore", "--file", "scans", "--overwrite", "--yes")
ROLLBACK = ("rollback", "--yes")


class Library:
    """A site that has lost a scan with its directory, and has another with other content now."""

    def __init__(self, site):
        self.site = site
        shutil.rmtree(site.media)
        for name in ("1.pdf", "2.pdf", "deep/3.pdf"):
            site.write(f"scans/{name}", f"scan {name}".encode())
        site.backup_media()
        self.after = self.view()
        shutil.rmtree(site.media / "scans/deep")
        site.write("scans/2.pdf", b"annotated")
        self.before = self.view()
        self.aside = site.home / "aside"
        shutil.copytree(site.media, self.aside)

    def view(self):
        return {name: entry for name, entry in self.site.tree().items() if not name.startswith(b".")}

    def go(self, *arguments, code=0, **options):
        ran = steps.run(self.site, *arguments, **options)
        assert "Traceback" not in ran.output, ran.output
        assert code is None or ran.code == code, f"{arguments}: {ran.code} {ran.output} after {ran.effects[-3:]}"
        return ran

    def brought_back(self, case):
        """Assert that the media are entirely as before or as after, and tell whether the files are back."""
        now = self.view()
        assert now in (self.before, self.after), f"{case}: mixed: {now}"
        back = now == self.after
        hidden = [name for name in os.listdir(self.site.media) if name.startswith(".")]
        assert [name.partition("-")[0] for name in hidden] == ([".replaced"] if back else []), f"{case}: {hidden}"
        left = [
            name
            for name in os.listdir(self.site.backups)
            if name.endswith((".pending", ".undoing")) or "partial" in name
        ]
        assert left == [], f"{case}: left behind: {left}"
        return back

    def reset(self):
        """Back to the loss, by other means than ours."""
        shutil.rmtree(self.site.media)
        shutil.copytree(self.aside, self.site.media)
        for path in self.site.backups.glob(".files-*"):
            path.unlink()


@pytest.fixture
def library(site):
    return Library(site)


@pytest.mark.promise("P2")
def test_a_restore_of_files_killed_at_any_effect_is_all_or_nothing(library):
    effects = library.go(*RESTORE).effects
    assert library.brought_back("undisturbed")
    library.reset()
    seen = set()
    for number in range(1, len(effects) + 1):
        case = f"killed at {number} of {len(effects)}, {effects[number - 1]}"
        assert library.go(*RESTORE, code=None, triggers={number: "kill"}).killed, case
        followed = library.go(*(("doctor", "--fix"), ROLLBACK)[number % 2], code=None)
        back = library.brought_back(f"{case}, then {followed.output}")
        seen.add(back)
        if back:
            library.reset()
    assert seen == {False, True}
    library.go(*RESTORE)
    assert library.brought_back("after all that")


@pytest.mark.promise("P2")
def test_the_next_restore_of_files_takes_a_killed_one_back_without_the_database(library):
    effects = library.go(*RESTORE).effects
    library.reset()
    away = {"POSTGRES_PORT": "1"}
    for number in range(next(n for n, what in enumerate(effects, 1) if ".files-" in what), len(effects) + 1):
        case = f"killed at {number} of {len(effects)}, {effects[number - 1]}"
        assert library.go(*RESTORE, code=None, triggers={number: "kill"}, env=away).killed, case
        library.go(*RESTORE, env=away)
        assert library.brought_back(case)
        library.reset()


@pytest.mark.promise("P2")
def test_a_rollback_of_a_restore_of_files_killed_at_any_effect_is_all_or_nothing(library):
    library.go(*RESTORE)
    effects = library.go(*ROLLBACK).effects
    assert not library.brought_back("undisturbed")
    library.go(*RESTORE)
    seen = set()
    for number in range(1, len(effects) + 1):
        case = f"killed at {number} of {len(effects)}, {effects[number - 1]}"
        assert library.go(*ROLLBACK, code=None, triggers={number: "kill"}).killed, case
        library.go("doctor", "--fix", code=None)
        back = library.brought_back(case)
        seen.add(back)
        if not back:
            library.go(*RESTORE)
    assert seen == {False, True}


@pytest.mark.promise("P2")
def test_a_fault_at_any_effect_of_a_restore_of_files_is_told_and_changes_nothing(library):
    effects = library.go(*RESTORE).effects
    library.reset()
    for number, effect in enumerate(effects, 1):
        fault = ("full", "broken")[number % 2]
        case = f"{fault} at {number} of {len(effects)}, {effect}"
        ran = library.go(*RESTORE, code=None, triggers={number: fault})
        if ran.code:
            assert "state:" in ran.output, f"{case}: {ran.output}"
            library.go("doctor", "--fix", code=None)
        back = library.brought_back(f"{case}: {ran.output}")
        if "rolled back" in ran.output or "nothing was changed" in ran.output:
            assert not back, f"{case}: said unchanged: {ran.output}"
        if back:
            library.reset()
