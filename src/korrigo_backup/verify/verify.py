"""Verify an artifact: the checklist of the runbook's 4.8, each line with its finding."""

from __future__ import annotations

import stat
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from korrigo_backup.artifact.consistency import recorded_findings
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.core.finding import Finding, error, ok, warning
from korrigo_backup.errors import NotFound, ProofFailed
from korrigo_backup.system.files import explained, free_bytes
from korrigo_backup.system.timings import phase
from korrigo_backup.verify.content import content
from korrigo_backup.verify.structure import structure

if TYPE_CHECKING:
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog

SMALL = 1024 * 1024
"""Bytes; the runbook's "Backup size < 1 MB" (4.8). A warning only: size is no proof, content is."""

OLD = timedelta(hours=24)
"""The runbook's "Backup older than 24h" (4.8)."""


class Depth(StrEnum):
    """The depth of a verification; each reads every byte, and the next includes the depth before.

    `structure`: every file is, bit by bit, as saved; files of the media store are there with their sizes. `content`:
    unpacked and read: end mark, the rows of every table, the checksum of every file. `full`: loaded into a scratch copy
    and proven there, then removed.
    """

    STRUCTURE = "structure"
    CONTENT = "content"
    FULL = "full"


@phase("verify")
def verify(
    catalog: Catalog,
    artifact: Artifact,
    *,
    now: datetime,
    depth: Depth = Depth.CONTENT,
    stored_media: bool = True,
) -> list[Finding]:
    """Return the findings about an artifact; every byte of it is read, of a restore point those of its two backups.

    Damage is a finding of level error, never an exception; a missing right or a failing disk is raised. A missing
    signature is a warning here: the artifact may still be whole. Without `stored_media` the files of the media store
    are not read: each backup reads a share of them.
    """
    findings = [*_read(catalog, artifact, depth, stored_media=stored_media), *_mode(artifact)]
    if artifact.size < SMALL and not KINDS[artifact.kind].components and not artifact.stored_listing:
        findings.append(warning("artifact.small", f"Warning: Backup size < 1 MB ({artifact.size} bytes)",
                                "right for a small site; else look for missing data: korrigo-backup show"))  # fmt: skip
    age = now - artifact.created
    if age > OLD:
        findings.append(warning("artifact.old", f"Warning: Backup older than 24h ({int(age.total_seconds()) // 3600}h)",
                                "see whether the nightly backup still runs"))  # fmt: skip
    elif age < timedelta(0):
        findings.append(warning("artifact.future", f"its time {artifact.created:%Y-%m-%d %H:%M} is in the future",
                                "check the clock of this machine"))  # fmt: skip
    free = free_bytes(artifact.path.parent)
    if free < artifact.size:
        findings.append(warning("space.next", f"{free:,} bytes free: less than this backup's size", "make room"))
    return findings


def _read(catalog: Catalog, artifact: Artifact, depth: Depth, *, stored_media: bool) -> list[Finding]:
    try:
        if depth is Depth.STRUCTURE:
            return structure(catalog, artifact)
        return [*content(catalog, artifact, stored_media=stored_media), *recorded_findings(artifact.manifest)]
    except (ProofFailed, NotFound) as problem:
        return [error("artifact.damaged", problem.message, problem.hint)]


def _mode(artifact: Artifact) -> list[Finding]:
    with explained(f"look at {artifact.path}"):
        mode = stat.S_IMODE(artifact.path.stat().st_mode)
    if mode & 0o077:
        return [warning("artifact.mode", f"readable by others (mode {mode:o})",
                        f"chmod go-rwx {artifact.path}")]  # fmt: skip
    return [ok("artifact.mode", f"private (mode {mode:o})")]
