"""How long an undo step waits for a server that is gone, on a clock of our own."""

import pytest

from korrigo_backup.errors import KorrigoBackupError, Unreachable
from korrigo_backup.run.undo import PATIENCE_SECONDS, ROLLED_BACK, UndoStack
from manual_clock import install_clock

GONE = Unreachable("the server is gone", hint="")


@pytest.fixture
def clock(monkeypatch):
    return install_clock(monkeypatch)


def unwound(step):
    stack = UndoStack()
    stack.push("a step", step)
    return stack.unwind(KorrigoBackupError("why", hint="")).state


@pytest.mark.promise("P2")
def test_a_server_that_comes_back_in_time_is_waited_for(clock):
    def step():
        if clock.now < PATIENCE_SECONDS - 1:
            raise GONE

    assert unwound(step) == ROLLED_BACK
    assert clock.now >= PATIENCE_SECONDS - 1


@pytest.mark.promise("P6")
def test_a_server_that_does_not_come_back_stops_the_undo_soon_after_the_limit(clock):
    def step():
        raise GONE

    assert unwound(step).startswith("STOPPED while undoing (a step): the server is gone")
    assert PATIENCE_SECONDS < clock.now <= PATIENCE_SECONDS + 2


def test_another_error_is_not_waited_for(clock):
    tries = []

    def step():
        tries.append(1)
        raise KorrigoBackupError("broken", hint="")

    assert unwound(step).startswith("STOPPED")
    assert (len(tries), clock.now) == (1, 0)
