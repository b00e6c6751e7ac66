"""The facts about a site's backups as one document, for the site's own process: it cannot read their directory.

It holds names, sizes, counts and the journal's last lines, no data and no secret. Ages are not in it: they are computed
when it is read, so an old document shows that newer facts are missing. A development version before 0.1.0 also wrote
`offsite`, which is ignored.
"""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.artifact import Artifact, Stranger
from korrigo_backup.artifact.header import ManifestHeader  # noqa: TC001 - the same
from korrigo_backup.artifact.kinds import Kind, Origin  # noqa: TC001 - the same
from korrigo_backup.artifact.signature import Authenticity  # noqa: TC001 - msgspec reads it when it decodes
from korrigo_backup.core.finding import Finding  # noqa: TC001 - the same
from korrigo_backup.core.moment import require_moment
from korrigo_backup.errors import ProofFailed
from korrigo_backup.retention.hold import Hold  # noqa: TC001 - the same
from korrigo_backup.retention.policy import Policy  # noqa: TC001 - the same
from korrigo_backup.run.record import Record  # noqa: TC001 - the same
from korrigo_backup.status.model import Beside, Goals, Seen

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = 1
RECORDS = 2000
"""Lines of the journal that are passed on: some months of nights."""

Words = tuple[str, str] | None


class PublishedArtifact(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An artifact; the fields mean the same as in `Artifact`."""

    name: str
    kind: Kind
    origin: Origin
    stamp: str
    created: datetime
    size: int
    authenticity: Authenticity
    problem: str | None = None
    head: ManifestHeader | None = None
    ours: bool = True

    def __post_init__(self) -> None:
        """Refuse a time that cannot be compared with others (ValueError, to a decoder ValidationError)."""
        require_moment(self.created)


class PublishedStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `Seen` and `Goals`, at the time `taken`."""

    format: int
    taken: datetime
    rpo_hours: float
    media_rpo_hours: float
    proof_days: float
    policy: Policy
    accepted: tuple[str, ...]
    directory: str
    artifacts: tuple[PublishedArtifact, ...]
    strangers: tuple[Stranger, ...]
    records: tuple[Record, ...]
    unreadable: Words
    journal_unread: str | None
    there: bool
    open_mode: int | None
    free: int | None
    total: int | None
    holder: str | None
    stopped: bool
    shared_disk: bool | None
    next_run: datetime | None
    scheduled: bool | None
    schedule: tuple[Finding, ...]
    holds: tuple[Hold, ...]
    held_unread: Words
    kept: tuple[Beside, ...] | None
    no_database: Words
    site: str | None
    environment: str | None

    def __post_init__(self) -> None:
        """Refuse a time that cannot be compared with others (ValueError, to a decoder ValidationError)."""
        for moment in (self.taken, self.next_run, *(beside.at for beside in self.kept or ())):
            require_moment(moment)


_OWN = {"format", "taken", "artifacts", "strangers", "records", "schedule", "holds", "kept", "accepted"}
_OF_GOALS = ("rpo_hours", "media_rpo_hours", "proof_days", "policy")
_OF_SEEN = tuple(set(PublishedStatus.__struct_fields__) - _OWN - set(_OF_GOALS))
"""The fields that are the same there and here."""


def encode(seen: Seen, goals: Goals, *, now: datetime) -> bytes:
    """Return the document, JSON in UTF-8."""
    snapshot = PublishedStatus(
        format=FORMAT,
        taken=now,
        artifacts=tuple(_entries(seen.artifacts)),
        strangers=tuple(seen.strangers),
        records=tuple(seen.records[-RECORDS:]),
        schedule=tuple(seen.schedule),
        holds=tuple(seen.holds),
        kept=None if seen.kept is None else tuple(seen.kept),
        accepted=tuple(goals.accepted),
        **{name: getattr(goals, name) for name in _OF_GOALS},
        **{name: getattr(seen, name) for name in _OF_SEEN},
    )
    return msgspec.json.encode(snapshot) + b"\n"


def decode(raw: bytes, source: str) -> tuple[Seen, Goals, datetime]:
    """Return the content of the document in `raw`, read from `source`, and its time.

    Raises ProofFailed if it is not such a document, or of another version.
    """
    try:
        found = msgspec.json.decode(raw, type=PublishedStatus)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise ProofFailed(
            f"{source} was not written by korrigo-backup status --publish: {problem}", hint="write it again"
        ) from None
    if found.format != FORMAT:
        raise ProofFailed(
            f"{source} has format {found.format}, this version reads {FORMAT}",
            hint="install the same version of korrigo-backup on both sides",
        )
    shared = {name: getattr(found, name) for name in (*_OF_SEEN, "strangers", "records", "schedule", "holds", "kept")}
    seen = Seen(artifacts=tuple(_artifact(found.directory, entry) for entry in found.artifacts), **shared)
    goals = Goals(accepted=found.accepted, **{name: getattr(found, name) for name in _OF_GOALS})
    return seen, goals, found.taken


def _entries(artifacts: Iterable[Artifact]) -> Iterable[PublishedArtifact]:
    for one in artifacts:
        yield PublishedArtifact(
            name=one.name,
            kind=one.kind,
            origin=one.origin,
            stamp=one.stamp,
            created=one.created,
            size=one.size,
            problem=one.problem,
            authenticity=one.authenticity,
            head=one.header,
            ours=one.ours,
        )


def _artifact(directory: str, entry: PublishedArtifact) -> Artifact:
    return Artifact(
        path=Path(directory) / entry.name,
        kind=entry.kind,
        origin=entry.origin,
        stamp=entry.stamp,
        created=entry.created,
        size=entry.size,
        source=None,
        problem=entry.problem,
        authenticity=entry.authenticity,
        head=entry.head,
        ours=entry.ours,
    )
