"""The page of one backup: its content, its proof, its copies and holds, the runs that touched it, its commands."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from django.http import Http404

from korrigo_backup.artifact.consistency import recorded_findings
from korrigo_backup.artifact.history import BACKUPS, READS, members_of
from korrigo_backup.artifact.kinds import KINDS, has_media
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.djangoapp.look.asking import can_be_looked_into
from korrigo_backup.djangoapp.look.pages import can_look, hides_erased
from korrigo_backup.djangoapp.status.page import NoBackupsError, origin, seen
from korrigo_backup.djangoapp.status.source import copies_elsewhere
from korrigo_backup.djangoapp.status.table import Notes, row
from korrigo_backup.djangoapp.status.wording import attention, in_language, local, run, signature_label
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.run.record import RESTORES, Outcome, Verb

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.manifest import Manifest, TableProof
    from korrigo_backup.run.record import Record
    from korrigo_backup.status.model import Facts

_RUNS = 50
"""Operations of the journal that are shown."""

_TABLES = 200
"""Tables that are shown, those with the most rows."""

_NOTES = 20
"""Notes on files that are shown."""

_MAKERS = frozenset({*BACKUPS, Verb.POINT, *RESTORES})
"""The operations in which artifacts are made; a restore makes a safety backup."""


class ArtifactCommand(NamedTuple):
    """A command for the host, and the key of its purpose."""

    purpose: str
    text: str


def detail(name: str) -> dict[str, Any]:
    """Return the values of the template for the backup `name`. Raises Http404 if there is none of that name."""
    now = datetime.now(UTC)
    try:
        facts, _goals, place = seen(now)
    except NoBackupsError as problem:
        raise Http404(str(problem)) from None
    artifact = next((one for one in facts.artifacts if one.name == name), None)
    if artifact is None:
        raise Http404(f"no backup is called {name}")
    notes = Notes(facts, now)
    manifest, unread = _manifest(artifact) if place.is_dir() else (None, "")
    return {
        "backup": row(artifact, notes),
        "artifact": artifact,
        "can_look": can_look(artifact, facts, place),
        "hides_erased": place.is_dir() and hides_erased(place),
        "can_be_looked_into": can_be_looked_into(artifact.kind),
        "has_rows": KINDS[artifact.kind].has_dump,
        "has_media": has_media(artifact.kind),
        "signature": signature_label(artifact),
        "unread": unread,
        **_content(artifact, manifest),
        **_related(artifact, facts),
        "verified": _last_read(facts.records, name),
        "copies": _copies(facts, place, name, now),
        "held": [
            (hold, local(hold.since), hold.until and local(hold.until))
            for hold in facts.holds
            if hold.name == name and hold.stands(now)
        ],
        "holds_unread": facts.held_unread and in_language(facts.held_unread[0]),
        "runs": [run(record) for record in _touching(facts.records, artifact)],
        "commands": commands(artifact, facts, is_bad=notes.problem(artifact) is not None),
        **origin(facts, place),
    }


def commands(artifact: Artifact, facts: Facts, *, is_bad: bool) -> list[ArtifactCommand]:
    """Return the commands for an artifact, in the order in which a person needs them.

    A bad artifact has no command that restores it. A media backup can be looked at with its restore point.
    """
    name, spec = artifact.name, KINDS[artifact.kind]
    unsigned = artifact.authenticity is Authenticity.UNSIGNED and artifact.header is not None
    option = " --allow-unsigned" if unsigned else ""
    found = [ArtifactCommand("verify", f"korrigo-backup verify {name}")]
    if not is_bad:
        found.append(ArtifactCommand("plan", f"korrigo-backup plan {name}{option}"))
        found.append(ArtifactCommand("restore", f"korrigo-backup restore {name}{option}"))
        if not spec.loaded_by_django:
            found.append(ArtifactCommand("drill", f"korrigo-backup drill {name}"))
        point = next((one.name for one in facts.artifacts if name in members_of(one)), None)
        looked_at = point if spec.has_files_alone else name
        if looked_at:
            found.append(ArtifactCommand("browse", f"korrigo-backup browse {looked_at}"))
    found.append(ArtifactCommand("hold", f'korrigo-backup hold add {name} --reason "…"'))
    return found


def _manifest(artifact: Artifact) -> tuple[Manifest | None, str]:
    """Return the whole manifest, and why it could not be read."""
    try:
        return artifact.manifest, ""
    except (KorrigoBackupError, OSError) as problem:
        return None, in_language(str(problem))


def _content(artifact: Artifact, manifest: Manifest | None) -> dict[str, Any]:
    """Return the content of an artifact: from the manifest, without it from the head that the host has published."""
    head = artifact.header
    if manifest is None:
        return {"head": head, "manifest": None}
    tables: Sequence[TableProof] = manifest.database.tables if manifest.database else ()
    if manifest.django:
        tables = manifest.django.models
    by_rows = sorted(tables, key=lambda one: (-one.rows, one.name))
    media = manifest.media
    notes = (*media.notes, *(f"changed while read: {path}" for path in media.unstable)) if media else ()
    return {
        "head": head,
        "manifest": manifest,
        "tables": by_rows[:_TABLES],
        "tables_left": len(by_rows[_TABLES:]),
        "notes": [in_language(note) for note in notes[:_NOTES]],
        "notes_left": len(notes[_NOTES:]),
        "findings": [attention(finding) for finding in recorded_findings(manifest)],
    }


def _related(artifact: Artifact, facts: Facts) -> dict[str, Any]:
    """Return the components of a restore point, or the restore points of a component, with whether they are there."""
    there = {one.name for one in facts.artifacts}
    return {
        "components": [(name, name in there) for name in members_of(artifact)],
        "points": [one.name for one in facts.artifacts if artifact.name in members_of(one)],
    }


def _last_read(records: Iterable[Record], name: str) -> datetime | None:
    """Return when an artifact was last read to its end and found good, after it was made."""
    found = [
        one.started for one in records if one.verb in READS and one.subject == name and one.outcome is Outcome.DONE
    ]
    return local(max(found)) if found else None


def _copies(facts: Facts, place: Path, name: str, now: datetime) -> list[dict[str, Any]]:
    """Return the receipts of an artifact: a line for each target that holds, or held, a whole copy."""
    targets = copies_elsewhere(place) if place.is_dir() else facts.targets
    return [
        {
            "target": target.name,
            "sent": local(copy.sent),
            "read": copy.read and local(copy.read),
            "bad": in_language(copy.bad),
            "sealed": copy.sealed,
            "locked_until": local(copy.locked_until) if copy.locked_until and copy.is_immutable(now) else None,
        }
        for target in targets
        for copy in target.copies
        if copy.name == name
    ]


def _touching(records: Sequence[Record], artifact: Artifact) -> list[Record]:
    """Return the operations that made or name an artifact, the newest first."""
    return [one for one in reversed(records) if _names(one, artifact.name) or _made(one, artifact)][:_RUNS]


def _names(record: Record, name: str) -> bool:
    texts = (record.message, *record.why.values())
    return name in {record.subject, record.safety, record.damaged} or any(name in text for text in texts)


def _made(record: Record, artifact: Artifact) -> bool:
    """Return whether an artifact was made in the time of a run: a single run works at a time, and names are seconds."""
    if record.verb not in _MAKERS or record.seconds is None:
        return False
    end = record.started + timedelta(seconds=record.seconds)
    return record.started - timedelta(seconds=1) <= artifact.created <= end
