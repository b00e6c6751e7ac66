"""Notify about a run: its start and its end. A channel that fails is named and does not change the run."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from korrigo_backup.errors import INTERRUPTED, Cancelled, Interrupted, KorrigoBackupError, PartlyDone
from korrigo_backup.notify.event import Event, after_success, journal_tail, newest_finished
from korrigo_backup.run import journal
from korrigo_backup.run.record import Outcome, Verb

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from korrigo_backup.core.finding import Finding
    from korrigo_backup.notify.send import Announcer

_RECORDED = frozenset({Verb.BACKUP, Verb.NIGHTLY})
"""The runs whose failure is always recorded, also one before the site was reached. A slip in the name of a backup to
restore is no failure of the site."""


@dataclass
class Telling:
    """A run with notifications; `facts` are lines for the recipients (names and sizes, never content)."""

    facts: dict[str, str] = field(default_factory=dict)


@contextmanager
def announced(
    announcer: Announcer,
    directory: Path,
    verb: str,
    subject: str,
    *,
    say: Callable[[tuple[Finding, ...]], None],
    once: bool = False,
) -> Iterator[Telling]:
    """Notify about the run of `verb` in the block: its start, and its end by how the block is left.

    Left with PartlyDone it is a warning, with another error or a signal a failure; a success after a failed run of the
    same verb and subject is a recovery. An exception goes on unchanged; for Cancelled no notice is sent. `say` is
    called with findings about failed channels, which are also added to the journal in `directory`. With `once` a
    failure after a failure is not notified again. Without channels a backup that failed before it was recorded is
    recorded.
    """
    telling = Telling()
    if announcer.silent:
        with _failure_recorded(announcer, directory, verb, subject):
            yield telling
        return
    success = after_success(newest_finished(journal.read(directory), verb, subject))
    failed_before = success is Event.RECOVERED
    run = _AnnouncedRun(announcer, directory, verb, subject, say, telling, silent_failures=once and failed_before)
    try:
        run.tell(Event.START)
        yield telling
    except Cancelled:
        raise
    except PartlyDone as problem:
        run.tell_of(Event.WARNING, problem)
        raise
    except KorrigoBackupError as problem:
        run.tell_of(Event.FAILURE, problem)
        raise
    except (Interrupted, KeyboardInterrupt) as signal:
        run.tell_of(Event.FAILURE, _interrupted(signal), Outcome.INTERRUPTED)
        raise
    except Exception as fault:
        run.tell_of(Event.FAILURE, _unexpected(fault))
        raise
    try:
        run.tell(success)
    except Interrupted:
        raise Interrupted(f"the {verb} itself is complete") from None


@contextmanager
def _failure_recorded(announcer: Announcer, directory: Path, verb: str, subject: str) -> Iterator[None]:
    """Record a backup that fails in the block before it has recorded itself."""
    began = datetime.now(UTC)
    try:
        yield
    except (PartlyDone, Cancelled):
        raise
    except KorrigoBackupError as problem:
        if verb in _RECORDED:
            _note(announcer, directory, (verb, subject), began, problem)
        raise


@dataclass(frozen=True)
class _AnnouncedRun:
    """A run, and the means to notify about it."""

    announcer: Announcer
    directory: Path
    verb: str
    subject: str
    say: Callable[[tuple[Finding, ...]], None]
    telling: Telling
    silent_failures: bool = False
    id: str = field(default_factory=lambda: str(uuid4()))
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def tell(self, event: Event, problem: KorrigoBackupError | None = None) -> None:
        """Send the notice, then report and record failed channels."""
        problem_fields = {"message": problem.message, "hint": problem.hint, "state": problem.state} if problem else {}
        tail = () if event is Event.START else journal_tail(journal.read(self.directory))
        notice = self.announcer.notice(
            event, self.verb, facts=self.telling.facts, tail=tail, run=self.id, **problem_fields
        )
        failed = self.announcer.tell(notice)
        if failed:
            self.say(failed)
            remark = "; ".join(finding.message for finding in failed)
            journal.remark(self.directory, self.announcer.secrets, (self.verb, self.subject), self.began, remark)

    def tell_of(self, event: Event, problem: KorrigoBackupError, outcome: Outcome = Outcome.FAILED) -> None:
        """Notify about a run that did not succeed. A signal meanwhile ends the sending, not the raised error."""
        if event is Event.FAILURE:
            self._note(problem, outcome)
            if self.silent_failures:
                return
        try:
            self.tell(event, problem)
        except (Interrupted, KeyboardInterrupt):
            return

    def _note(self, problem: KorrigoBackupError, outcome: Outcome) -> None:
        """Record a run that failed before it was recorded: else its successor would not be known as a recovery."""
        _note(self.announcer, self.directory, (self.verb, self.subject), self.began, problem, outcome)


def _note(
    announcer: Announcer,
    directory: Path,
    run: tuple[str, str],
    began: datetime,
    problem: KorrigoBackupError,
    outcome: Outcome = Outcome.FAILED,
) -> None:
    """Record the run (verb, subject) that ended with `problem`, unless it has recorded itself since `began`."""
    code = INTERRUPTED if outcome is Outcome.INTERRUPTED else problem.exit_code
    journal.note_early(
        directory,
        announcer.secrets,
        (announcer.site, *run),
        began,
        outcome=outcome,
        code=code,
        message=problem.message,
        error=problem.id,
    )


def _interrupted(signal: BaseException) -> KorrigoBackupError:
    return KorrigoBackupError("interrupted", hint="run it again when you are ready", state=str(signal) or "unknown")


def _unexpected(fault: Exception) -> KorrigoBackupError:
    """Return the error to send for a fault of the program; its text, which may hold secrets, stays on the host."""
    return KorrigoBackupError(
        f"unexpected {type(fault).__name__}", hint="see the output of the run on the host", state="unknown"
    )
