"""Where the seconds of a run went: phases, processes by kind, and the lines that say it."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from korrigo_backup.cli.output import timings_text
from korrigo_backup.system import timings
from korrigo_backup.system.run import Command, run, spawn

TOOL = Path(sys.executable).with_name("korrigo-backup")


@pytest.fixture
def recorder():
    yield timings.begin()
    timings.finish()


def test_an_inner_phase_is_not_counted_for_the_outer_one(recorder):
    with timings.phase("outer"), timings.phase("inner"):
        time.sleep(0.05)
    timings.finish()
    assert recorder.phases["inner"].seconds >= 0.05
    assert recorder.phases["outer"].seconds < recorder.phases["inner"].seconds


def test_the_phases_add_up_to_the_whole(recorder):
    with timings.phase("one"):
        time.sleep(0.02)
    time.sleep(0.02)
    timings.finish()
    whole = time.monotonic() - recorder.began
    assert sum(one.seconds for one in recorder.phases.values()) == pytest.approx(whole, abs=0.05)


def test_a_phase_of_another_thread_is_not_counted(recorder):
    with timings.phase("one"):
        beside = threading.Thread(target=timings.phase("beside")(lambda: None))
        beside.start()
        beside.join()
    assert "beside" not in recorder.phases


def test_processes_are_counted_by_kind_and_their_processor_time_with_the_phase(recorder):
    busy = Command((sys.executable, "-c", "sum(range(3_000_000))"))
    with timings.phase("work"):
        run(busy)
        with spawn(busy) as process:
            process.wait()
    timings.finish()
    kind = Path(sys.executable).name
    assert recorder.processes[kind].times == 2
    assert recorder.phases["work"].children > 0


def test_timings_are_discarded_unless_recording_is_on():
    with timings.phase("one"):
        run(Command(("true",)))
    assert timings.finish() is None


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("/usr/lib/postgresql/15/bin/pg_dump --format=plain", "pg_dump"),
        ("docker compose -f a.yml -p site --env-file .env --profile x ps -a -q", "docker compose ps"),
        ("docker-compose -f a.yml stop backend", "docker-compose stop"),
        ("docker inspect 3bf1 6d8a", "docker inspect"),
        ("docker exec -i -e PGUSER=u -e PGDATABASE=d 3bf1 sh -c SCRIPT psql -X", "docker exec psql"),
        ("docker exec -i 3bf1 df -Pk /", "docker exec df"),
        ("docker exec -i 3bf1 sh -c SCRIPT", "docker exec sh"),
        ("docker", "docker"),
    ],
)
def test_the_kind_of_a_command_line_has_no_value_of_it(words, kind):
    assert timings.kind_of(words.split()) == kind


def test_the_lines_name_phases_and_processes(recorder):
    with timings.phase("dump"):
        run(Command(("true",)))
    timings.finish()
    lines = timings_text(recorder).splitlines()
    assert lines[0].startswith("timings: ")
    assert any(line.split()[-1] == "dump" for line in lines)
    assert lines[-1].split()[1:] == ["1", "true"]


@pytest.mark.parametrize("words", [("--timings", "list", "--json"), ("list", "--json", "--timings")])
def test_every_verb_takes_it_before_and_after_and_the_document_stays_whole(tmp_path, words):
    done = subprocess.run([TOOL, *words], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["schema"].startswith("korrigo-backup/")
    assert "start of the program" in done.stderr


def test_a_failed_run_prints_its_timings_after_the_error(tmp_path):
    done = subprocess.run(
        [TOOL, "show", "none", "--timings"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 6
    assert done.stderr.index("error:") < done.stderr.index("timings:")


def test_after_two_dashes_it_is_an_argument(tmp_path):
    done = subprocess.run([TOOL, "show", "--", "--timings"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "start of the program" not in done.stderr
