"""A process is ended when it is hopeless to wait for it, and at no other time."""

import sys
import time
from typing import Any

import pytest

from korrigo_backup.errors import Unreachable
from korrigo_backup.media.remote import channel as media_channel
from korrigo_backup.postgres.access import STOPPED, state_of
from korrigo_backup.system import run
from korrigo_backup.system.run import Command, spawn
from korrigo_backup.system.silence import Limits, SilenceWatch

SOON = Limits(silent=0.05, between=0.02, hopeless=0.2)


class Aborted:
    """A process that only takes note of its end."""

    at = None

    def abort(self):
        self.at = time.monotonic()


def watched(judge, seconds, *, waiting=True, move=False):
    process: Any = Aborted()
    with SilenceWatch(process, judge, SOON) as watch:
        if waiting:
            watch.begin()
        until = time.monotonic() + seconds
        while time.monotonic() < until and process.at is None:
            time.sleep(0.01)
            if move:
                watch.end()
                watch.begin()
    return process, watch


def test_a_process_that_is_hopeless_is_ended_with_the_reason():
    process, watch = watched(lambda: "gone", 5)
    assert process.at is not None
    assert watch.lost == "gone"


def test_a_process_that_works_is_left_alone():
    assert watched(lambda: None, 0.8)[0].at is None


def test_a_process_is_left_alone_while_no_call_waits_for_it():
    assert watched(lambda: "gone", 0.8, waiting=False)[0].at is None


def test_a_process_that_moves_is_left_alone():
    assert watched(lambda: "gone", 0.8, move=True)[0].at is None


def test_a_judge_with_other_words_each_time_has_seen_it_move():
    words = iter(range(10_000))
    assert watched(lambda: f"since {next(words)}", 0.8)[0].at is None


def test_a_process_that_takes_no_signal_is_killed(monkeypatch):
    monkeypatch.setattr(run, "_GRACE", 0.2)
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    with spawn(Command((sys.executable, "-c", deaf)), stdout=True) as process:
        process.stdout.readline()
        process.abort()
        assert process.wait() < 0


def test_a_pipe_without_a_reader_does_not_delay_the_end(monkeypatch):
    monkeypatch.setattr(run, "_GRACE", 0.2)
    started = time.monotonic()
    with spawn(Command((sys.executable, "-c", "import time; time.sleep(60)")), stdin=True) as process:
        pipe: Any = process.stdin
        pipe.raw.write(b"x" * (1 << 20))
        pipe.write(b"x")
    assert time.monotonic() - started < 30


def test_the_state_of_a_server_process_is_read():
    assert state_of("12 (postgres: me (x) db) T 1 12") in STOPPED
    assert state_of("12 (postgres) S 1 12") == "S"
    assert state_of("12 (python) T 1 12") == ""
    assert state_of("") == ""


def test_a_program_that_hangs_up_late_is_ended(monkeypatch):
    monkeypatch.setattr(run, "_CLEARING", 0.3)
    started = time.monotonic()
    with spawn(Command((sys.executable, "-c", "import time; time.sleep(60)")), stdin=True, stdout=True) as process:
        process.hang_up()
    assert time.monotonic() - started < 30


def test_a_silent_media_container_is_given_up(monkeypatch):
    monkeypatch.setattr(media_channel, "STREAM", SOON)
    monkeypatch.setattr(media_channel, "LEAVE_SECONDS", 0.1)

    def silent(*_):
        return Command((sys.executable, "-c", "import time; time.sleep(60)"))

    with (
        pytest.raises(Unreachable, match="no data was received"),
        media_channel.asked(silent, {"do": "walk"}, lambda _: None) as channel,
    ):
        channel.value(dict)
