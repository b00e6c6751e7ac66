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
"""Whether every table visits every effect (`make test-faults`).

Without it the two about a restore of both visit every third effect, and from the stop of the services on the first and
the last of each kind; the others visit every seventh.
"""

TINY = "CREATE TABLE exam (id serial PRIMARY KEY, name text); INSERT INTO exam (name) VALUES ('one'), ('two')"
POSITIONS = "SELECT sequencename, last_value FROM pg_sequences"
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
        rows = (self.site.rows(), self.site.sql(POSITIONS, superuser=True)) if self.site.database in names else None
        return rows, self.site.tree()

    def go(self, *arguments, code=0, **options):
        ran = steps.run(self.site, *arguments, **options)
        assert "Traceback" not in ran.output, ran.output
        code = None if arguments == FINISH else code
        assert code is None or ran.code == code, f"{arguments}: {ran.code} {ran.output} after {ran.effects[-3:]}"
        return ran

    def whole(self, case):
        """Assert that the site is entirely old or entirely new, and tell whether it is new."""
        now = self.view()
        assert now in (self.old, self.new), f"{case}: mixed: {now}"
        left = [name for name in self.site.databases() if "_stage_" in name]
        media = os.listdir(self.site.media) if self.site.media.exists() else []
        left += [
            name
            for name in media
            if name.startswith((".stage", ".absent")) or name.endswith((".moving", ".partial", "alone"))
        ]
        with connect(self.site.server) as connection:
            left += [
                name for (name,) in connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE '%load_2%'")
            ]
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
            connection.execute(
                f"CREATE DATABASE {quoted(site.database)} OWNER viatique_user TEMPLATE {quoted(site.database + '_saved')}"
            )
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


@pytest.fixture
def world(make_site):
    return World(make_site(schema=TINY))


@pytest.fixture
def from_nothing(make_site):
    return FromNothing(make_site(schema=TINY))


RESTORE = ("restore", "latest-point", "--yes", "--no-safety-backup")
ROLLBACK = ("rollback", "--yes")
REDO = ("rollback", "--to", "after", "--yes")
FINISH = ("doctor", "--fix")
"""Finishes a killed run, or undoes it, and nothing else; its exit code is about the whole site."""


def visited(effects, *, closely=False):
    """The numbers of the effects that a table visits."""
    numbers = range(1, len(effects) + 1)
    if ALL:
        return list(numbers)
    step = 3 if closely else 7
    chosen = {number for number in numbers if number % step == 0}
    if closely:
        stop = next((number for number, what in enumerate(effects, 1) if what == "start sh"), len(effects))
        later = [(kind(effects[number - 1]), number) for number in numbers if number >= stop]
        chosen |= set(dict(later).values()) | set(dict(reversed(later)).values())
    return sorted(chosen)


def kind(effect):
    """`rename`, `fsync`, or the program that is started or at work."""
    return effect if effect.startswith(("start", "at work")) else effect.split()[0]


def next_command(world, number):
    """What an operator does after a crash: finish it by `rollback`, or something else."""
    if number % 2:
        return world.go("rollback", "--yes", code=None)
    return world.go(*FINISH)


@pytest.mark.promise("P2")
@pytest.mark.promise("P3")
@pytest.mark.parametrize("start", ["world", "from_nothing"])
def test_a_restore_of_both_killed_at_any_effect_is_old_or_new_after_the_next_command(request, start):
    world = request.getfixturevalue(start)
    allow = ("--allow-unsigned",) if start == "from_nothing" else ()
    effects = world.go(*RESTORE, *allow).effects
    assert world.whole("undisturbed")
    world.reset()
    seen = set()
    last = {len(effects) - 1, len(effects)}  # after the swap, followed by each of the next commands
    for number in sorted({*visited(effects, closely=start == "world"), *last}):
        case = f"killed at {number} of {len(effects)}, {effects[number - 1]}"
        ran = world.go(*RESTORE, *allow, code=None, triggers={number: "kill"})
        assert ran.killed, f"{case}: {ran}"
        followed = next_command(world, number)
        new = world.whole(f"{case}, then {followed.output}")
        assert followed.code in {0, 4, 6, 10}, f"{case}: {followed.output}"
        seen.add(new)
        if new:
            world.reset()
    world.reset()
    effects = world.go(
        *RESTORE, *allow
    ).effects  # more than at first: earlier kills have left their marks in the journal
    world.reset()
    world.go(*RESTORE, *allow, code=None, triggers={len(effects): "kill"})
    world.go(*FINISH)
    assert world.whole("killed at the last effect of all")
    assert False in seen
    world.go(*RESTORE, *allow)
    assert world.whole("after all that")


@pytest.mark.promise("P2")
@pytest.mark.parametrize("one", ["latest", "latest-media"])
def test_a_restore_of_one_part_killed_at_any_effect_leaves_the_other_alone(world, one):
    world.new = (world.new[0], world.old[1]) if one == "latest" else (world.old[0], world.new[1])
    verb = ("restore", one, "--yes", "--no-safety-backup")
    effects = world.go(*verb).effects
    assert world.whole("undisturbed")
    world.reset()
    for number in visited(effects):
        ran = world.go(*verb, code=None, triggers={number: "kill"})
        followed = next_command(world, number)
        if world.whole(f"killed at {number}, {effects[number - 1]}: {ran.output}, then {followed.output}"):
            world.reset()


@pytest.mark.promise("P2")
@pytest.mark.parametrize("start", ["world", "from_nothing"])
def test_a_full_restore_with_a_fault_at_any_effect_is_all_or_none_and_reports_its_state(request, start):
    world = request.getfixturevalue(start)
    allow = ("--allow-unsigned",) if start == "from_nothing" else ()
    effects = world.go(*RESTORE, *allow).effects
    world.reset()
    for turn, number in enumerate(visited(effects, closely=start == "world")):
        fault = fitting(effects[number - 1], turn)
        case = f"{fault} at {number} of {len(effects)}, {effects[number - 1]}"
        ran = world.go(*RESTORE, *allow, code=None, triggers={number: fault})
        new = world.whole(f"{case}: {ran.code} {ran.output}")
        truthful(case, ran, new=new)
        if new:
            world.reset()


def fitting(effect, turn):
    """A fault that such an effect can have."""
    if not effect.startswith(("start", "at work")):
        return FAULTS[turn % 2]
    if effect.startswith("at work"):
        return ("dies", "lies")[turn % 2]
    return FAULTS[turn % len(FAULTS)] if effect == "start psql" else ("broken", "lies")[turn % 2]


def truthful(case, ran, *, new):
    """What was said is what is; a run that says nothing about a fault had none that mattered."""
    assert "STOPPED" not in ran.output, f"{case}: {ran.output}"
    if ran.code in {0, 3}:
        assert new, f"{case}: said done, and it is not: {ran.output}"
    elif "rolled back" in ran.output or "nothing was changed" in ran.output:
        assert not new, f"{case}: said unchanged, and it is new: {ran.output}"
    else:
        assert "state:" in ran.output, f"{case}: {ran.output}"


@pytest.mark.promise("P2")
def test_an_undo_that_fails_at_any_effect_stops_and_is_finished_by_the_next_command(world):
    effects = world.go(*RESTORE).effects
    world.reset()
    last = max(number for number, what in enumerate(effects, 1) if what == "at work sh")
    whole_undo = world.go(*RESTORE, code=None, triggers={last: "lies"}).effects[last:]
    assert not world.whole("the start of the services fails")
    cases = [(last, later) for later in range(1, len(whole_undo) + 1)]
    swap = next(number for number, what in enumerate(effects, 1) if what == "start sh")
    cases += [(number, 1) for number in range(swap, last)]
    stopped = 0
    cases = cases if ALL else cases[::5]
    for first, later in cases:
        case = f"fault at {first}, {effects[first - 1]}, then from {later} effects later on"
        kind = "lies" if effects[first - 1].startswith("at work") else "broken"
        ran = world.go(*RESTORE, code=None, triggers={first: kind, first + later: "all"})
        assert ran.code != 0, f"{case}: {ran.output}"
        stopped += "STOPPED" in ran.output
        if "STOPPED" in ran.output:
            assert "korrigo-backup rollback" in ran.output
        followed = next_command(world, first + later)
        if world.whole(f"{case}: {ran.output} then {followed.output}"):
            world.reset()
    assert stopped > len(cases) / 2


@pytest.mark.promise("P2")
def test_a_taking_back_killed_at_any_effect_is_finished_by_the_next_command(world):
    """In the run itself after a fault, and in the command that finishes what a killed run left."""
    effects = world.go(*RESTORE).effects
    world.reset()
    last = max(number for number, what in enumerate(effects, 1) if what == "at work sh")
    undo = world.go(*RESTORE, code=None, triggers={last: "lies"}).effects[last:]
    for later in visited(undo):
        world.go(*RESTORE, code=None, triggers={last: "lies", last + later: "kill"})
        followed = next_command(world, later)
        if world.whole(f"killed at {later}, {undo[later - 1]}, of the undo, then {followed.output}"):
            world.reset()
    half = max(number for number, what in enumerate(effects, 1) if what.startswith("rmdir"))
    world.go(*RESTORE, code=None, triggers={half: "kill"})
    finishing = world.go(*FINISH).effects
    for number in visited(finishing):
        world.go(*RESTORE, code=None, triggers={half: "kill"})
        how = "kill" if number % 2 else "all"
        ran = world.go(*FINISH, triggers={number: how})
        if how == "all" and number > 1:  # before that it had not looked yet
            assert any(word in ran.output for word in ("STOPPED", "🔧", "error: ")), ran.output
        followed = next_command(world, number)
        assert not world.whole(f"finishing killed at {number}, {finishing[number - 1]}, then {followed.output}")


@pytest.mark.promise("P2")
@pytest.mark.contract("R7")
@pytest.mark.parametrize("verb", [ROLLBACK, REDO], ids=["rollback", "rollback --to after"])
def test_a_rollback_killed_or_failing_at_any_effect_is_old_or_new(world, verb):
    back = REDO if verb == ROLLBACK else ROLLBACK
    world.go(*RESTORE)
    if verb == REDO:
        world.go(*ROLLBACK)
    start = world.whole("at the start")
    effects = world.go(*verb).effects
    assert world.whole("undisturbed") != start
    world.go(*back)
    for number in visited(effects):
        case = f"killed at {number} of {len(effects)}, {effects[number - 1]}"
        assert world.go(*verb, code=None, triggers={number: "kill"}).killed, case
        followed = world.go(*verb, code=None) if number % 2 else world.go(*FINISH)
        if world.whole(f"{case}, then {followed.output}") != start:
            world.go(*back)
        assert world.whole(case) == start
    for turn, number in enumerate(visited(effects)):
        fault = fitting(effects[number - 1], turn)
        case = f"{fault} at {number} of {len(effects)}, {effects[number - 1]}"
        ran = world.go(*verb, code=None, triggers={number: fault})
        changed = world.whole(f"{case}: {ran.output}") != start
        assert changed == (ran.code in {0, 3}), f"{case}: {ran.code} {ran.output}"
        if changed:
            world.go(*back)


@pytest.mark.promise("P2")
@pytest.mark.contract("R7")
def test_a_rollback_of_the_media_alone_killed_at_any_effect_leaves_the_database(world):
    """Also where the database was rolled back before, alone: a name alone must not speak for both."""
    world.go(*RESTORE)
    world.go(*ROLLBACK)
    world.go(*REDO, "--media-only")
    rows, new_media = world.old[0], world.new[1]
    assert world.view() == (rows, new_media)
    effects = world.go(*ROLLBACK, "--media-only").effects
    world.go(*REDO, "--media-only")
    for number in visited(effects):
        world.go(*ROLLBACK, "--media-only", code=None, triggers={number: "kill"})
        world.go(*FINISH)
        now = world.view()
        assert now[0] == rows, f"killed at {number}, {effects[number - 1]}: the database changed"
        assert now[1] in (world.old[1], new_media), f"killed at {number}, {effects[number - 1]}"
        if now[1] != new_media:
            world.go(*REDO, "--media-only")
