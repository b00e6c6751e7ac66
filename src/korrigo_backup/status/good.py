"""Which backups of a site are good, from the facts alone."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from korrigo_backup.artifact.history import suspects
from korrigo_backup.artifact.kinds import Origin
from korrigo_backup.artifact.signature import Authenticity

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.status.model import Facts

CLOCKS_DIFFER = timedelta(minutes=5)
"""How far two clocks may differ without a word."""


def good_artifacts(facts: Facts) -> list[Artifact]:
    """Return the routine backups that were verified when they were made, newest first.

    They have a manifest of a known format that can be read and was not altered, are of this site, and were not found
    bad since.
    """
    bad = suspects(facts.records, facts.artifacts)
    routine = (artifact for artifact in facts.artifacts if artifact.origin is Origin.ROUTINE)
    return [one for one in routine if is_good(one) and of_this_site(one, facts) and one.name not in bad]


def is_good(artifact: Artifact) -> bool:
    """Return whether an artifact has a manifest that lists its content and that was not altered."""
    head = artifact.header
    unproven = {Authenticity.FORGED, Authenticity.UNKNOWN_KEY}
    return bool(head and head.format) and artifact.authenticity not in unproven


def of_this_site(artifact: Artifact, facts: Facts) -> bool:
    """Return whether an artifact is of this site and environment; an artifact without a site (Method 2) is."""
    head = artifact.header
    if not artifact.ours:
        return False
    if head is None or head.site is None or facts.site is None:
        return True
    return (head.site, head.environment) == (facts.site, facts.environment)


def rows_of(artifact: Artifact) -> int | None:
    """Return how many rows an artifact holds, None for an artifact without rows."""
    return artifact.header.rows if artifact.header else None
