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
from msgspec import structs

from korrigo_backup.artifact.artifact import Artifact
from korrigo_backup.artifact.header import ManifestHeader  # noqa: TC001 - the same
from korrigo_backup.artifact.kinds import Kind, Origin  # noqa: TC001 - the same
from korrigo_backup.artifact.signature import Authenticity  # noqa: TC001 - the same
from korrigo_backup.core.moment import require_moment
from korrigo_backup.errors import ProofFailed
from korrigo_backup.status.model import CollectedFacts, Facts, Goals

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = 1
RECORDS = 2000
"""Lines of the journal that are passed on: some months of nights."""


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


class _Head(msgspec.Struct, frozen=True):
    """The version of the document; its other fields are those of `Goals` and `CollectedFacts`."""

    format: int


def encode(facts: Facts, goals: Goals) -> bytes:
    """Return the document, JSON in UTF-8."""
    document = {"format": FORMAT, "taken": facts.taken, **structs.asdict(goals), **structs.asdict(facts)}
    document |= {"artifacts": list(_entries(facts.artifacts)), "records": facts.records[-RECORDS:]}
    return msgspec.json.encode(document) + b"\n"


def decode(raw: bytes, source: str) -> tuple[Facts, Goals]:
    """Return the content of the document in `raw`, read from `source`.

    Raises ProofFailed if it is not such a document, or of another version.
    """
    try:
        found = msgspec.json.decode(raw, type=_Head).format
        if found != FORMAT:
            raise ProofFailed(
                f"{source} has format {found}, this version reads {FORMAT}",
                hint="install the same version of korrigo-backup on both sides",
            )
        goals = msgspec.json.decode(raw, type=Goals)
        short = msgspec.json.decode(raw, type=CollectedFacts[PublishedArtifact])
        _require_moments(short)
    except (msgspec.DecodeError, ValueError) as problem:
        raise ProofFailed(
            f"{source} was not written by korrigo-backup status --publish: {problem}", hint="write it again"
        ) from None
    artifacts = tuple(_artifact(short.directory, entry) for entry in short.artifacts)
    return Facts(**{**structs.asdict(short), "artifacts": artifacts}), goals


def _require_moments(facts: CollectedFacts[PublishedArtifact]) -> None:
    """Raise ValueError for a time that cannot be compared with others."""
    kept = (one.at for one in facts.kept or ())
    copies = [copy for target in facts.targets for copy in target.copies]
    copied = (moment for copy in copies for moment in (copy.sent, copy.read, copy.locked_until, copy.lock_read))
    for moment in (facts.taken, facts.next_run, *kept, *copied, *(one.created for one in facts.artifacts)):
        require_moment(moment)


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
