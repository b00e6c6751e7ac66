"""An alarm of the canary: the last calm backup is kept like one on hold until a person accepts the new state."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING

from korrigo_backup.canary.evaluate import is_alarm
from korrigo_backup.canary.watch import HOLDER, alarms, findings, watch
from korrigo_backup.errors import PartlyDone
from korrigo_backup.retention import holds
from korrigo_backup.retention.hold import Hold
from korrigo_backup.run import journal
from korrigo_backup.run.journal import recorded
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import silent
from korrigo_backup.status.collect import with_holds
from korrigo_backup.status.model import Facts

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.canary.model import Watch
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.site.site import Site


def look(catalog: Catalog, site: Site, *, now: datetime, accept: Collection[str] = ()) -> tuple[Finding, ...]:
    """Compare the newest backups with the history, keep the last calm ones if there is an alarm, and return findings.

    `accept` are ids of findings that are no alarm for this site. While the holds cannot be read nothing is kept:
    then no backup is pruned either.
    """
    facts = read_facts(catalog, site.name, site.environment, now=now)
    watched = watch(facts, accept=accept)
    if not facts.held_unread:
        _keep_calm(catalog, facts, watched)
    return findings(facts, watched)


def read_facts(catalog: Catalog, site: str, environment: str, *, now: datetime) -> Facts:
    """Return the facts that the canary needs: artifacts, the journal, holds."""
    directory = catalog.directory
    facts = Facts(
        taken=now.astimezone(UTC),
        directory=str(directory),
        artifacts=tuple(catalog.artifacts()),
        records=tuple(journal.read(directory)),
        site=site,
        environment=environment,
    )
    return with_holds(facts, directory)


def require_calm(found: Sequence[Finding]) -> None:
    """Raise PartlyDone for an alarm: the backup is good, and a person must look at what it holds."""
    alarm = [finding for finding in found if finding.id != "canary.stands" and is_alarm([finding])]
    if alarm:
        raise PartlyDone(
            "; ".join(finding.message for finding in alarm),
            hint="; ".join(dict.fromkeys(finding.hint for finding in alarm)),
            state="the new backup is good, and the last calm one is there",
        )


def accept(catalog: Catalog, site: Site, name: str, *, reason: str, now: datetime) -> tuple[Hold, ...]:
    """Take the backup `name` as the usual state from now on, journaled; return the holds that end with the alarm."""
    with recorded(catalog.directory, site, Verb.CANARY, name, listener=silent, why={"reason": reason}):
        pass
    facts = read_facts(catalog, site.name, site.environment, now=now)
    needed = {one.calm for one in watch(facts) if is_alarm(one.findings)}
    ended = [hold.name for hold in alarms(facts) if hold.name not in needed]
    return tuple(hold for one in ended for hold in holds.release(catalog.directory, one, HOLDER))


def _keep_calm(catalog: Catalog, facts: Facts, watched: Sequence[Watch]) -> None:
    """Put the last calm backups on hold; a backup that the canary keeps already stays as it is."""
    kept = {hold.name for hold in alarms(facts)}
    for one in watched:
        if one.calm and one.calm not in kept and is_alarm(one.findings):
            reason = f"the last calm backup before {one.name}"
            holds.add(catalog.directory, Hold(name=one.calm, reason=reason, holder=HOLDER, since=facts.taken))
            kept.add(one.calm)
