"""Running programs: status, words, secrets, time."""

import os
import signal
import time

import pytest

from korrigo_backup.core.secret import Secret
from korrigo_backup.errors import KorrigoBackupError, UsageError
from korrigo_backup.system import progress
from korrigo_backup.system.run import TAIL_LINES, Command, describe_status, ended_after, run, spawn


def shell(text, **env):
    return Command(("sh", "-c", text), env)


def test_status_output_and_words_come_back():
    done = run(shell("cat; echo words >&2; exit 3"), stdin=b"given")
    assert (done.status, done.stdout, done.stderr) == (3, b"given", "words")


@pytest.mark.promise("P6")
def test_of_much_standard_error_the_end_is_kept():
    done = run(shell("seq 1 100000 >&2"))
    assert done.stderr.splitlines() == [str(n) for n in range(100001 - TAIL_LINES, 100001)]
    with spawn(shell("seq 1 100000 >&2; head -c 9000000 /dev/zero >&2")) as process:
        assert process.wait() == 0
        assert len(process.stderr) < 100_000


@pytest.mark.contract("C5")
@pytest.mark.promise("P7")
def test_secrets_reach_the_environment_and_no_message():
    secret = Secret("hunter22")
    done = run(shell('test "$KEY" = hunter22 && echo "it is $KEY" >&2', KEY=secret))
    assert (done.status, done.stderr) == (0, "it is ***")
    with spawn(shell('echo "it is $KEY" >&2', KEY=secret)) as process:
        process.wait()
        assert process.stderr == "it is ***"
    assert "hunter22" not in repr(shell("x", KEY=secret))


@pytest.mark.promise("P7")
def test_a_child_sees_a_reduced_environment(monkeypatch):
    monkeypatch.setenv("POSTGRES_PASSWORD", "hunter22")
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=1")
    seen = run(shell("env")).stdout.decode()
    assert "hunter22" not in seen
    assert "PGOPTIONS" not in seen
    assert f"PATH={os.environ['PATH']}" in seen


@pytest.mark.parametrize("program", ["no-such-program-anywhere", "/etc/passwd", "/"])
def test_a_program_that_cannot_run_is_named(program):
    for start in (lambda: run(Command((program,))), lambda: spawn(Command((program,))).__enter__()):
        with pytest.raises(UsageError, match=f"cannot run {program}"):
            start()


@pytest.mark.promise("P6")
def test_a_program_that_does_not_answer_is_ended():
    started = time.monotonic()
    with pytest.raises(KorrigoBackupError, match=r"sleep did not answer within 0.2 s"):
        run(Command(("sleep", "60")), timeout=0.2)
    assert time.monotonic() - started < 10


def test_leaving_the_block_ends_the_program():
    with spawn(Command(("sleep", "60")), stdin=True, stdout=True) as process:
        assert process.poll() is None
    assert process.poll() == -15


def test_a_reader_that_left_is_no_error_of_ours():
    with spawn(Command(("true",)), stdin=True) as process:
        process.wait()
        with pytest.raises(BrokenPipeError):
            process.stdin.write(b"x" * 1_000_000)
            process.stdin.flush()


@pytest.mark.parametrize(("status", "words"), [(-9, "was ended by SIGKILL"), (3, "ended with status 3")])
def test_a_status_in_words(status, words):
    assert describe_status(status) == words


@pytest.mark.promise("P6")
def test_a_process_that_takes_too_long_is_asked_to_end():
    with spawn(Command(("sleep", "60")), stdout=True) as process, ended_after(0.01, process):
        assert process.wait() == -signal.SIGTERM


def test_a_process_that_is_waited_for_is_under_way_until_its_end():
    seen = []
    progress.watch(lambda: seen.append([work.name for work in progress.works()]))
    try:
        run(Command(("sleep", "0.01")))
    finally:
        progress.watch(None)
    assert seen == [["running sleep"]]
    assert progress.works() == []
