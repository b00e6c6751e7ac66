"""The content of the admin page: the status as the command shows it, sizes over time, backups, and the last runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from django.utils.translation import pgettext

from korrigo_backup.artifact.history import last_incident
from korrigo_backup.artifact.kinds import WITH_ROWS
from korrigo_backup.core.finding import Level
from korrigo_backup.djangoapp.location import backup_directory
from korrigo_backup.djangoapp.status.charts import drawing
from korrigo_backup.djangoapp.status.source import copies_elsewhere, read
from korrigo_backup.djangoapp.status.table import Notes, table
from korrigo_backup.djangoapp.status.wording import attention, in_language, kind_label, local, run
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.status.copies import describe_copies
from korrigo_backup.status.evaluate import evaluate, whole_copy
from korrigo_backup.status.good import good_artifacts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.status.model import Facts, Goals, Status, TargetCopies

RUNS = 15
"""Operations of the journal that are shown."""

_STRANGERS = 10
"""Names of entries that are no backups."""


class NoBackupsError(Exception):
    """The backups cannot be seen from here; its text is the reason."""


def page(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the template; `query` may hold the page of the table (`p`) and the kind (`kind`).

    Faults of the backup directory do not raise: the page shows them.
    """
    try:
        facts, goals, place = seen(datetime.now(UTC))
    except NoBackupsError as problem:
        return {"unset": str(problem)}
    return {**_shown(facts, goals, place, query), **origin(facts, place)}


def seen(now: datetime) -> tuple[Facts, Goals, Path]:
    """Return the facts, the goals and the place where they were found. Raises NoBackupsError with the reason."""
    try:
        place = backup_directory()
    except (TypeError, ValueError, RuntimeError) as problem:
        # an invalid path, or the home of a user that does not exist
        raise NoBackupsError(str(problem)) from None
    if place is None:
        raise NoBackupsError(pgettext("korrigo_backup", "KORRIGO_BACKUP_DIR is not set"))
    try:
        return *read(place, now=now), place
    except KorrigoBackupError as problem:
        raise NoBackupsError(in_language(str(problem))) from None


def origin(facts: Facts, place: Path) -> dict[str, Any]:
    """Return the place of the facts, and when the host has published them, None if they were read now."""
    return {"place": str(place), "taken": local(facts.taken) if place.is_file() else None}


def _shown(facts: Facts, goals: Goals, place: Path, query: Mapping[str, str]) -> dict[str, Any]:
    now = datetime.now(UTC)
    good = good_artifacts(facts)
    status = evaluate(facts, goals, now=now)
    return {
        **_state(status, good),
        **_copies(status, good, place),
        **_surroundings(status),
        **drawing(good),
        **table(facts, Notes(facts, now), query),
        "runs": [run(record) for record in reversed(facts.records[-RUNS:])],
    }


def _state(status: Status, good: Sequence[Artifact]) -> dict[str, Any]:
    newest = next((artifact for artifact in good if artifact.kind in WITH_ROWS), None)
    errors = sum(finding.level is Level.ERROR for finding in status.attention)
    return {
        "status": status,
        "errors": errors,
        "warnings": len(status.attention) - errors,
        "attention": [attention(finding) for finding in status.attention],
        "newest": newest and (newest, local(newest.created)),
        "newest_of_kind": [(kind_label(one.kind), one, local(one.created)) for one in status.good],
        "next_run": status.facts.next_run and local(status.facts.next_run),
        "forecast": _forecast(status),
    }


def _forecast(status: Status) -> str:
    """Return when the disk will be full, in words; "" where no schedule goes on with the backups."""
    return in_language(status.space.forecast) if status.space and status.facts.scheduled is not False else ""


def _copies(status: Status, good: Sequence[Artifact], place: Path) -> dict[str, Any]:
    """Return how the data are copied; disks and targets are known to the host alone, the ledgers also here."""
    is_published = place.is_file()
    targets = status.facts.targets if is_published else copies_elsewhere(place)
    newest = next((artifact for artifact in good if artifact.kind in WITH_ROWS), None)
    holding = sum(newest is not None and whole_copy(target, newest.name) is not None for target in targets)
    return {
        "copies": in_language(describe_copies(status.copies)) if is_published else None,
        "holding": holding,
        "targets": [_target(target, status.now) for target in targets],
    }


def _target(target: TargetCopies, now: datetime) -> dict[str, Any]:
    newest = next(iter(target.copies), None)
    read_back = max((copy.read for copy in target.copies if copy.read), default=None)
    locked = [copy for copy in target.copies if copy.is_immutable(now)]
    ends = [copy.locked_until for copy in locked if copy.locked_until]
    return {
        "name": target.name,
        "count": len(target.copies),
        "newest": newest,
        "sent": newest and local(newest.sent),
        "read": read_back and local(read_back),
        "bad": sum(bool(copy.bad) for copy in target.copies),
        "locked": len(locked),
        "locked_until": local(min(ends)) if ends else None,
    }


def _surroundings(status: Status) -> dict[str, Any]:
    """Return the other facts of the host's screen."""
    facts, incident = status.facts, last_incident(status.facts.records)
    names = [stranger.name for stranger in facts.strangers]
    return {
        "running": facts.holder and in_language(facts.holder),
        "last_run": status.last_run and local(status.last_run),
        "skipped": status.skipped and (status.skipped, local(status.skipped.last), in_language(status.skipped.reason)),
        "incident": incident and (local(incident.started), incident.why),
        "kept": facts.kept and (len(facts.kept), local(facts.kept[-1].at)),
        "strangers": names[:_STRANGERS],
        "strangers_left": len(names[_STRANGERS:]),
    }
