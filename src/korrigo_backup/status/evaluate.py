"""Which backups are good, proven or late: the status, computed from the facts, the goals and the time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from korrigo_backup.artifact.history import Failing, failing, members_of, proven, suspects, verified
from korrigo_backup.artifact.kinds import WITH_ROWS, Kind, Origin
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.retention.policy import sort_of
from korrigo_backup.run.record import Verb
from korrigo_backup.status.forecast import HORIZON_DAYS, Growth, days_until_full
from korrigo_backup.status.model import Copies, Goals, Good, NamedArtifact, Seen, Space, Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.retention.policy import Rule

CLOCKS_DIFFER = timedelta(minutes=5)
"""How far two clocks may differ without a word."""


def good_artifacts(seen: Seen) -> list[Artifact]:
    """Return the routine backups that were verified when they were made, newest first.

    They have a manifest of a known format that can be read and was not altered, are of this site, and were not found
    bad since.
    """
    bad = suspects(seen.records, seen.artifacts)
    routine = (artifact for artifact in seen.artifacts if artifact.origin is Origin.ROUTINE)
    return [one for one in routine if is_good(one) and of_this_site(one, seen) and one.name not in bad]


def is_good(artifact: Artifact) -> bool:
    """Return whether an artifact has a manifest that lists its content and that was not altered."""
    head = artifact.header
    unproven = {Authenticity.FORGED, Authenticity.UNKNOWN_KEY}
    return bool(head and head.format) and artifact.authenticity not in unproven


def of_this_site(artifact: Artifact, seen: Seen) -> bool:
    """Return whether an artifact is of this site and environment; an artifact without a site (Method 2) is."""
    head = artifact.header
    if not artifact.ours:
        return False
    if head is None or head.site is None or seen.site is None:
        return True
    return (head.site, head.environment) == (seen.site, seen.environment)


def describe(seen: Seen, goals: Goals, *, now: datetime) -> Status:
    """Return how the backups stand, without the findings that need attention (`status/attention.py` adds them)."""
    moment, good = now.astimezone(UTC), good_artifacts(seen)
    newest = _first([artifact for artifact in good if artifact.kind in WITH_ROWS], moment)
    past = [record for record in seen.records if record.started <= moment + CLOCKS_DIFFER]
    age = _age(newest, moment) if newest else None
    return Status(
        site=seen.site,
        environment=seen.environment,
        directory=seen.directory,
        now=moment,
        rpo_hours=goals.rpo_hours,
        age=age,
        overdue=goals.rpo_hours > 0 and (age is None or age > goals.rpo_hours * 3600),
        good=tuple(found for kind in Kind if (found := _newest(good, kind, moment))),
        verified=verified(past, newest),
        proven=proven(past),
        copies=_copies(seen, have_backup=newest is not None),
        space=_space(seen, good, goals, moment),
        failing=tuple(one for one in failing(seen.records, running=seen.holder is not None) if _is_there(one, seen)),
        running=seen.holder,
        last_run=max((record.started for record in past), default=None),
        next_run=seen.next_run,
        holds=tuple(hold for hold in seen.holds if hold.stands(moment)),
        kept=None if seen.kept is None else tuple(seen.kept),
        others=sum(not of_this_site(artifact, seen) for artifact in seen.artifacts),
        strangers=tuple(NamedArtifact(stranger.name, stranger.why) for stranger in seen.strangers),
        problems=tuple(NamedArtifact(a.name, _problem(a)) for a in seen.artifacts if _problem(a)),
        attention=(),
    )


def _is_there(one: Failing, seen: Seen) -> bool:
    """Return whether the record still matters: a bad backup that was removed does not."""
    return one.verb != Verb.VERIFY or any(artifact.name == one.subject for artifact in seen.artifacts)


def rows_of(artifact: Artifact) -> int | None:
    """Return how many rows an artifact holds, None for an artifact without rows."""
    return artifact.header.rows if artifact.header else None


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


def _copies(seen: Seen, *, have_backup: bool) -> Copies:
    supports = None if seen.shared_disk is None else 1 if seen.shared_disk or not have_backup else 2
    return Copies(
        places=1 + have_backup,
        supports=supports,
    )


def _space(seen: Seen, good: Sequence[Artifact], goals: Goals, now: datetime) -> Space | None:
    if seen.free is None or seen.total is None:
        return None
    components = {name for artifact in good for name in members_of(artifact)}
    sorts: dict[tuple[Rule, str], list[tuple[datetime, int]]] = {}
    for one in good:
        sorts.setdefault(sort_of(one, goals.policy, components), []).append((one.created, one.size))
    growths = [Growth(sizes, rule) for (rule, _), sizes in sorts.items()]
    found = days_until_full(growths, free=seen.free, now=now)
    if not found.known:
        words = "not enough history for a forecast"
    elif found.days is None:
        words = f"will not be full within {HORIZON_DAYS // 365} years"
    else:
        words = f"no room for another backup in about {found.days} days"
    used = sum(artifact.size for artifact in seen.artifacts)
    return Space(free=seen.free, total=seen.total, backups=used, full_in_days=found.days, forecast=words)


def _problem(artifact: Artifact) -> str:
    if artifact.problem:
        return artifact.problem
    if artifact.authenticity is Authenticity.FORGED:
        return "the manifest was altered: its signature does not fit"
    return ""
