"""Notices: the content of a notification about a run, and the subscription to events."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from korrigo_backup.core.paths import printable
from korrigo_backup.core.personal_data import discreet
from korrigo_backup.core.secret import redact
from korrigo_backup.run.record import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from datetime import datetime

    from korrigo_backup.core.secret import Secret
    from korrigo_backup.run.record import Record


class Event(StrEnum):
    """The event of a notice.

    `warning` is a run that is done in part, `recovered` a success after a failure, `overdue` a run that has not come.
    """

    START = "start"
    SUCCESS = "success"
    WARNING = "warning"
    FAILURE = "failure"
    RECOVERED = "recovered"
    OVERDUE = "overdue"


DEFAULT_EVENTS = (Event.WARNING, Event.FAILURE, Event.RECOVERED, Event.OVERDUE)
"""The events that people are notified of by default: a nightly mail of success is soon not read any more."""

ASK_SOMEBODY = frozenset({Event.FAILURE, Event.OVERDUE})
"""The events whose notice names the contacts."""

_LONGEST = 1000
"""Characters of one text that are sent: an error that quotes a whole program's output is read on the host."""

_FAILED = frozenset({Outcome.FAILED, Outcome.INTERRUPTED})


@dataclass(frozen=True, kw_only=True)
class Notice:
    """An event, with place and time; `contacts` are the people to ask, from the configuration.

    `message`, `hint` and `state` are those of the error, `facts` names and values of a line each, `tail` the newest
    lines of the journal. `run` is the same for the start and the end of a run (a UUID); `test` marks a trial.
    """

    event: Event
    site: str
    environment: str
    host: str
    verb: str
    moment: datetime
    message: str = ""
    hint: str = ""
    state: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    tail: tuple[str, ...] = ()
    contacts: tuple[str, ...] = ()
    run: str = ""
    test: bool = False

    def fit_to_send(self, secrets: Sequence[Secret]) -> Notice:
        """Return the notice as it may leave the host: without secrets and personal data."""

        def fit(text: str) -> str:
            shown = "\n".join(printable(line) for line in redact(text, secrets)[:_LONGEST].splitlines())
            return discreet(shown)

        return replace(
            self,
            message=fit(self.message),
            hint=fit(self.hint),
            state=fit(self.state),
            facts={name: fit(value) for name, value in self.facts.items()},
            tail=tuple(fit(line) for line in self.tail),
        )


def wanted(event: Event, events: Collection[Event]) -> bool:
    """Return whether a subscriber to `events` receives `event`. A subscriber to SUCCESS also receives RECOVERED."""
    return event in events or (event is Event.RECOVERED and Event.SUCCESS in events)


def newest_finished(records: Iterable[Record], verb: str, subject: str | None = None) -> Record | None:
    """Return the newest run of `verb` that has come to an end, of `subject` alone if it is given.

    Cancelled runs are skipped: they do not show whether the backups work.
    """
    skipped = {Outcome.BEGUN, Outcome.CANCELLED}
    of_verb = [r for r in records if r.verb == verb and subject in {None, r.subject} and r.outcome not in skipped]
    return of_verb[-1] if of_verb else None


def after_success(newest: Record | None) -> Event:
    """Return the event of a success after the run `newest`: RECOVERED if that run failed."""
    return Event.RECOVERED if newest and newest.outcome in _FAILED else Event.SUCCESS


def journal_tail(records: Sequence[Record], *, last: int = 10) -> tuple[str, ...]:
    """Return the newest records as a line each, and below the newest its steps with their seconds."""
    lines = [_line(record) for record in records[-last:]]
    steps = records[-1].steps if records else ()
    return (*lines, *(f"  {step.at:9.3f} s  {step.id}" for step in steps))


def _line(record: Record) -> str:
    code = "" if record.exit_code is None else f" (exit {record.exit_code})"
    took = "" if record.seconds is None else f" in {record.seconds:.1f} s"
    message = f": {record.message}" if record.message else ""
    return f"{record.started:%Y-%m-%dT%H:%M:%SZ} {record.verb} {record.subject} {record.outcome}{code}{took}{message}"
