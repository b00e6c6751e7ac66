"""Prune: plan the removals by the policy, each with its reason; refuse a likely mistake; remove.

The plan is the whole decision: showing it and acting on it are the same code path. The caller that acts holds the
site's lock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from korrigo_backup.artifact.history import members_of
from korrigo_backup.artifact.kinds import KINDS, WITH_DUMP, Kind, RetentionRule
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.counted import counted
from korrigo_backup.errors import KorrigoBackupError, PartlyDone, Refused
from korrigo_backup.retention import holds
from korrigo_backup.retention.clock import doubt
from korrigo_backup.retention.hold import standing
from korrigo_backup.retention.policy import Decision, RetentionFacts, decide, too_many
from korrigo_backup.run import journal
from korrigo_backup.run.step import Removed, silent
from korrigo_backup.verify.structure import is_good

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.retention.policy import Policy
    from korrigo_backup.run.record import Record
    from korrigo_backup.run.step import Listener

CLOCK, CONFIRMED = "clock", "confirmed"
"""The journal's fields of a run for which a person has confirmed the clock."""


@dataclass(frozen=True)
class Meant:
    """The confirmations of a person: that the clock is right, that so many may be removed at once."""

    clock: bool = False
    many: bool = False


@dataclass(frozen=True)
class Pruning:
    """The artifacts that would be kept and removed, and the reason if none may be removed."""

    decisions: tuple[Decision, ...]
    refusal: Refused | None = None

    @property
    def leaving(self) -> tuple[Artifact, ...]:
        """The artifacts that go, in the order in which they go."""
        gone = [decision.artifact for decision in self.decisions if decision.remove]
        return tuple(sorted(gone, key=lambda one: KINDS[one.kind].removal))

    @property
    def bytes(self) -> int:
        """The bytes that become free."""
        return sum(artifact.size for artifact in self.leaving)


def plan(
    catalog: Catalog,
    policy: Policy,
    *,
    site: str,
    environment: str | None,
    now: datetime,
    kinds: Container[Kind] = tuple(Kind),
    meant: Meant | None = None,
    more: bool = False,
) -> Pruning:
    """Return the decision of `policy` about every artifact; only those of `kinds` are removed.

    If an artifact would be removed, the newest artifacts of that kind are read until one is good. Refused if the holds
    cannot be read. `more`: other objects would be removed for their age, too, so the clock is checked for them as well.
    """
    meant = meant or Meant()
    artifacts = catalog.artifacts()
    records = journal.read(catalog.directory)
    known = standing(holds.read(catalog.directory), now)
    given = RetentionFacts(now, site, known, cache(lambda artifact: is_good(catalog, artifact)), kinds, environment)
    decisions = tuple(decide(artifacts, policy, given))
    going = more or any(decision.remove for decision in decisions)
    return Pruning(decisions, refusal(decisions, records, now, meant) if going else None)


def carry_out(catalog: Catalog, pruning: Pruning, *, now: datetime, listen: Listener) -> int:
    """Remove the artifacts that the plan removes, and return how many; the caller holds the site's lock.

    Raises the plan's refusal; PartlyDone if an artifact could not be removed, after the others. A hold that was added
    since is heeded; a restore point that stays keeps its components.
    """
    if pruning.refusal:
        raise pruning.refusal
    removed, staying, failed = 0, set[str](), list[KorrigoBackupError]()
    for artifact in pruning.leaving:
        if artifact.name in {*staying, *standing(holds.read(catalog.directory), now)}:
            staying.update(members_of(artifact))
            continue
        try:
            catalog.remove(artifact)
        except KorrigoBackupError as problem:
            failed.append(problem)
            staying.update(members_of(artifact))
            continue
        removed += 1
        listen(Removed(artifact.name))
    if failed:
        raise PartlyDone(
            f"{counted(removed, 'backup')} {'is' if removed == 1 else 'are'} removed, {len(failed)} could not be:"
            f" {failed[0].message}",
            hint=failed[0].hint,
            state="the backups that the plan keeps are untouched",
        )
    return removed


def clean(
    catalog: Catalog, policy: Policy, *, site: str, environment: str | None, now: datetime
) -> tuple[Decision, ...]:
    """Remove the dumps of the database by the policy, as `backup` does at its end (runbook 4.2).

    A restore point is removed with its dump; all other artifacts wait for `prune`.
    """
    alike = replace(policy, complete=policy.database)
    pruning = plan(catalog, alike, site=site, environment=environment, now=now, kinds=WITH_DUMP)
    carry_out(catalog, pruning, now=now, listen=silent)
    return tuple(one for one in pruning.decisions if KINDS[one.artifact.kind].rule is RetentionRule.DATABASE)


def refusal(
    decisions: Sequence[Decision],
    records: Sequence[Record],
    now: datetime,
    meant: Meant,
    command: str = "korrigo-backup prune",
) -> Refused | None:
    """Return why nothing may be removed: the clock may be wrong, or too many would go; `command` is for the hints."""
    if not meant.clock and (why := _clock(records, [one.artifact for one in decisions], now)):
        return Refused(
            f"no backup is removed: {why}",
            hint=f"look at the clock (timedatectl); if it is right: {command} --apply --clock-is-right",
        )
    if not meant.many and (many := too_many(decisions)):
        return Refused(
            f"no backup is removed: {many[0]} of {many[1]} backups of a kind would go at once",
            hint=f"look at the plan ({command}); if it is meant: {command} --apply --allow-many",
        )
    return None


def _clock(records: Sequence[Record], artifacts: Sequence[Artifact], now: datetime) -> str | None:
    confirmed = max((one.started for one in records if one.why.get(CLOCK) == CONFIRMED), default=None)
    ours = [one.created for one in artifacts if one.authenticity is Authenticity.AUTHENTIC]
    return doubt([*ours, *(record.started for record in records)], now, confirmed)
