"""Retention: which artifacts may go, each with its reason. Decides only; the catalog removes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from korrigo_backup.domain.naming import Origin

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from korrigo_backup.domain.artifact import Artifact


@dataclass(frozen=True)
class Decision:
    """Keep or remove one artifact, and why."""

    artifact: Artifact
    remove: bool
    reason: str


def older_than(
    artifacts: Sequence[Artifact], *, days: int, now: datetime, kept: Container[str | None] = ()
) -> list[Decision]:
    """Return a decision for each of `artifacts`, all of one kind, by the runbook's rule of age (4.2).

    `days` 0 keeps everything: an unset or zero variable must never mean "delete all". The newest artifact with
    a manifest is kept whatever its age: thirty days of failures must not delete the last good backup (T7).
    Those named in `kept` belong to the newest restore point and stay.
    """
    newest = max((a for a in artifacts if a.manifest), key=lambda a: a.created, default=None)
    return [
        Decision(artifact, remove=False, reason="part of the newest restore point")
        if artifact.name in kept
        else _decide(artifact, newest, days, now)
        for artifact in artifacts
    ]


def _decide(artifact: Artifact, newest: Artifact | None, days: int, now: datetime) -> Decision:
    age = now - artifact.created
    if days <= 0:
        return Decision(artifact, remove=False, reason="cleaning is off")
    if artifact.origin is not Origin.ROUTINE:
        return Decision(artifact, remove=False, reason=f"a {artifact.origin} backup")
    if artifact.manifest is None:
        return Decision(artifact, remove=False, reason="has no readable manifest: not ours to delete")
    if artifact is newest:
        return Decision(artifact, remove=False, reason="the newest verified one")
    if age <= timedelta(days=days):
        return Decision(artifact, remove=False, reason=f"{age.days} days old, kept for {days}")
    return Decision(artifact, remove=True, reason=f"{age.days} days old, kept for {days}")
