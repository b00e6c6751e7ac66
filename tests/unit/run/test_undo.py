"""Undo runs backwards, halts at the first failure, and the error says which world we are in."""

from functools import partial

import pytest

from korrigo_backup.errors import UNCHANGED, Interrupted, KorrigoBackupError, Unreachable
from korrigo_backup.run import undo as undo_module
from korrigo_backup.run.undo import ROLLED_BACK, Halt, UndoStack, all_or_nothing


def broken(message="out of luck"):
    return KorrigoBackupError(message, hint="h")


def test_steps_are_taken_back_last_first():
    done: list[int] = []
    with pytest.raises(KorrigoBackupError) as caught, all_or_nothing() as undo:
        for number in (1, 2, 3):
            undo.push(str(number), partial(done.append, number))
        raise broken()
    assert done == [3, 2, 1]
    assert caught.value.state == ROLLED_BACK


def test_an_error_before_the_first_step_reports_an_unchanged_state():
    with pytest.raises(KorrigoBackupError) as caught, all_or_nothing():
        raise broken()
    assert caught.value.state == UNCHANGED


@pytest.mark.promise("P2")
def test_the_stack_halts_at_the_first_undo_that_fails():
    done = []

    def fail():
        raise broken("no server")

    with pytest.raises(KorrigoBackupError) as caught, all_or_nothing() as undo:
        undo.push("the start of the services", lambda: done.append("started"))
        undo.push("the swap", fail)
        raise broken()
    assert done == []
    assert "STOPPED while undoing (the swap): no server" in caught.value.state


def test_a_stack_that_halted_names_the_step_and_the_reason():
    undo = UndoStack()
    problem = broken("no right")

    def fail():
        raise problem

    undo.push("the staged database", fail)
    undo.unwind(broken())
    assert undo.halt == Halt("the staged database", problem)


def test_undo_runs_after_ctrl_c_and_not_after_success():
    done = []
    with all_or_nothing() as undo:
        undo.push("x", lambda: done.append("x"))
    assert done == []
    with pytest.raises(KeyboardInterrupt, match="rolled back"), all_or_nothing() as undo:
        undo.push("x", lambda: done.append("x"))
        raise KeyboardInterrupt
    assert done == ["x"]


@pytest.mark.promise("P2")
def test_an_unexpected_error_undoes_all_steps_too():
    done = []
    with pytest.raises(ZeroDivisionError), all_or_nothing() as undo:
        undo.push("x", lambda: done.append("x"))
        raise ZeroDivisionError
    assert done == ["x"]


@pytest.mark.promise("P2")
def test_undo_runs_after_a_signal_and_reports_the_rollback():
    done = []
    with pytest.raises(Interrupted, match="rolled back"), all_or_nothing() as undo:
        undo.push("x", lambda: done.append("x"))
        raise Interrupted
    assert done == ["x"]


def test_a_server_that_comes_back_in_time_is_waited_for(monkeypatch):
    monkeypatch.setattr(undo_module, "_PAUSE", 0.01)
    answers = iter([Unreachable("away", hint="h"), Unreachable("away", hint="h"), None])

    def back():
        if problem := next(answers):
            raise problem

    undo = UndoStack()
    undo.push("the swap", back)
    assert undo.unwind(broken()).state == ROLLED_BACK


@pytest.mark.promise("P2")
def test_a_server_that_stays_away_is_given_up(monkeypatch):
    monkeypatch.setattr(undo_module, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(undo_module, "_PAUSE", 0.01)
    tries = []

    def back():
        tries.append(1)
        assert len(tries) < 1000, "it is tried for ever"
        raise Unreachable("away", hint="h")

    undo = UndoStack()
    undo.push("the swap", back)
    assert "STOPPED while undoing (the swap): away" in undo.unwind(broken()).state
    assert len(tries) > 1
