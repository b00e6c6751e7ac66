"""Which backups are good, proven or late: the status, computed from the facts, the goals and the time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from msgspec import structs

from korrigo_backup.artifact.history import READS, Failing, failing, members_of, proven, verified
from korrigo_backup.artifact.kinds import WITH_ROWS, Kind
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.counted import counted
from korrigo_backup.retention.policy import sort_of
from korrigo_backup.run.record import SKIPPED, Verb
from korrigo_backup.status.attention import attention
from korrigo_backup.status.forecast import HORIZON_DAYS, Growth, days_until_full
from korrigo_backup.status.good import CLOCKS_DIFFER, good_artifacts, of_this_site, rows_of
from korrigo_backup.status.model import (
    ArtifactCopy,
    Copies,
    Facts,
    Goals,
    Good,
    NamedArtifact,
    SkippedPoints,
    Space,
    Status,
    TargetCopies,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.retention.policy import Rule
    from korrigo_backup.run.record import Record

_SKIPPED_WITHIN = timedelta(hours=24)


def evaluate(facts: Facts, goals: Goals, *, now: datetime) -> Status:
    """Return how the backups stand at the time `now`, with the findings that need attention."""
    described = _described(facts, goals, now=now)
    return structs.replace(described, attention=attention(described))


def _described(facts: Facts, goals: Goals, *, now: datetime) -> Status:
    moment, good = now.astimezone(UTC), good_artifacts(facts)
    newest = _first([artifact for artifact in good if artifact.kind in WITH_ROWS], moment)
    past = [record for record in facts.records if record.started <= moment + CLOCKS_DIFFER]
    age = _age(newest, moment) if newest else None
    return Status(
        facts=facts,
        goals=goals,
        now=moment,
        age=age,
        overdue=goals.rpo_hours > 0 and (age is None or age > goals.rpo_hours * 3600),
        good=tuple(found for kind in Kind if (found := _newest(good, kind, moment))),
        verified=verified(past, newest),
        proven=proven(past),
        copies=_copies(facts, newest, now),
        space=_space(facts, good, goals, moment),
        failing=tuple(one for one in failing(facts.records, running=facts.holder is not None) if _is_there(one, facts)),
        last_run=max((record.started for record in past), default=None),
        holds=tuple(hold for hold in facts.holds if hold.stands(moment)),
        others=sum(not of_this_site(artifact, facts) for artifact in facts.artifacts),
        problems=tuple(NamedArtifact(a.name, _problem(a)) for a in facts.artifacts if _problem(a)),
        skipped=_skipped(past, moment),
    )


def _skipped(past: Sequence[Record], now: datetime) -> SkippedPoints | None:
    skips = (one for one in past if (one.verb, one.subject) == (Verb.POINT, SKIPPED))
    found = [one for one in skips if now - one.started <= _SKIPPED_WITHIN]
    if not found:
        return None
    last = max(found, key=lambda one: one.started)
    return SkippedPoints(len(found), last.started, last.why.get("reason", ""))


def _is_there(one: Failing, facts: Facts) -> bool:
    """Return whether the record still matters: a bad backup that was removed does not."""
    return one.verb not in READS or not one.subject or any(artifact.name == one.subject for artifact in facts.artifacts)


def _age(artifact: Artifact, now: datetime) -> int:
    return int((now - artifact.created) / timedelta(seconds=1))


def _first(alike: Sequence[Artifact], now: datetime) -> Artifact | None:
    """Return the newest artifact that is not of the future; if there is none, the newest of the future.

    An artifact that was made while the clock was wrong would else be the newest for years, and hide that no other is
    made.
    """
    return next((one for one in alike if one.created <= now + CLOCKS_DIFFER), next(iter(alike), None))


def _newest(good: Sequence[Artifact], kind: Kind, now: datetime) -> Good | None:
    alike = [artifact for artifact in good if artifact.kind is kind]
    first = _first(alike, now)
    if first is None:
        return None
    head = first.header
    return Good(
        kind=kind,
        name=first.name,
        created=first.created.astimezone(UTC),
        age=_age(first, now),
        size=first.size,
        rows=rows_of(first),
        files=head.files if head else None,
        seconds=head.seconds if head else None,
        signature=first.authenticity,
        count=len(alike),
        bytes=sum(artifact.size for artifact in alike),
    )


def _copies(facts: Facts, newest: Artifact | None, now: datetime) -> Copies:
    supports = None if facts.shared_disk is None else 1 if facts.shared_disk or newest is None else 2
    holding = [(target, copy) for target in facts.targets if newest and (copy := whole_copy(target, newest.name))]
    return Copies(
        places=1 + (newest is not None) + len(holding),
        supports=None if supports is None else supports + len(holding),
        off_site=sum(target.off_site for target, _ in holding),
        immutable=sum(copy.is_immutable(now) for _, copy in holding),
    )


def whole_copy(target: TargetCopies, name: str) -> ArtifactCopy | None:
    """Return the copy of an artifact on a target, None if there is none or it is known to be damaged."""
    return next((copy for copy in target.copies if copy.name == name and not copy.bad), None)


def _space(facts: Facts, good: Sequence[Artifact], goals: Goals, now: datetime) -> Space | None:
    if facts.free is None or facts.total is None:
        return None
    components = {name for artifact in good for name in members_of(artifact)}
    sorts: dict[tuple[Rule, str], list[tuple[datetime, int]]] = {}
    for one in good:
        sorts.setdefault(sort_of(one, goals.policy, components), []).append((one.created, one.size))
    growths = [Growth(sizes, rule) for (rule, _), sizes in sorts.items()]
    found = days_until_full(growths, free=facts.free, now=now)
    if not found.known:
        words = "not enough history for a forecast"
    elif found.days is None:
        words = f"will not be full within {HORIZON_DAYS // 365} years"
    else:
        words = f"no room for another backup in about {counted(found.days, 'day')}"
    used = sum(artifact.size for artifact in facts.artifacts)
    return Space(free=facts.free, total=facts.total, backups=used, full_in_days=found.days, forecast=words)


def _problem(artifact: Artifact) -> str:
    if artifact.problem:
        return artifact.problem
    if artifact.authenticity is Authenticity.FORGED:
        return "the manifest was altered: its signature does not fit"
    return ""
