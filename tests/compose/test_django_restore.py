"""A Django backup restored by one command on the real stack: its manage.py loads a copy of the database, in a container."""

import os
import signal

import pytest

from compose.dockerstack import belongings, eventually
from compose.test_interrupted import started
from compose.test_product import files, korrigo, rows

SLOW = """
CREATE FUNCTION slow() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
ALTER TABLE exams_annotation ADD CONSTRAINT slow CHECK (slow());
CREATE OR REPLACE FUNCTION slow() RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.2); RETURN true; END'
"""
OWNERS = "cd /app/media && find . -mindepth 1 -name '.[ba]*-2*' -prune -o -printf '%u\\n' | sort -u"
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"


def inside(stack):
    """What lies in the places for temporary files, and which containers there are; Celery's pools leave files there."""
    names = ("db", "backend", "nginx", "redis")
    return {name: stack.exec(name, "ls", "-A", "/tmp").stdout for name in names}, belongings(stack.project)


@pytest.mark.contract("R2")
@pytest.mark.contract("R4")
@pytest.mark.contract("R8")
@pytest.mark.contract("T4")
@pytest.mark.promise("P2")
@pytest.mark.skipif(os.geteuid() != 0, reason="the engine's volumes are root's")
def test_rows_and_files_come_back_go_again_and_survive_a_killed_run(stack):
    korrigo(stack, "backup", "full", "--method", "django")
    (made,) = (stack.root / "backups").glob("korrigo_backup_*")
    new, before = (rows(stack), files(stack)), inside(stack)
    stack.sql("UPDATE exams_exam SET name = 'lost'")
    stack.exec("backend", "sh", "-c", "cd /app/media && rm -rf copies* && echo intruder > intruder.pdf")
    old = rows(stack), files(stack)
    stack.sql(SLOW)
    with started(stack, "restore", str(made), "--yes") as child:
        eventually(lambda: stack.sql(ASLEEP, "postgres") != "0", 120)
        child.send_signal(signal.SIGKILL)
    korrigo(stack, "backup")
    stack.up()
    assert (rows(stack), files(stack)) == old
    eventually(lambda: inside(stack) == before)  # Compose removes the one-off container after its end
    stack.sql("ALTER TABLE exams_annotation DROP CONSTRAINT slow; DROP FUNCTION slow")
    output = korrigo(stack, "restore", str(made), "--yes")
    assert "Pass 1: Saved" in output
    assert "✅ Validation passed" in output
    assert (rows(stack), files(stack)) == new
    assert stack.exec("backend", "sh", "-c", OWNERS).stdout == "app\n"
    assert stack.healthy()
    assert inside(stack) == before
    korrigo(stack, "rollback", "--yes")
    assert (rows(stack), files(stack)) == old
    korrigo(stack, "rollback", "--to", "after", "--yes")
