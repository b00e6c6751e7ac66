"""The complete checklist of the runbook (6.7), to be answered before the procedures count as validated."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from korrigo_backup.artifact.history import is_proof
from korrigo_backup.artifact.naming import parse
from korrigo_backup.core.size import human
from korrigo_backup.retention.hold import standing
from korrigo_backup.retention.policy import RetentionFacts, Rule, decide, own_clock
from korrigo_backup.run.record import RESTORES, Outcome, Phase, Verb
from korrigo_backup.status.checklists.answer import GOOD, Answer, Evidence, answer, ask, describe
from korrigo_backup.status.checklists.daily import notified

if TYPE_CHECKING:
    from korrigo_backup.retention.policy import Policy
    from korrigo_backup.run.record import Record

BACKUP, RESTORE, DOCUMENTS, TEAM = "Backup", "Restore", "Documentation", "Team"

OLD = timedelta(days=7)
"""The runbook's "old backup"."""

MONTH = 31
"""Days within which a disaster recovery test counts (6.1: monthly)."""

_BY_HAND = RESTORES | {Verb.ROLLBACK, Verb.REBUILD}

_GRACE = 2
"""Days for which removable backups may stay: the schedule removes them once a night, and may miss a night."""

_PRIVATE = 0o640
"""The most that the runbook lets others do with a backup."""


def release(evidence: Evidence) -> tuple[Answer, ...]:
    """Return the points of 6.7, in its order."""
    return (*_backup(evidence), *_restore(evidence), *_documents(evidence), *_team(evidence))


def _backup(evidence: Evidence) -> tuple[Answer, ...]:
    good, status = evidence.status.good, evidence.status
    odd = evidence.found("status.size", "status.rows")
    verified = status.verified
    return (
        _ran("Manual backup succeeds", evidence.made("backup"), "korrigo-backup backup"),
        _automatic(evidence),
        answer(BACKUP, "Files of the right format (.sql.gz, or a Django directory)", done=bool(good),
               evidence=", ".join(one.name for one in good) or "there is none", hint="korrigo-backup backup"),
        answer(BACKUP, "Size as expected", done=bool(good) and odd is None,
               evidence=odd.message if odd else ", ".join(f"{one.kind} {human(one.size)}" for one in good) or "none",
               hint=odd.hint if odd else "korrigo-backup backup"),
        answer(BACKUP, "Integrity can be verified", done=verified is not None,
               evidence=verified.describe() if verified else "never",
               hint="korrigo-backup verify"),
        _modes(evidence),
        _retention(evidence),
        notified(BACKUP, evidence),
    )  # fmt: skip


def _ran(point: str, record: Record | None, command: str, group: str = BACKUP) -> Answer:
    return answer(group, point, done=record is not None, hint=command,
                  evidence=describe(record) if record else "not in the journal")  # fmt: skip


def _automatic(evidence: Evidence) -> Answer:
    point, record = "Automatic backup works (cron, systemd)", evidence.made("nightly")
    if record and evidence.status.facts.scheduled is False:
        return ask(
            BACKUP, point, f"{describe(record)}; no schedule is installed by korrigo-backup: which program started it?"
        )
    return _ran(point, record, "korrigo-backup schedule install --systemd, or --cron")


def _modes(evidence: Evidence) -> Answer:
    wide = [f"{name} ({mode:o})" for name, mode in evidence.modes.items() if mode & ~_PRIVATE & 0o777 & ~0o100]
    text = ", ".join(wide) or ", ".join(f"{name} ({mode:o})" for name, mode in evidence.modes.items()) or "no backup"
    return answer(BACKUP, "Permissions right (600, 640)", done=bool(evidence.modes) and not wide, evidence=text,
                  hint=f"chmod go-rwx {evidence.status.facts.directory}/*")  # fmt: skip


def _retention(evidence: Evidence) -> Answer:
    point, status = "Retention works: backups that are too old are removed", evidence.status
    facts, policy = status.facts, _later(status.goals.policy)
    given = RetentionFacts(
        status.now, facts.site or "", standing(facts.holds, status.now), environment=facts.environment
    )
    left = [one.artifact.name for one in decide(facts.artifacts, policy, given) if one.remove]
    if left:
        return answer(BACKUP, point, done=False, evidence=f"{len(left)} should have been removed: {left[0]}",
                      hint="korrigo-backup prune shows why; korrigo-backup prune --apply")  # fmt: skip
    removed = sum(step.id == "prune.removed" for record in evidence.since(MONTH) for step in record.steps)
    if removed:
        return answer(BACKUP, point, done=True, evidence=f"{removed} removed in a month, no backup is too old")
    return ask(BACKUP, point, "no backup is too old, and none was removed in the last month: not shown yet")


def _later(policy: Policy) -> Policy:
    """Return the policy with some more days for everything that has any."""
    rules = {field.name: getattr(policy, field.name) for field in fields(policy)}
    return replace(
        policy,
        max_age=policy.max_age and policy.max_age + _GRACE,
        **{
            name: replace(rule, days=rule.days + _GRACE)
            for name, rule in rules.items()
            if isinstance(rule, Rule) and rule.days
        },
    )


def _restore(evidence: Evidence) -> tuple[Answer, ...]:
    restored = evidence.newest(lambda r: r.verb in RESTORES and is_proof(r))
    media = evidence.newest(lambda r: any(step.id == "restore.proven.media" for step in r.steps))
    loaded = evidence.newest(lambda r: is_proof(r) and r.verb != Verb.COMPARE)
    again = "restore into a test site: korrigo-backup restore ARTIFACT"
    return (
        _ran("Restore of a recent backup succeeds", evidence.newest(lambda r: _age(r, old=False)), again, RESTORE),
        _ran("Restore of an old backup (over 7 days) succeeds", evidence.newest(lambda r: _age(r, old=True)), again,
             RESTORE),
        _ran("Data identical before and after", loaded, again, RESTORE),
        _ran("Media files restored as they were", media, "korrigo-backup restore latest-point", RESTORE),
        _ran("No errors of foreign keys or constraints", loaded, again, RESTORE),
        ask(RESTORE, "The application works after a restore", _works(restored)),
        ask(RESTORE, "Performance normal after a restore", "no measure of it: use the site as its users do"),
        _rollback(evidence),
    )  # fmt: skip


def _rollback(evidence: Evidence) -> Answer:
    """Return whether a restore that failed was undone: by a rollback, or in a simulated incident, which kills one."""
    point, failed, found = "Rollback works when a restore fails", False, None
    for record in evidence.status.facts.records:
        undone = record.verb == Verb.INCIDENT or (record.verb == Verb.ROLLBACK and failed)
        if undone and record.outcome in GOOD:
            found = record
        if record.verb in RESTORES:
            failed = record.outcome in {Outcome.FAILED, Outcome.INTERRUPTED, Outcome.BEGUN}
    if found is None and (last := evidence.newest(lambda r: r.verb == Verb.ROLLBACK)):
        return ask(RESTORE, point, f"{describe(last)} undid a restore that had not failed: none has failed so far")
    return _ran(point, found, "korrigo-backup drill --level incident kills a restore, on a site of its own", RESTORE)


def _age(record: Record, *, old: bool) -> bool:
    """Return whether an operation loaded a backup that was older than a week (with `old`), or a younger backup."""
    named = parse(record.subject)
    made = own_clock(named.stamp) if named else None
    if made is None or not is_proof(record) or record.verb == Verb.COMPARE:
        return False
    return (record.started.astimezone().replace(tzinfo=None) - made > OLD) is old


def _works(record: Record | None) -> str:
    if record is None:
        return "no restore is in the journal"
    down = f", site down {record.downtime:.1f} s" if record.downtime is not None else ""
    return f"{describe(record)}{down}; korrigo-backup validate looks at health, login, create, update, delete"


def _documents(evidence: Evidence) -> tuple[Answer, ...]:
    people = f"{evidence.people} in the configuration: are they right?"
    return (
        ask(DOCUMENTS, "Runbook complete and up to date", "read it against docs/reference"),
        ask(DOCUMENTS, "All scripts tested and working", "scripts/*.sh call this command, whose tests run them"),
        ask(DOCUMENTS, "Troubleshooting documented, with solutions", "every error names its next step"),
        ask(DOCUMENTS, "Contacts and escalation up to date", people) if evidence.people else
        answer(DOCUMENTS, "Contacts and escalation up to date", done=False, evidence="none are configured",
               hint="set [contacts] people"),
    )  # fmt: skip


def _team(evidence: Evidence) -> tuple[Answer, ...]:
    hands = sorted({r.by for r in evidence.status.facts.records if r.verb in _BY_HAND})
    proof = evidence.status.proven
    timed = proof is not None and proof.seconds is not None
    return (
        ask(TEAM, "Two people trained at least", f"restores were made by: {', '.join(hands) or 'nobody'}"),
        _disaster(evidence),
        answer(TEAM, "Time of a restore known", done=timed, hint="restore into a test site",
               evidence=f"{proof.seconds:.1f} s for {proof.what}" if timed and proof else "none was timed"),
        ask(TEAM, "Plan of communication for incidents validated", "no machine can know"),
    )  # fmt: skip


def _disaster(evidence: Evidence) -> Answer:
    """Return whether a whole stack was lost and recovered within a month; a restore alone is no such test."""
    point, hint = "Disaster recovery test passed (monthly)", "korrigo-backup drill --level disaster"
    month = [record for record in evidence.since(MONTH) if record.outcome in GOOD]
    lost = [record for record in month if record.verb == Verb.DRILL and Phase.REBUILD in (record.phases or {})]
    drills = [record for record in month if record.verb == Verb.DRILL]
    if drills and not lost:
        return ask(TEAM, point, f"{describe(drills[-1])}: it restored the data, and no server was lost; {hint}")
    return _ran(point, lost[-1] if lost else None, f"{hint}, or a restore on an empty machine", TEAM)
