"""The backups as the site's process sees them: the directory itself, or the document that the host publishes."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, ClassVar

from msgspec import structs

from korrigo_backup.artifact.catalog import Catalog
from korrigo_backup.canary.watch import findings, watch
from korrigo_backup.djangoapp.location import DEFAULT_MAX_AGE, accepted, looks_for_loss, max_age
from korrigo_backup.djangoapp.signing import keys_here
from korrigo_backup.retention.policy import Policy, Rule
from korrigo_backup.status.collect import Sources, collect, known, target_copies
from korrigo_backup.status.model import Goals
from korrigo_backup.status.published import decode
from korrigo_backup.system.files import explained, open_plain
from korrigo_backup.targets.ledger import known_targets

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.keyring import Keyring
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.status.model import Facts, TargetCopies

_LARGEST = 64 * 1024 * 1024
"""Bytes: ten thousand backups take some five million."""

_RETENTION_DAYS = 30
"""The runbook's (7): a guess here, for the forecast of the space alone."""


def read(place: Path, *, now: datetime) -> tuple[Facts, Goals]:
    """Return the facts about the backups in a directory, or in the file of `status --publish`, and the goals for them.

    Faults of a directory stand in the result. Raises KorrigoBackupError for a file that is no such document.
    """
    with explained(f"look at {place}"):
        is_published = place.is_file()
    if not is_published:
        keys = keys_here()
        catalog = Catalog(place, keys)
        facts = collect(catalog, known(catalog, now=now), Sources())
        return structs.replace(facts, canary=_canary(facts) if looks_for_loss() else ()), _goals(keys)
    with explained(f"read {place}"), open_plain(place) as file:
        raw = file.read(_LARGEST)
    return decode(raw, str(place))


def copies_elsewhere(directory: Path) -> tuple[TargetCopies, ...]:
    """Return the copies on each target that this host has a ledger of, also on former targets.

    Whether a target is off site stands in the host's configuration: `off_site` means nothing here.
    """
    return tuple(target_copies(directory, name, off_site=False) for name in known_targets(directory))


def _canary(facts: Facts) -> tuple[Finding, ...]:
    """Return the findings of the canary; those of the last call as long as it would compare the same backups.

    A monitor asks each minute, and the comparison reads a month of manifests.
    """
    accept = accepted()
    seen = (
        accept,
        tuple((one.name, one.created, one.authenticity) for one in facts.artifacts),
        tuple((hold.name, hold.holder, hold.until) for hold in facts.holds),
        tuple((one.id, one.outcome) for one in facts.records),
    )
    last = _Compared.last
    if last is None or last[0] != seen:
        last = _Compared.last = (seen, findings(facts, watch(facts, accept=accept)))
    return last[1]


class _Compared:
    """The facts of the last comparison in this process, and its findings."""

    last: ClassVar[tuple[object, tuple[Finding, ...]] | None] = None


def _goals(keys: Keyring | None) -> Goals:
    """Return the site's goals; without a key, signatures cannot be seen from here and are accepted."""
    try:
        age = max_age()
    except ValueError:
        age = DEFAULT_MAX_AGE
    unseen = () if keys else ("status.unsigned",)
    policy = Policy(database=Rule(days=_retention_days()))
    return Goals(rpo_hours=age / timedelta(hours=1), policy=policy, accepted=(*accepted(), *unseen))


def _retention_days() -> int:
    """Return BACKUP_RETENTION_DAYS as the command has it where it shares the site's environment, else its default."""
    given = os.environ.get("BACKUP_RETENTION_DAYS", "")
    return int(given) if given.isascii() and given.isdigit() else _RETENTION_DAYS
