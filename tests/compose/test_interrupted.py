"""Containers that are killed under a run, an engine that goes away, a backend that is stopped: nothing lost, nothing left."""

import json
import os
import signal
import subprocess
import time
from contextlib import contextmanager, suppress

import pytest

from compose.dockerstack import PROJECT, SERVICES, ComposeFailed, belongings, docker, eventually
from compose.test_product import BIN, files, korrigo, rows, typed

ENGINE = PROJECT / "tests" / "compose" / "engine.sh"
STATE = "/run/korrigo-test-engine/pid"
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="the engine's volumes are root's")


@contextmanager
def started(stack, *arguments, program=(BIN / "korrigo-backup",)):
    """Start the command as an operator does, with its lines at hand."""
    argv, env = [*program, *arguments], stack.env | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    with subprocess.Popen(
        argv, cwd=stack.root, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            yield child
        finally:
            child.kill()


@contextmanager
def locked(stack, table):
    """Hold a lock that a dump, whoever makes it, waits for."""
    waiting = f"BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(120)"
    argv = [*stack.argv, "exec", "-T", "db", "psql", "-qX", "-U", "viatique_user", "-d", "viatique", "-c", waiting]
    with subprocess.Popen(argv, cwd=stack.root, env=stack.env, stdin=subprocess.DEVNULL) as holder:
        asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        eventually(lambda: stack.sql(asleep) == "1")
        try:
            yield
        finally:
            with suppress(ComposeFailed):  # the database may have been killed, and the lock with it
                stack.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            holder.terminate()


def waits(stack):
    """Tell whether somebody waits for that lock."""
    return stack.sql("SELECT count(*) FROM pg_locks WHERE NOT granted") != "0"


def container(stack, service):
    return stack.compose("ps", "--all", "--quiet", service).stdout.strip()


def backends(stack):
    """The containers in which the backend's code runs, those of one command too."""
    labels = (f"label=com.docker.compose.project={stack.project}", "label=com.docker.compose.service=backend")
    return docker("ps", "--quiet", *(word for label in labels for word in ("--filter", label)))


def present(stack, temporary):
    """Everything that a run could leave: containers, volumes, networks, files inside and outside, what runs."""
    inside = {name: stack.exec(name, "ls", "-A", "/tmp").stdout.split() for name in SERVICES}
    inside["celery"] = [name for name in inside["celery"] if not name.startswith("pymp-")]  # a new one at each start
    outside = sorted(os.listdir(temporary))
    databases = stack.sql("SELECT datname FROM pg_database ORDER BY 1")
    return belongings(stack.project), inside, outside, databases, stack.states()


def published(stack):
    return sorted(path.name for path in (stack.root / "backups").glob("[!.]*"))


@pytest.mark.promise("P3")
def test_a_database_that_is_killed_during_a_dump_leaves_no_backup(stack):
    with locked(stack, "exams_exam"), started(stack, "backup") as child:
        eventually(lambda: waits(stack))
        docker("kill", container(stack, "db"))
        output, errors = child.communicate(timeout=120)
    assert child.returncode in {1, 8}, output + errors
    assert errors.startswith("error: "), errors
    assert "hint: " in errors
    assert "state: nothing was changed" in errors
    assert published(stack) == []
    stack.up()
    korrigo(stack, "backup")
    assert not list((stack.root / "backups").glob(".partial-*"))


@pytest.mark.promise("P3")
def test_a_backend_that_is_killed_during_a_django_backup_leaves_no_backup(stack):
    with locked(stack, "exams_exam"), started(stack, "backup", "full", "--method", "django") as child:
        eventually(lambda: waits(stack))
        while child.poll() is None:  # in the service's container, or in one of its own where that was not found running
            for name in backends(stack):
                subprocess.run(["docker", "kill", name], check=False, capture_output=True)
            time.sleep(0.5)
        output, errors = child.communicate(timeout=120)
    assert child.returncode in {1, 8}, output + errors
    assert "error: " in errors
    assert "Traceback" not in errors
    assert published(stack) == []
    stack.up()
    korrigo(stack, "backup", "full", "--method", "django")


@as_root
@pytest.mark.promise("P2")
def test_an_engine_that_is_restarted_before_the_swap_leaves_the_old(stack):
    if not os.path.exists(STATE):
        pytest.skip("the engine was not started by tests/compose/engine.sh, and is not ours to stop")
    korrigo(stack, "backup", "full")
    stack.sql("UPDATE exams_exam SET name = 'of today'")
    stack.exec("backend", "sh", "-c", "echo today > /app/media/today.pdf")
    saved, tree = rows(stack), files(stack)
    with started(stack, "restore", "latest-point", "--yes", "--no-safety-backup") as child:
        for line in child.stdout:
            if line.startswith("🛑"):
                break
        child.send_signal(signal.SIGSTOP)
        try:
            subprocess.run([ENGINE, "stop"], check=True, capture_output=True, timeout=300)
        finally:
            subprocess.run([ENGINE], check=True, capture_output=True, timeout=300)
        child.send_signal(signal.SIGCONT)
        output, errors = child.communicate(timeout=300)
    assert child.returncode not in {0, 3}, output
    assert "error: " in errors
    assert "state: " in errors
    stack.up()
    korrigo(stack, "list")
    korrigo(stack, "backup")  # finishes or takes back what was left
    assert stack.healthy(), stack.states()
    assert (rows(stack), files(stack)) == (saved, tree)


@as_root
@pytest.mark.promise("P4")
def test_nothing_is_left_behind(stack, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()

    def run(*arguments):
        typed(stack, "env", f"TMPDIR={temporary}", str(BIN / "korrigo-backup"), *arguments)

    before = present(stack, temporary)
    assert before[2] == []
    run("backup", "full")
    run("backup", "full", "--method", "django")
    run("validate")
    assert present(stack, temporary) == before
    run("restore", "latest-point", "--yes")
    run("rollback", "--yes")
    things, inside, outside, databases, states = present(stack, temporary)
    assert (things, inside, outside, states) == (before[0], before[1], before[2], before[4])
    aside = set(databases.split()) - set(before[3].split())
    assert len(aside) == 1  # what the rollback replaced, to go forward again
    assert "_after_" in aside.pop()


@as_root
@pytest.mark.contract("T4")
def test_what_needs_the_backend_runs_in_a_container_of_its_own_while_it_is_stopped(stack):
    stack.compose("stop", "backend")
    try:
        before = belongings(stack.project)
        korrigo(stack, "backup", "full")
        point = json.loads(next((stack.root / "backups").glob("restore_point_*.json")).read_text())
        assert set(point["consistency"]["columns"]) >= {"exams_copy.pdf", "exams_booklet.pages_images"}
        korrigo(stack, "backup", "full", "--method", "django")
        saved = rows(stack)
        stack.sql("UPDATE exams_exam SET name = 'lost'")
        output = korrigo(stack, "restore", "latest-point", "--yes", "--no-safety-backup")
        assert rows(stack) == saved
        assert "✅ Validation passed" in output
        assert "Migrations OK" in korrigo(stack, "validate")
        assert belongings(stack.project) == before
        assert {name for name, state in stack.states().items() if state.startswith("exited")} == {"backend"}
    finally:
        stack.up()
