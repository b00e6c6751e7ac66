"""Waiting with a limit, on a clock of our own."""

import pytest

from korrigo_backup.system.wait import wait_until
from manual_clock import install_clock


@pytest.fixture
def clock(monkeypatch):
    return install_clock(monkeypatch)


def test_the_first_answer_that_is_accepted_ends_the_wait(clock):
    answers = iter("abc")
    assert wait_until(lambda answer: answer == "b", lambda: next(answers), seconds=10, pause=1) == "b"
    assert clock.now == 1


def test_after_the_limit_the_last_answer_is_returned(clock):
    assert wait_until(bool, lambda: 0, seconds=10, pause=3) == 0
    assert clock.now == 12


def test_without_time_a_single_answer_is_asked_for(clock):
    asked = []
    assert wait_until(bool, lambda: asked.append(1), seconds=-1, pause=3) is None
    assert (asked, clock.now) == ([1], 0)
