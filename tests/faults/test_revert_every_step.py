"""Kill -9 and a fault at every effect of a revert, of the restore of tables, and of their rollback: all or nothing.

Afterwards the rows are entirely as before or entirely as after, as soon as the next command has run, and no record is
pending.
"""

import os

import pytest

import steps
from rescue_days import EXAMS
from sandbox import connect, quoted

ALL = bool(os.environ.get("KORRIGO_TEST_FAULTS"))
"""Whether every effect is visited (`make test-faults`); else those from the record on, and every sixth before."""

ACCIDENT = """
UPDATE exam SET name = 'oops ' || id, facts = NULL;
DELETE FROM exam WHERE id = 4;
INSERT INTO exam (name) VALUES ('newer');
"""
ROLLBACK = ("rollback", "--yes")


class Damaged:
    """A site after an accident, with a backup of before, and the command that brings the rows back."""

    def __init__(self, site, *command):
        self.site = site
        made = str(site.backup())
        self.command = [made if one == "MADE" else one for one in command]
        site.sql(ACCIDENT)
        self.before = site.rows()
        with connect(site.server) as connection:
            connection.execute(f"CREATE DATABASE {quoted(site.database + '_saved')} TEMPLATE {quoted(site.database)}")

    def go(self, *arguments, code=0, **options):
        ran = steps.run(self.site, *arguments, **options)
        assert "Traceback" not in ran.output, ran.output
        assert code is None or ran.code == code, f"{arguments}: {ran.code} {ran.output} after {ran.effects[-3:]}"
        return ran

    def undisturbed(self):
        """Run the command and its rollback without a fault; return the effects of both."""
        did = self.go(*self.command).effects
        self.after = self.site.rows()
        assert self.after != self.before
        undid = self.go(*ROLLBACK).effects
        assert not self.brought_back("undisturbed")
        return did, undid

    def brought_back(self, case):
        """Assert that the rows are entirely as before or as after, and tell whether they are back."""
        now = self.site.rows()
        assert now in (self.before, self.after), f"{case}: mixed: {now}"
        left = [name for name in os.listdir(self.site.backups) if name.endswith((".pending", ".undoing"))]
        left += [name for name in os.listdir(self.site.backups) if "partial" in name]
        assert left == [], f"{case}: left behind: {left}"
        done = [name for name in os.listdir(self.site.backups) if name.endswith(".done")]
        assert bool(done) == (now == self.after), f"{case}: {done}"
        return now == self.after

    def reset(self):
        """Back to the accident, by other means than ours."""
        site = self.site
        with connect(site.server) as connection:
            connection.execute(f"DROP DATABASE {quoted(site.database)} WITH (FORCE)")
            connection.execute(
                f"CREATE DATABASE {quoted(site.database)} OWNER viatique_user TEMPLATE {quoted(site.database + '_saved')}"
            )
        for path in site.backups.glob(".undelete-*"):
            path.unlink()


@pytest.fixture(
    params=[
        ("revert", "--table", "exam", "--from", "MADE", "--yes"),
        ("restore", "MADE", "--table", "exam", "--exact", "--yes"),
    ],
    ids=["revert", "restore --table"],
)
def damaged(request, make_site):
    return Damaged(make_site(schema=EXAMS), *request.param)


def visited(effects):
    first = next(n for n, what in enumerate(effects, 1) if ".undelete-" in what)
    return [n for n in range(1, len(effects) + 1) if ALL or n >= first or n % 6 == 0]


@pytest.mark.promise("P2")
def test_a_run_killed_at_any_effect_is_all_or_nothing(damaged):
    effects, _ = damaged.undisturbed()
    seen = set()
    for number in visited(effects):
        case = f"killed at {number} of {len(effects)}, {effects[number - 1]}"
        ran = damaged.go(*damaged.command, code=None, triggers={number: "kill"})
        assert ran.killed, f"{case}: {ran}"
        followed = damaged.go("doctor", "--fix", code=None)
        back = damaged.brought_back(f"{case}, then {followed.output}")
        seen.add(back)
        if back:
            damaged.reset()
    assert seen == {False, True}


@pytest.mark.promise("P2")
def test_a_rollback_killed_at_any_effect_is_all_or_nothing(damaged):
    _, effects = damaged.undisturbed()
    damaged.go(*damaged.command)
    seen = set()
    for number in visited(effects):
        case = f"killed at {number} of {len(effects)}, {effects[number - 1]}"
        ran = damaged.go(*ROLLBACK, code=None, triggers={number: "kill"})
        assert ran.killed, f"{case}: {ran}"
        damaged.go("doctor", "--fix", code=None)
        back = damaged.brought_back(case)
        seen.add(back)
        if not back:
            damaged.go(*damaged.command)
    assert seen == {False, True}


@pytest.mark.promise("P2")
def test_a_fault_at_any_effect_is_named_and_changes_nothing(damaged):
    effects, _ = damaged.undisturbed()
    for turn, number in enumerate(visited(effects)):
        effect = effects[number - 1]
        fault = ("dies", "lies")[turn % 2] if effect.startswith(("start", "at work")) else ("full", "broken")[turn % 2]
        case = f"{fault} at {number} of {len(effects)}, {effect}"
        ran = damaged.go(*damaged.command, code=None, triggers={number: fault})
        if ran.code:
            assert "state:" in ran.output, f"{case}: {ran.output}"
            damaged.go("doctor", "--fix", code=None)
        back = damaged.brought_back(f"{case}: {ran.output}")
        if "rolled back" in ran.output or "nothing was changed" in ran.output:
            assert not back, f"{case}: said unchanged: {ran.output}"
        if back:
            damaged.reset()
