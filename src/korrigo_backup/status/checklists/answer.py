"""The answers of a checklist: done, not done, or a matter for a person, each with its evidence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.history import BACKUPS
from korrigo_backup.run.record import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from korrigo_backup.core.finding import Finding
    from korrigo_backup.run.record import Record
    from korrigo_backup.status.model import Status

GOOD = (Outcome.DONE, Outcome.PARTLY)


class AnswerState(StrEnum):
    """Whether a point is met; `ask` where only a person can know it."""

    YES = "yes"
    NO = "no"
    ASK = "ask"


class Answer(msgspec.Struct, frozen=True):
    """A point of a checklist, in the runbook's words, with its evidence and the next step if it is not met."""

    group: str
    point: str
    state: AnswerState
    evidence: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """The facts that answers are computed from.

    `channels` counts the channels that are notified of runs, `people` the contacts; `modes` are those of the newest
    good backups, by name.
    """

    status: Status
    channels: int = 0
    people: int = 0
    modes: Mapping[str, int]

    def found(self, *ids: str) -> Finding | None:
        """Return the first finding of the status with any of these ids."""
        return next((finding for finding in self.status.attention if finding.id in ids), None)

    def newest(self, wanted: Callable[[Record], bool]) -> Record | None:
        """Return the newest operation that ended well and is wanted."""
        return next((r for r in reversed(self.status.facts.records) if r.outcome in GOOD and wanted(r)), None)

    def made(self, *verbs: str) -> Record | None:
        """Return the newest backup that ended well, by any of these verbs (all by default)."""
        return self.newest(lambda record: record.verb in (verbs or BACKUPS))

    def since(self, days: float) -> Sequence[Record]:
        """Return the operations of the last `days`."""
        return [r for r in self.status.facts.records if self.status.now - r.started <= timedelta(days=days)]


def answer(group: str, point: str, *, done: bool, evidence: str, hint: str = "") -> Answer:
    """Return a point that the machine has answered; the hint only where it is not met."""
    return Answer(group, point, AnswerState.YES if done else AnswerState.NO, evidence, "" if done else hint)


def ask(group: str, point: str, evidence: str) -> Answer:
    """Return a point that a person answers, with the facts that are known about it."""
    return Answer(group, point, AnswerState.ASK, evidence)


def describe(record: Record) -> str:
    """Return an operation in words: verb, subject, user and time."""
    return f"{record.verb} {record.subject} by {record.by}, {record.started:%Y-%m-%d %H:%M} UTC"
