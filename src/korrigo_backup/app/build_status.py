"""Build the input of the status from the configuration.

A separate module, so that only the verbs that inspect a site import it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import structs

from korrigo_backup.app.build_site import STOPPED_FILE
from korrigo_backup.canary.watch import findings, watch
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.status.collect import Sources, collect, known
from korrigo_backup.status.erasures import ledger_findings
from korrigo_backup.status.evaluate import evaluate
from korrigo_backup.status.model import Goals

if TYPE_CHECKING:
    from datetime import datetime

    from korrigo_backup.app.build import Wired
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.schedule.schedule import Schedule
    from korrigo_backup.site.site import Site
    from korrigo_backup.status.model import Facts, Status


def goals(wired: Wired) -> Goals:
    """Return the goals for the backups of this site."""
    wanted = wired.config.status
    return Goals(
        rpo_hours=wanted.rpo_hours,
        media_rpo_hours=wanted.media_rpo_hours,
        proof_days=wanted.proof_days,
        policy=wired.policy(),
        accepted=tuple(wanted.accept),
    )


_HURRY = 3
"""Seconds for a connection: a look must not wait for a dead host as long as a restore does."""


def _hurried(wired: Wired) -> Site:
    """Return the live site with a short connect timeout, for a single question."""
    database = wired.config.database
    short = structs.replace(database, connect_timeout=min(_HURRY, database.connect_timeout))
    return replace(wired, config=structs.replace(wired.config, database=short)).site()


def given(wired: Wired, *, now: datetime) -> Facts:
    """Return the facts about the site that are in the configuration and not in the catalog."""
    site = wired.config.site
    facts = structs.replace(known(wired.catalog, now=now), site=site.name, environment=site.environment)
    try:
        return _with_schedule(facts, wired.schedule(), now)
    except KorrigoBackupError:  # another user's crontab, or impossible hours: `schedule show` reports them
        return facts


def _with_schedule(facts: Facts, schedule: Schedule, now: datetime) -> Facts:
    there = schedule.there()
    return structs.replace(
        facts,
        next_run=min((run.at for run in schedule.next_runs(now)), default=None),
        scheduled=bool(there),
        schedule=tuple(finding for place in there for finding in place.findings()),
    )


def sources(wired: Wired, *, ask: bool) -> Sources:
    """Return where the facts are found besides the catalog; with `ask`, also the live database."""
    config = wired.config
    return Sources(
        media=config.media.root,
        stopped=config.backup.dir / STOPPED_FILE,
        erasures=lambda: _waiting(wired),
        ledger=lambda: _ledger(wired),
        live=(lambda: _hurried(wired)) if ask else None,
        targets={name: section.is_off_site for name, section in config.targets.items()},
    )


def _waiting(wired: Wired) -> int:
    """Return how many requests to forget wait for a person; none where each night accepts them, or without a spool."""
    spool = wired.erasure_spool()
    if spool is None or wired.config.erasure.accept == "auto":
        return 0
    with suppress(KorrigoBackupError):  # doctor says what is wrong with the directory
        return len(spool.pending())
    return 0


def _ledger(wired: Wired) -> tuple[Finding, ...]:
    """Return whether the erasure ledger can be read; without a key there is none."""
    with suppress(KorrigoBackupError):
        return ledger_findings(wired.ledger(), wired.catalog.directory)
    return ()


def facts(wired: Wired, *, now: datetime, ask: bool) -> Facts:
    """Return the facts about the site's backups that can be read; this host or another evaluates them."""
    found = collect(wired.catalog, given(wired, now=now), sources(wired, ask=ask))
    if not wired.config.nightly.canary:
        return found
    return structs.replace(found, canary=findings(found, watch(found, accept=wired.config.status.accept)))


def status(wired: Wired, *, now: datetime, ask: bool) -> Status:
    """Return how the site's backups stand; faults found there do not raise.

    Neither the database nor the services are needed. With `ask`, the database is asked for previous copies.
    """
    return evaluate(facts(wired, now=now, ask=ask), goals(wired), now=now)
