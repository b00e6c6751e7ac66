"""The previous copies of restores and rollbacks, next to the live data: counted, and pruned by the same policy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import TYPE_CHECKING

from korrigo_backup.artifact.naming import beside, former_beside, namesake
from korrigo_backup.core.counted import counted
from korrigo_backup.core.moment import is_possible
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.retention import holds
from korrigo_backup.retention.hold import standing
from korrigo_backup.retention.policy import SAFETY_DAYS, Moment, by_age, own_clock
from korrigo_backup.run.step import Removed
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.retention.hold import Hold
    from korrigo_backup.retention.policy import Policy
    from korrigo_backup.run.step import Listener
    from korrigo_backup.site.site import Site

ROLES = ("before", "after")
"""The copy that a restore replaced, and the copy that a rollback replaced in turn."""


@dataclass(frozen=True)
class Kept:
    """The database, the media or both that were kept under a stamp and role; None for a part that was not.

    `at` is the moment of the stamp, read in this machine's zone. `namesake` is a database that the copy may be of, too.
    """

    stamp: str
    role: str
    at: datetime
    database: str | None
    media: str | None
    namesake: str | None = None
    mount: str | None = None
    """A mount point inside the kept media: another file system, whose files are not this program's to remove."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parts."""
        return tuple(name for name in (self.database, self.media) if name)


@dataclass(frozen=True)
class KeptDecision:
    """The decision to keep or remove a previous copy, with the reason."""

    kept: Kept
    remove: bool
    reason: str


def survey(site: Site) -> list[Kept]:
    """Return the previous copies, newest first; Unreachable if the database does not answer.

    Media that cannot be written from here are left out, and the database of their stamp: another place removes both.
    """
    live, names = site.postgres.database, Databases(site.postgres).names()
    found, other = [], namesake(names, live)
    with explained("look at the previous copies of the media"):
        fixed = bool(site.media and site.media.read_only)
        mounts = site.media.facts().mounts if site.media else ()
        for role in ROLES:
            doubtful = former_beside(names, live, role) if other else {}
            databases = doubtful | beside(names, live, role)
            media = set(site.media.kept(role)) if site.media else set()
            for stamp in databases.keys() | media:
                if (clock := own_clock(stamp)) is None or not is_possible(clock.replace(tzinfo=UTC)):
                    continue  # a date that is none, or of no year that we can have made it in
                if stamp in media and fixed:
                    continue
                name = site.media.beside(role, stamp).name if site.media and stamp in media else None
                found.append(
                    Kept(
                        stamp,
                        role,
                        clock.astimezone(),
                        databases.get(stamp),
                        name,
                        other if databases.get(stamp) in doubtful.values() else None,
                        next((path for path in mounts if name and path.startswith(f"{name}/")), None),
                    )
                )
    return sorted(found, key=lambda one: one.stamp, reverse=True)


def decide(found: list[Kept], policy: Policy, held: Mapping[str, Hold], now: datetime) -> list[KeptDecision]:
    """Return a decision for each: a copy on hold, or younger than the safety period, stays under any rule."""
    moments = [Moment(one.at, one.at.replace(tzinfo=None)) for one in found]
    decisions = []
    for one, why in zip(found, by_age(moments, policy.kept, now), strict=True):
        days = (now - one.at).days
        hold = next((held[name] for name in one.names if name in held), None)
        young = now - one.at < timedelta(days=SAFETY_DAYS)
        over = 0 < policy.max_age < days
        reason = (
            hold.described()
            if hold
            else f"younger than {counted(SAFETY_DAYS, 'day')}"
            if young
            else None
            if over
            else why
        )
        if one.mount and reason is None:
            reason = f"another file system is mounted in it at {one.mount}: unmount it first"
        if one.namesake and reason is None:
            reason = f"it may be of {one.namesake}, whose copies are called alike: drop it by hand"
        decisions.append(KeptDecision(one, reason is None, reason or f"{counted(days, 'day')} old"))
    return decisions


def remove(site: Site, directory: Path, decisions: list[KeptDecision], *, now: datetime, listen: Listener) -> int:
    """Drop the copies that the decisions remove, and return how many; the caller holds the lock."""
    held = set(standing(holds.read(directory), now))
    removed = 0
    if site.media and not site.media.read_only:
        with explained("remove previous copies of the media"):
            for role, stamp in site.media.half_discarded():
                site.media.discard_kept(role, stamp)
    for kept in (one.kept for one in decisions if one.remove and not held & set(one.kept.names)):
        if kept.database:
            Databases(site.postgres).drop(kept.database)
        if kept.media and site.media:
            with explained(f"remove {kept.media}"):
                site.media.discard_kept(kept.role, kept.stamp)
        for name in kept.names:
            listen(Removed(name))
        removed += 1
    return removed
