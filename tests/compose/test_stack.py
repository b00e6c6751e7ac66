"""The test bed itself: the reference stack works, so that what a test finds is about the product."""

import gzip
import hashlib
import json
import os
import subprocess
import time

import pytest

from compose.dockerstack import PROJECT, SERVICES, Visitor, belongings, eventually

pytestmark = pytest.mark.contract("C2")


def test_every_service_of_the_runbook_is_healthy(stack):
    assert stack.states() == dict.fromkeys(SERVICES, "running/healthy")
    assert json.loads(Visitor(stack.health_url).get(""))["database"] == "ok"


def test_volumes_have_the_runbooks_names_and_places(stack):
    volumes = json.loads(stack.compose("config", "--format", "json").stdout)["volumes"]
    assert sorted(volumes) == ["media_volume", "postgres_data", "redis_data", "static_volume"]
    assert stack.exec("nginx", "touch", "/app/media/x", check=False).returncode != 0
    assert stack.exec("backend", "stat", "-c", "%U", "/app/media").stdout == "app\n"


def test_an_uploaded_copy_is_served_by_nginx_and_belongs_to_the_site(stack):
    content = b"%PDF-1.4\n" + os.urandom(300_000)
    exam = stack.sql("SELECT id FROM exams_exam LIMIT 1")
    visitor = stack.visitor()
    path = visitor.upload_copy(exam, "uploaded-1", content)
    assert hashlib.sha256(visitor.get(path)).digest() == hashlib.sha256(content).digest()
    assert stack.exec("backend", "stat", "-c", "%U", f"/app{path}").stdout == "app\n"
    assert b"--darkened-bg" in visitor.get("/static/admin/css/base.css")


def test_the_worker_does_a_task_that_the_backend_gave(stack):
    written = mark_a_copy(stack, seconds=1)
    assert eventually(lambda: stack.sql(written) == "lock,finalize")


def test_stopping_the_worker_lets_its_task_end(stack):
    written = mark_a_copy(stack, seconds=10)
    assert eventually(lambda: stack.sql(written)) == "lock"
    stack.compose("stop", "celery")
    assert stack.sql(written) == "lock,finalize"


def test_a_worker_that_is_still_starting_stops_at_once(stack):
    stack.compose("restart", "celery")
    started = time.monotonic()
    stack.compose("stop", "celery")
    assert time.monotonic() - started < 30  # its time to finish a task is 60


def mark_a_copy(stack, *, seconds):
    """Give the worker a task, and return the query for the events that it has written so far."""
    code = f"from exams.tasks import grade_slowly; print(grade_slowly.delay({seconds}).id)"
    task = stack.manage("shell", "-c", code).stdout.split()[-1]
    return f"SELECT string_agg(action, ',' ORDER BY id) FROM exams_gradingevent WHERE metadata->>'task' = '{task}'"


def test_the_scheduler_writes_all_the_time(stack):
    lines = "SELECT count(*) FROM exams_gradingevent WHERE metadata->>'by' = 'scheduler'"
    before = int(stack.sql(lines))
    assert eventually(lambda: int(stack.sql(lines)) >= before + 2)


def test_the_runbooks_dump_streams_through_exec_as_it_is_typed(stack):
    command = (
        "docker compose -f infra/docker/docker-compose.prod.yml exec -T db "
        "pg_dump -U ${POSTGRES_USER:-viatique_user} ${POSTGRES_DB:-viatique} | gzip"
    )
    done = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", command], cwd=stack.root, env=stack.env, capture_output=True, check=True
    )
    dump = gzip.decompress(done.stdout).decode()
    assert dump.rstrip().endswith("\\unrestrict") or "PostgreSQL database dump complete" in dump
    assert "CREATE TABLE public.exams_copy" in dump


def test_user_of_the_database_is_its_superuser_and_the_collation_is_that_of_the_official_image(stack):
    asked = "SELECT rolsuper, datcollate FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
    assert stack.sql(asked) == "t|en_US.utf8"


@pytest.mark.parametrize("file", ["prod", "dev", "test"])
def test_compose_files_are_valid_and_ask_for_the_secrets(engine, file, tmp_path):
    words = ["docker", "compose", "-f", str(PROJECT / "infra" / "docker" / f"docker-compose.{file}.yml"), "--env-file"]
    (tmp_path / "empty").touch()
    (tmp_path / "env").write_text("POSTGRES_PASSWORD=a\nDJANGO_SECRET_KEY=b\n")
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    without = subprocess.run(
        [*words, str(tmp_path / "empty"), "config"], env=env, capture_output=True, text=True, check=False
    )
    assert without.returncode != 0
    assert "set it in .env" in without.stderr
    done = subprocess.run(
        [*words, str(tmp_path / "env"), "config", "--services"], env=env, capture_output=True, text=True, check=True
    )
    assert sorted(done.stdout.split()) == sorted(SERVICES)


def test_a_drill_project_runs_and_is_removed_without_changing_production(stack):
    drill = stack.sibling("test")
    drill.up("nginx")
    assert drill.states() == dict.fromkeys(("db", "redis", "backend", "nginx"), "running/healthy")
    assert drill.sql("SELECT count(*) FROM exams_exam") == "0"
    drill.compose("down", "-v")
    assert belongings(drill.project) == set()
    assert stack.healthy()
    assert stack.sql("SELECT count(*) FROM exams_exam") != "0"


def test_development_shows_the_code_of_the_work_tree(stack):
    output = json.loads(stack.sibling("dev").compose("config", "--format", "json").stdout)
    assert output["name"] != stack.project
    mounts = {mount["target"]: mount["source"] for mount in output["services"]["backend"]["volumes"]}
    assert mounts["/app/exams"] == str(stack.root / "demo" / "exams")
