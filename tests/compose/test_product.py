"""The product on the real stack: the runbook's scripts and the verbs, typed where an operator types them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from compose.dockerstack import eventually
from compose.test_stack import mark_a_copy

BIN = Path(sys.executable).parent


def korrigo(stack, *arguments, code=0, given="", timeout=300):
    """Run the command in the operator's directory; it must end with `code`."""
    return typed(stack, str(BIN / "korrigo-backup"), *arguments, code=code, given=given, timeout=timeout)


def ended(stack, *arguments):
    """Run the command, which may be told that another run is at work, and return its exit code."""
    env = stack.env | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    argv = [BIN / "korrigo-backup", *arguments]
    return subprocess.run(argv, cwd=stack.root, env=env, capture_output=True, check=False, timeout=300).returncode


def typed(stack, *argv, code=0, given="", timeout=300, env=None):
    done = subprocess.run(
        argv,
        cwd=stack.root,
        env=stack.env | {"PATH": f"{BIN}:{os.environ['PATH']}"} | (env or {}),
        input=given,
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    output = done.stdout + done.stderr
    codes = code if isinstance(code, tuple) else (code,)
    assert done.returncode in codes, f"{argv} ended with {done.returncode}, not {code}:\n{output}"
    assert "Traceback" not in output
    assert stack.password not in output
    return output


def rows(stack):
    return stack.sql(
        "SELECT count(*), md5(string_agg(e::text, ',' ORDER BY id)) FROM exams_exam e"
        " UNION ALL SELECT count(*), md5(string_agg(c::text, ',' ORDER BY id)) FROM exams_copy c"
    )


def files(stack):
    listing = "cd /app/media && find . -name '.[abs]*-2*' -prune -o -type f -print | sort | xargs -d '\\n' sha256sum"
    return stack.exec("backend", "sh", "-c", listing).stdout


@pytest.mark.contract("B1")
@pytest.mark.contract("R1")
@pytest.mark.contract("R8")
@pytest.mark.contract("T3")
@pytest.mark.contract("C2")
def test_the_runbooks_scripts_back_up_and_restore_the_stack(stack):
    output = typed(stack, "./scripts/backup_db.sh")
    assert "✅ Backup created: backups/db_backup_" in output
    before = rows(stack)
    (made,) = (stack.root / "backups").glob("db_backup_2*.sql.gz")
    typed(stack, "./scripts/validate_backup.sh", str(made))
    stack.sql(
        "DELETE FROM exams_annotation; UPDATE exams_exam SET name = 'lost'; DROP TABLE exams_gradingevent CASCADE"
    )
    assert rows(stack) != before
    assert "Restore cancelled" in typed(stack, "./scripts/restore_db.sh", str(made), given="no\n")
    assert rows(stack) != before
    output = typed(stack, "./scripts/restore_db.sh", str(made), given="yes\n")
    assert "✅ Restore completed successfully" in output
    assert re.search(r"⏳ Waiting until healthy, \d+ s at most: backend, celery, celery-beat, nginx\n", output)
    assert "   healthy after " in output
    assert rows(stack) == before
    assert stack.healthy(), stack.states()
    assert list((stack.root / "backups").glob("pre_restore_safety_backup_*.sql.gz"))
    assert not (stack.root / "backups" / ".services-stopped").exists()


@pytest.mark.contract("T3")
def test_only_the_services_that_ran_are_started_again(stack):
    korrigo(stack, "backup")
    stack.compose("stop", "celery-beat")
    output = korrigo(stack, "restore", "latest", "--yes", "--no-safety-backup")
    assert "completed successfully" in output
    states = stack.states()
    assert "celery-beat" not in {
        name for name, state in states.items() if "running" in str(state) or "Up" in str(state)
    }
    stack.up()


@pytest.mark.contract("T3")
@pytest.mark.contract("R8")
def test_the_worker_ends_its_task_before_the_data_is_replaced(stack):
    korrigo(stack, "backup")
    events = mark_a_copy(stack, seconds=8)
    assert eventually(lambda: stack.sql(events)) == "lock"
    korrigo(stack, "restore", "latest", "--yes", "--no-safety-backup")
    assert stack.sql(events) == ""
    replaced = stack.sql("SELECT max(datname) FROM pg_database WHERE datname LIKE 'viatique_before_%'")
    assert stack.sql(events, replaced) == "lock,finalize"
    assert stack.visitor().get("/admin/")


@pytest.mark.contract("B4")
@pytest.mark.contract("R5")
@pytest.mark.skipif(os.geteuid() != 0, reason="the engine's volumes are root's")
def test_a_restore_point_of_the_stack_brings_back_rows_and_files(stack):
    output = korrigo(stack, "backup", "full")
    point = json.loads(next((stack.root / "backups").glob("restore_point_*.json")).read_text())
    assert set(point["consistency"]["columns"]) >= {"exams_copy.pdf", "exams_booklet.pages_images"}, output
    assert point["consistency"]["missing"] == 0
    saved, tree = rows(stack), files(stack)
    stack.sql("UPDATE exams_exam SET name = 'lost'")
    stack.exec("backend", "sh", "-c", "cd /app/media && rm -rf copies* && echo intruder > intruder.pdf")
    assert files(stack) != tree
    output = korrigo(stack, "restore", "latest-point", "--yes")
    assert rows(stack) == saved
    assert files(stack) == tree
    assert stack.healthy()
    korrigo(stack, "rollback", "--yes")
    assert "intruder.pdf" in files(stack)
    korrigo(stack, "rollback", "--to", "after", "--yes")
    assert files(stack) == tree


@pytest.mark.contract("R6")
def test_the_stack_is_validated(stack):
    output = typed(stack, "./scripts/validate_restore.sh")
    assert "✅ All validation checks passed!" in output


@pytest.mark.promise("P8")
def test_backup_with_a_stopped_database_fails_and_names_the_command_that_starts_it(stack):
    stack.compose("stop", "db")
    try:
        output = korrigo(stack, "backup", code=8)
    finally:
        stack.up()
    assert "is not running" in output
    assert "up -d" in output
    assert list((stack.root / "backups").glob("db_backup_2*")) == []


@pytest.mark.contract("B5")
def test_a_django_backup_is_copied_out_of_the_container_and_leaves_no_file_inside(stack):
    inside = stack.exec("backend", "ls", "-a", "/tmp").stdout
    output = korrigo(stack, "backup", "full", "--method", "django")
    assert stack.exec("backend", "ls", "-a", "/tmp").stdout == inside
    (made,) = (stack.root / "backups").glob("korrigo_backup_*")
    assert f"✅ Backup created: backups/{made.name}" in output
    manifest = json.loads((made / "manifest.json").read_text())
    assert manifest["site"] == "korrigo"
    assert manifest["auth"]["hmac"]
    assert len(list(made.iterdir())) == 4
    assert "objects, all JSON" in korrigo(stack, "verify", str(made))
