"""The daily checklist of the runbook (9.2), answered from the journal and the status."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.artifact.history import unfinished
from korrigo_backup.artifact.kinds import WITH_ROWS
from korrigo_backup.core.counted import counted
from korrigo_backup.run.record import Outcome
from korrigo_backup.status.attention import LEAST_FREE, span
from korrigo_backup.status.checklists.answer import Answer, answer, ask, describe

if TYPE_CHECKING:
    from korrigo_backup.status.checklists.answer import Evidence

GROUP = "Daily"
_BAD = (Outcome.FAILED, Outcome.INTERRUPTED, Outcome.PARTLY, Outcome.BEGUN)
_UNUSUAL = ("status.damaged", "status.forged", "status.rows", "status.size")


def daily(evidence: Evidence) -> tuple[Answer, ...]:
    """Return the five points of 9.2, in its order."""
    return _made(evidence), _valid(evidence), notified(GROUP, evidence), _space(evidence), _logs(evidence)


def _made(evidence: Evidence) -> Answer:
    point, status = "Backup of the database made (by itself, by the schedule)", evidence.status
    newest = next((good for good in status.good if good.kind in WITH_ROWS), None)
    late = evidence.found("status.none", "status.overdue", "status.directory", "status.unreadable")
    if late or newest is None:
        text = late.message if late else "there is none"
        return answer(GROUP, point, done=False, evidence=text, hint="korrigo-backup backup")
    record = evidence.made()
    by = f"; {describe(record)}" if record else ""
    text = f"{newest.name}, {span(newest.age)} old{by}"
    if evidence.status.facts.scheduled is False:
        return ask(GROUP, point, f"{text}; no schedule is installed by korrigo-backup: does another program start it?")
    return answer(GROUP, point, done=True, evidence=text)


def _valid(evidence: Evidence) -> Answer:
    point, verified = "File made and validated (size, integrity)", evidence.status.verified
    bad = evidence.found(*_UNUSUAL)
    if bad or verified is None:
        text, hint = (bad.message, bad.hint) if bad else ("no backup was ever verified", "korrigo-backup verify")
        return answer(GROUP, point, done=False, evidence=text, hint=hint)
    return answer(GROUP, point, done=True, evidence=verified.describe())


def notified(group: str, evidence: Evidence) -> Answer:
    """Return the point about notification: the channels are known, but only a person knows whether a notice arrived."""
    point = "Notification received (mail, Slack)"
    if not evidence.channels:
        return answer(group, point, done=False, evidence="no channel is configured",
                      hint="set [notify] urls, then: korrigo-backup notify test")  # fmt: skip
    return ask(
        group, point, f"configured: {counted(evidence.channels, 'channel')}; korrigo-backup notify test tries them"
    )


def _space(evidence: Evidence) -> Answer:
    point, space = f"Enough disk space (more than {LEAST_FREE:.0%} free)", evidence.status.space
    if space is None:
        return answer(
            GROUP, point, done=False, evidence="the disk of the backups cannot be seen", hint="check BACKUP_DIR"
        )
    short = evidence.found("status.full")
    text = f"{space.free_part:.0%} free; {space.forecast}"
    done = space.free_part > LEAST_FREE and short is None
    return answer(GROUP, point, done=done, evidence=text, hint="make room: df -h, korrigo-backup prune")


def _logs(evidence: Evidence) -> Answer:
    point, records = "Logs looked at (no errors)", evidence.since(1)
    if not records:
        return ask(GROUP, point, "no run in the last day, or the journal cannot be read: korrigo-backup status")
    at_work = unfinished(evidence.status.facts.records) if evidence.status.facts.holder else None
    bad = [record for record in records if record.outcome in _BAD and record is not at_work]
    if bad:
        text = (
            f"{len(bad)} of {counted(len(records), 'operation')} of the last day did not end well: {describe(bad[-1])}"
        )
        return answer(GROUP, point, done=False, evidence=f"{text}: {bad[-1].message or bad[-1].outcome}",
                      hint="korrigo-backup status")  # fmt: skip
    return answer(
        GROUP, point, done=True, evidence=f"{counted(len(records), 'operation')} in the last day, all ended well"
    )
