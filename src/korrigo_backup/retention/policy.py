"""Retention: which artifacts and previous copies may be removed, each with its reason (runbook 7). Decides only.

A rule keeps an artifact if any of its lines keeps it. An artifact that the rules would remove stays all the same if it
is on hold, made before a deployment, a young safety copy, the newest good artifact of its kind, a component of a
restore point that stays, or not made by this program. Order and age are by the time in the manifest, the calendar by
the stamp of the site's own clock, never by the file system's times or by the text of a name.

One file: the order in which rules, exemptions and components are applied is the policy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, assert_never

from korrigo_backup.artifact.history import members_of
from korrigo_backup.artifact.kinds import KINDS, Kind, Origin, RetentionRule
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.counted import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Mapping, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.retention.hold import Hold

SAFETY_DAYS = 7
"""No rule removes a safety backup, or a previous copy, within these days: the operator may still need a rollback."""

TRIES = 30
"""How many artifacts of a kind are read to find a good one: where so many are bad, something else than age is wrong."""

FEW = 3
"""So many may be removed at once, whatever share of the whole they are."""


@dataclass(frozen=True)
class Rule:
    """How many backups of one sort stay.

    All of `days` and of `hours`, the `last` so many, the newest of so many hours, days, weeks, months and years. A rule
    of zeros keeps everything: an unset or zero value never means "delete all".
    """

    days: int = 0
    last: int = 0
    hours: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0

    @property
    def off(self) -> bool:
        """Whether the rule never removes anything."""
        every = (self.days, self.hours, self.last, self.hourly, self.daily, self.weekly, self.monthly, self.yearly)
        return not any(every)


@dataclass(frozen=True)
class Policy:
    """The rules of a site by sort; the runbook's table 7.1 and 1.3 are the defaults. `max_age` in days, 0 for none.

    `complete` is for restore points and Django backups, and for the media of a point; the dump of a point stays by the
    rule of the `database`, too. `kept` is for the previous copies of restores.
    """

    database: Rule = Rule(days=30)
    media: Rule = Rule(days=30)
    complete: Rule = Rule(days=7)
    safety: Rule = Rule(days=30)
    kept: Rule = Rule(days=SAFETY_DAYS)
    max_age: int = 0

    def rule(self, name: RetentionRule) -> Rule:
        """Return the rule of this name."""
        match name:
            case RetentionRule.DATABASE:
                return self.database
            case RetentionRule.MEDIA:
                return self.media
            case RetentionRule.COMPLETE:
                return self.complete
            case _:
                assert_never(name)


ARCHIVE = Policy(database=Rule(days=90), media=Rule(days=365), complete=Rule(days=365), safety=Rule(days=90))
"""The archive column of the runbook's table 7.1: how long copies stay in another place."""


def thinned(days: int) -> Rule:
    """Return the rule for restore points through the day: all of a day, one an hour for three days, one a day.

    `days` is how many days have one; 0 keeps everything.
    """
    return Rule(hours=24, hourly=72, daily=days) if days else Rule()


@dataclass(frozen=True)
class Decision:
    """The decision to keep or remove an artifact, with the reason."""

    artifact: Artifact
    remove: bool
    reason: str


@dataclass(frozen=True)
class RetentionFacts:
    """The inputs of a decision besides the artifacts: the time, the site, the holds in force, which artifacts are good.

    `good` returns whether an artifact verifies now: it is called for the newest artifacts only, and only if an artifact
    would be removed. Only artifacts of `kinds` may be removed. If the `environment` is None or an artifact does not
    name it, it is not compared.
    """

    now: datetime
    site: str
    holds: Mapping[str, Hold] = field(default_factory=dict)
    good: Callable[[Artifact], bool] = lambda _: True
    kinds: Container[Kind] = tuple(Kind)
    environment: str | None = None


def decide(artifacts: Sequence[Artifact], policy: Policy, given: RetentionFacts) -> list[Decision]:
    """Return a decision for each of `artifacts`, in their order."""
    ordered = sorted(artifacts, key=lambda one: (one.created, one.name), reverse=True)
    components = {name for one in ordered for name in members_of(one)}
    groups: dict[tuple[Rule, str], list[Artifact]] = {}
    for one in ordered:
        groups.setdefault(sort_of(one, policy, components), []).append(one)
    first = [d for (rule, _), group in groups.items() for d in _by_rule(group, rule, policy, given)]
    first = _keep_newest_good(first, given)
    by_name = {d.artifact.name: d for d in keep_members(first)}
    return [by_name[one.name] for one in artifacts]


def too_many(decisions: Iterable[Decision]) -> tuple[int, int] | None:
    """Return how many of how many would go when it is more than half at once of any kind, which must be meant."""
    for kind in Kind:
        ours = [d for d in decisions if d.artifact.kind is kind and d.artifact.origin is Origin.ROUTINE]
        gone = sum(d.remove for d in ours)
        if gone > FEW and gone * 2 > len(ours):
            return gone, len(ours)
    return None


@dataclass(frozen=True)
class Moment:
    """When an artifact was made: the moment itself, and the time of the site's clock (without a zone)."""

    at: datetime
    clock: datetime


def by_age(moments: Sequence[Moment], rule: Rule, now: datetime) -> list[str | None]:
    """Return for each of `moments`, newest first, why `rule` keeps it, or None when it may go."""
    if rule.off:
        return ["cleaning is off" for _ in moments]
    reasons: list[str | None] = [None for _ in moments]
    for place, moment in enumerate(moments):
        age = now - moment.at
        if rule.hours and age <= timedelta(hours=rule.hours):
            reasons[place] = f"{counted(age // timedelta(hours=1), 'hour')} old, kept for {rule.hours}"
        elif rule.days and age <= timedelta(days=rule.days):
            reasons[place] = f"{counted(age.days, 'day')} old, kept for {rule.days}"
    for place in range(min(rule.last, len(moments))):
        reasons[place] = reasons[place] or f"among the last {rule.last}"
    for word, count, bucket in _calendar(rule):
        seen: set[tuple[int, ...]] = set()
        for place, moment in enumerate(moments):
            if (own := bucket(moment.clock)) not in seen and len(seen) < count:
                seen.add(own)
                reasons[place] = reasons[place] or f"the newest of its {word}, {count} kept"
    return reasons


def _calendar(rule: Rule) -> tuple[tuple[str, int, Callable[[datetime], tuple[int, ...]]], ...]:
    return (
        ("hour", rule.hourly, lambda at: (at.year, at.month, at.day, at.hour)),
        ("day", rule.daily, lambda at: (at.year, at.month, at.day)),
        ("week", rule.weekly, lambda at: at.isocalendar()[:2]),
        ("month", rule.monthly, lambda at: (at.year, at.month)),
        ("year", rule.yearly, lambda at: (at.year,)),
    )


def sort_of(artifact: Artifact, policy: Policy, components: set[str]) -> tuple[Rule, str]:
    """Return the rule of an artifact, and the name of those it is counted with; `components` are named by points."""
    if artifact.origin is not Origin.ROUTINE:
        return policy.safety, f"{artifact.origin} {artifact.kind}"
    spec = KINDS[artifact.kind]
    if spec.rule_of_component and artifact.name in components:
        return policy.rule(spec.rule_of_component), f"{artifact.kind} of points"
    return policy.rule(spec.rule), artifact.kind


def _by_rule(group: Sequence[Artifact], rule: Rule, policy: Policy, given: RetentionFacts) -> list[Decision]:
    """Decide on those that a rule counts together, newest first; only those that are ours are counted."""
    decided = {
        one.name: Decision(one, remove=False, reason=why + _stays_over(one, policy, given))
        for one in group
        if (why := _exempt(one, given))
    }
    left = [one for one in group if one.name not in decided]
    reasons = by_age([_moment(one) for one in left], rule, given.now)
    for one, why in zip(left, reasons, strict=True):
        age = (given.now - one.created).days
        over = f"{age} days old: over the maximum of {policy.max_age}" if 0 < policy.max_age < age else None
        young = Origin.SAFETY in {one.origin, one.header and one.header.origin} and age < SAFETY_DAYS
        if young:
            decided[one.name] = Decision(
                one, remove=False, reason=f"a safety backup younger than {counted(SAFETY_DAYS, 'day')}"
            )
        elif why and not over:
            decided[one.name] = Decision(one, remove=False, reason=why)
        else:
            decided[one.name] = Decision(
                one, remove=True, reason=over or f"{counted(age, 'day')} old, {_kept_for(rule)}"
            )
    return [decided[one.name] for one in group]


def _stays_over(artifact: Artifact, policy: Policy, given: RetentionFacts) -> str:
    """Return the words for an artifact that stays though it is over the maximum age: a person decides on that."""
    over = 0 < policy.max_age < (given.now - artifact.created).days
    return f" (over the maximum age of {policy.max_age} days)" if over else ""


def _exempt(artifact: Artifact, given: RetentionFacts) -> str | None:
    """Return why an artifact stays at any age, None if the rules decide."""
    if hold := given.holds.get(artifact.name):
        return hold.described()
    if foreign := _foreign(artifact, given):
        return foreign
    if artifact.header and Origin.PRE_DEPLOYMENT in {artifact.origin, artifact.header.origin}:
        return "made before a deployment: for ever"
    if artifact.created > given.now:
        return "its time is in the future"
    return None if artifact.kind in given.kinds else "not cleaned now"


def _foreign(artifact: Artifact, given: RetentionFacts) -> str | None:
    """Return why an artifact is not ours, None when it is."""
    if artifact.header is None or artifact.header.format == 0:
        return "has no readable manifest: not ours to remove"
    if artifact.authenticity is not Authenticity.AUTHENTIC:
        return f"its signature is {_WORDS[artifact.authenticity]}: not ours to remove"
    if artifact.header.site != given.site:
        return f"of the site {artifact.header.site}, not {given.site}"
    theirs = artifact.header.environment or given.environment
    if given.environment and theirs != given.environment:
        return f"of {theirs}, not {given.environment}"
    return None if artifact.ours else f"of another site of this name{_its_database(artifact)}"


def _its_database(artifact: Artifact) -> str:
    identity = artifact.header.identity if artifact.header else None
    return f", its database is {identity.database}" if identity else ""


_WORDS = {
    Authenticity.UNSIGNED: "missing",
    Authenticity.UNKNOWN_KEY: "by a key that is not here",
    Authenticity.FORGED: "forged",
}


def _moment(artifact: Artifact) -> Moment:
    stamp = artifact.header.timestamp if artifact.header else artifact.stamp
    return Moment(artifact.created, own_clock(stamp) or artifact.created.replace(tzinfo=None))


_STAMP_DIGITS = 8, 6


def own_clock(stamp: str) -> datetime | None:
    """Return the time of the site's clock when `stamp` was made; no later change of the zone moves it."""
    day, _, hour = stamp.partition("_")
    if not (day.isdecimal() and hour.isdecimal() and (len(day), len(hour)) == _STAMP_DIGITS):
        return None
    try:
        return datetime.fromisoformat(f"{day}T{hour}")  # several times as fast as strptime; without a zone on purpose
    except ValueError:
        return None


def _kept_for(rule: Rule) -> str:
    parts = [f"{counted(rule.hours, 'hour')}"] if rule.hours else []
    parts += [f"{counted(rule.days, 'day')}"] if rule.days else []
    parts += [f"the last {rule.last}"] if rule.last else []
    words = ("hourly", "daily", "weekly", "monthly", "yearly")
    parts += [f"{getattr(rule, word)} {word}" for word in words if getattr(rule, word)]
    return f"kept: {', '.join(parts)}"


def _keep_newest_good(decisions: Sequence[Decision], given: RetentionFacts) -> list[Decision]:
    """Keep of every kind the newest routine artifact that verifies.

    Thirty bad days must not delete the last good backup (T7). If none of the newest `TRIES` verifies, none of the kind
    is removed.
    """
    kept = {d.artifact.name: d for d in decisions}
    for kind in Kind:
        alike = [d for d in decisions if d.artifact.kind is kind and d.artifact.origin is Origin.ROUTINE]
        alike.sort(key=lambda d: (d.artifact.created, d.artifact.name), reverse=True)
        if not any(d.remove for d in alike):
            continue
        tries = 0
        for d in alike:
            ours = _foreign(d.artifact, given) is None and d.artifact.created <= given.now
            tries += ours
            sure = d.artifact.header is not None and d.artifact.header.doubt is None
            good = ours and sure and tries <= TRIES and given.good(d.artifact)
            if d.remove:
                reason = "the newest good backup" if good else "newer than any good backup"
                kept[d.artifact.name] = Decision(d.artifact, remove=False, reason=reason)
            if good:
                break
    return list(kept.values())


def keep_members(decisions: Iterable[Decision]) -> list[Decision]:
    """Keep the components of a restore point that stays."""
    decisions = list(decisions)
    needed = {name: d.artifact.name for d in decisions if not d.remove for name in members_of(d.artifact)}
    return [
        Decision(d.artifact, remove=False, reason=f"part of {needed[d.artifact.name]}")
        if d.remove and d.artifact.name in needed
        else d
        for d in decisions
    ]
