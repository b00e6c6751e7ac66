"""The runbook's errors that only containers have, provoked on the stack: recognised as pasted, and from the journal."""

import json
import subprocess
from contextlib import contextmanager

import pytest

from compose.dockerstack import PROJECT
from compose.test_product import files, korrigo, rows

FORMER = PROJECT / "benchmarks" / "rivals" / "former"
HOME = "/tmp/former-home"
SETTINGS = "from korrigo_demo.settings import *\nINSTALLED_APPS = [*INSTALLED_APPS, 'former']\n"
CIRCLE = "UPDATE exams_exam e SET reference_copy_id = (SELECT min(id::text)::uuid FROM exams_copy WHERE exam_id = e.id)"
EXAMS = "SELECT id, reference_copy_id FROM exams_exam ORDER BY id"


def recognised(stack, text):
    """Return the ids that a pasted output is recognised as, the first first."""
    done = json.loads(korrigo(stack, "explain", "-", "--json", given=text))
    return [one["id"] for one in done["explanations"]]


def failed(stack, *arguments, code):
    """Run the command, which fails; the id in its hint is that of the journal, and of the pasted output."""
    output = korrigo(stack, *arguments, code=code)
    (hint,) = (line for line in output.splitlines() if line.startswith("hint: "))
    id_ = hint.rpartition("(korrigo-backup explain ")[2].removesuffix(")")
    assert recognised(stack, output) == [id_]
    last = json.loads(korrigo(stack, "explain", "--last", "--json"))["explanations"]
    assert [one["id"] for one in last] == [id_]
    assert any("docker compose" in line or "korrigo-backup" in line for line in last[0]["next"])
    return id_


@pytest.mark.contract("X1")
def test_a_service_that_is_stopped_and_one_that_was_removed(stack):
    korrigo(stack, "backup", "db")
    container = stack.compose("ps", "--quiet", "db").stdout.strip()
    try:
        stack.compose("stop", "db")
        assert failed(stack, "backup", "db", code=8) == "container.stopped"
        assert failed(stack, "restore", "latest", "--yes", code=8) == "container.stopped"
        asked = stack.compose("exec", "-T", "db", "pg_isready", check=False)
        assert recognised(stack, asked.stderr) == ["container.stopped"]
        asked = stack.run("docker", "exec", container, "true", check=False)
        assert recognised(stack, asked.stderr) == ["container.stopped"]
        stack.compose("rm", "--force", "db")
        assert failed(stack, "backup", "db", code=6) == "container.absent"
        asked = stack.run("docker", "exec", container, "true", check=False)
        assert recognised(stack, asked.stderr) == ["container.absent"]
    finally:
        stack.up()
    korrigo(stack, "backup", "db")


@contextmanager
def former_command(stack):
    """Put Korrigo's former command into the backend's container; yield the words that run manage.py with it."""
    container = stack.compose("ps", "--quiet", "backend").stdout.strip()
    stack.exec("backend", "mkdir", HOME)
    try:
        stack.run("docker", "cp", FORMER, f"{container}:{HOME}/former")
        stack.exec("backend", "sh", "-c", f"cat > {HOME}/former_settings.py", given=SETTINGS)
        yield ["env", f"PYTHONPATH={HOME}", "DJANGO_SETTINGS_MODULE=former_settings", "python", "manage.py"]
    finally:
        stack.exec("backend", "rm", "-rf", HOME)


def slow_restore(stack, words, path):
    """Let the former command restore until its second pass has ended, then interrupt it; return its lines."""
    argv, lines = [*stack.argv, "exec", "-T", "backend", *words, "former_restore", path], []
    with subprocess.Popen(argv, cwd=stack.root, env=stack.env, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        for line in child.stdout:
            lines.append(line)
            if line.startswith("Pass 2"):
                break
        stack.exec("backend", "sh", "-c", "kill -9 $(grep -ls former_[r]estore /proc/[0-9]*/cmdline | cut -d/ -f3)")
        child.wait(30)
    return "".join(lines)


def without_an_exam(directory):
    """Remove an exam that has copies from the fixture of a backup: rows refer to it, and nothing restores them."""
    (fixture,) = directory.glob("db_backup_*.json")
    rows_ = json.loads(fixture.read_text())
    exam = next(row["fields"]["exam"] for row in rows_ if row["model"] == "exams.copy")
    fixture.write_text(json.dumps([row for row in rows_ if row["pk"] != exam]))


@pytest.mark.contract("X1", "R2")
def test_an_incomplete_restore_and_a_slow_one_of_the_former_command_and_the_same_backup_by_this_program(stack):
    stack.sql(f"UPDATE exams_exam SET archived = false; {CIRCLE}")  # the former command loses archived exams
    korrigo(stack, "backup", "full")
    circle, here = stack.sql(EXAMS), stack.root / "backups"
    container = stack.compose("ps", "--quiet", "backend").stdout.strip()
    with former_command(stack) as words:
        stack.exec("backend", *words, "former_backup", "--output-dir", f"{HOME}/made")
        (name,) = stack.exec("backend", "ls", f"{HOME}/made").stdout.split()
        path = f"{HOME}/made/{name}"
        stack.run("docker", "cp", f"{container}:{path}", here / name)
        done = stack.exec("backend", *words, "former_restore", path)
        assert "Restore incomplete!" in done.stderr
        assert stack.sql(EXAMS) != circle
        assert recognised(stack, done.stdout + done.stderr)[0] == "restore.incomplete"
        assert recognised(stack, slow_restore(stack, words, path)) == ["restore.slow"]
    korrigo(stack, "restore", here / name, "--yes", "--allow-unsigned")  # the circle is no obstacle here
    assert stack.sql(EXAMS) == circle
    restored = rows(stack), files(stack)
    without_an_exam(here / name)
    assert failed(stack, "restore", here / name, "--yes", "--allow-unsigned", code=9) == "rows.foreign_key"
    assert (rows(stack), files(stack)) == restored
