"""The facts about a site's backups as one document, for the site's own process: it cannot read their directory.

It holds names, sizes, counts and the journal's last lines, no data and no secret. Ages are not in it: they are computed
when it is read, so an old document shows that newer facts are missing. A development version before 0.1.0 also wrote
`offsite`, which is ignored.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
from msgspec import structs

from korrigo_backup.artifact.artifact import Artifact, ArtifactEntry
from korrigo_backup.core.moment import require_moment
from korrigo_backup.errors import ProofFailed
from korrigo_backup.status.model import CollectedFacts, Facts, Goals

FORMAT = 1
RECORDS = 2000
"""Lines of the journal that are passed on: some months of nights."""


class _Head(msgspec.Struct, frozen=True):
    """The version of the document; its other fields are those of `Goals` and `CollectedFacts`."""

    format: int


def encode(facts: Facts, goals: Goals) -> bytes:
    """Return the document, JSON in UTF-8."""
    document = {"format": FORMAT, "taken": facts.taken, **structs.asdict(goals), **structs.asdict(facts)}
    document |= {"artifacts": [_entry(one) for one in facts.artifacts], "records": facts.records[-RECORDS:]}
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
        short = msgspec.json.decode(raw, type=CollectedFacts[ArtifactEntry])
        _require_moments(short)
    except (msgspec.DecodeError, ValueError) as problem:
        raise ProofFailed(
            f"{source} was not written by korrigo-backup status --publish: {problem}", hint="write it again"
        ) from None
    directory = Path(short.directory)
    artifacts = tuple(Artifact(**structs.asdict(one), directory=directory, source=None) for one in short.artifacts)
    return Facts(**{**structs.asdict(short), "artifacts": artifacts}), goals


def _require_moments(facts: CollectedFacts[ArtifactEntry]) -> None:
    """Raise ValueError for a time that cannot be compared with others."""
    kept = (*(one.at for one in facts.kept or ()), *(one.created for one in facts.undoable))
    copies = [copy for target in facts.targets for copy in target.copies]
    copied = (moment for copy in copies for moment in (copy.sent, copy.read, copy.locked_until, copy.lock_read))
    for moment in (facts.taken, facts.next_run, *kept, *copied, *(one.created for one in facts.artifacts)):
        require_moment(moment)


def _entry(artifact: Artifact) -> ArtifactEntry:
    fields = {name: getattr(artifact, name) for name in ArtifactEntry.__struct_fields__}
    return ArtifactEntry(**{**fields, "head": artifact.header})
