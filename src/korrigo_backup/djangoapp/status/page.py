"""The content of the admin page: the status as the command shows it, sizes over time, backups, and the last runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING, Any

from django.core.paginator import Paginator
from django.template.defaultfilters import filesizeformat
from django.utils import timezone
from django.utils.translation import get_language, pgettext, to_locale

from korrigo_backup.artifact.history import damaged, proven
from korrigo_backup.artifact.kinds import KINDS, WITH_ROWS, Kind, Origin
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.language import language
from korrigo_backup.djangoapp.location import backup_directory
from korrigo_backup.djangoapp.status.source import read
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.retention.hold import standing
from korrigo_backup.status.evaluate import evaluate
from korrigo_backup.status.good import good_artifacts, rows_of
from korrigo_backup.translation.catalogue import translator

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.header import ManifestHeader
    from korrigo_backup.status.model import Facts, Goals

ON_A_PAGE = 25
"""Backups in the table at once."""

RUNS = 15
"""Operations of the journal that are shown."""

IN_A_CHART = 400
"""Points of a line: more cannot be distinguished on a screen, and would only make the page heavy."""

_RHYTHM = 7
"""Backups from which the time of the next backup is predicted."""


@dataclass(frozen=True)
class Row:
    """A backup in the table. Times are in the reader's zone, the size in bytes.

    `proof` is the proof that its manifest allows, `restored` when a load of it was last proven to equal the saved data,
    `hold` the holder and the reason.
    """

    name: str
    kind: str
    origin: str
    created: datetime
    size: int
    rows: int | None
    files: int | None
    seconds: float | None
    proof: str
    restored: datetime | None
    hold: str
    problem: str | None


def page(query: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of the template; `query` may hold the page of the table (`p`) and the kind (`kind`).

    Faults of the backup directory do not raise: the page shows them.
    """
    try:
        place = backup_directory()
    except (TypeError, ValueError, RuntimeError) as problem:
        # an invalid path, or the home of a user that does not exist
        return {"unset": str(problem)}
    if place is None:
        return {"unset": pgettext("korrigo_backup", "KORRIGO_BACKUP_DIR is not set")}
    try:
        facts, goals = read(place, now=datetime.now(UTC))
    except KorrigoBackupError as problem:
        return {"unset": in_language(str(problem))}
    return {**_shown(facts, goals, query), **_origin(facts, place)}


def _origin(facts: Facts, place: Path) -> dict[str, Any]:
    """Return the place of the facts, and when the host has published them, None if they were read now."""
    return {"place": str(place), "taken": local(facts.taken) if place.is_file() else None}


def _shown(facts: Facts, goals: Goals, query: Mapping[str, str]) -> dict[str, Any]:
    now = datetime.now(UTC)
    good = good_artifacts(facts)
    return {
        **_state(facts, good, goals, now),
        **_drawing(good),
        **_table(facts, _Notes(facts, now), query),
        "runs": [
            (record, local(record.started), in_language(record.message or ""))
            for record in reversed(facts.records[-RUNS:])
        ],
    }


def _state(facts: Facts, good: Sequence[Artifact], wanted: Goals, now: datetime) -> dict[str, Any]:
    status = evaluate(facts, wanted, now=now)
    newest = next((artifact for artifact in good if artifact.kind in WITH_ROWS), None)
    return {
        "status": status,
        "attention": [
            (finding, in_language(finding.message), in_language(finding.hint)) for finding in status.attention
        ],
        "newest": newest and (newest, local(newest.created)),
        "next_run": facts.next_run and local(facts.next_run),
        "expected": expected(good, now),
    }


def _drawing(good: Sequence[Artifact]) -> dict[str, Any]:
    charts = [chart for kind, spec in KINDS.items() if not spec.components and (chart := _chart(good, kind))]
    return {"charts": charts, "drawing": {"charts": charts, "units": [_unit(1024**power) for power in range(6)]}}


def _table(facts: Facts, notes: _Notes, query: Mapping[str, str]) -> dict[str, Any]:
    there = {artifact.kind for artifact in facts.artifacts}
    kind = next((kind for kind in Kind if kind == query.get("kind")), None)
    listed = [artifact for artifact in facts.artifacts if kind in {None, artifact.kind}]
    table = Paginator(listed, ON_A_PAGE).get_page(query.get("p"))
    return {
        "kinds": [(one.value, _label(one), one is kind) for one in Kind if one in there],
        "kind": kind,
        "table": table,
        "rows": [_row(artifact, notes) for artifact in table.object_list],
        "holds": len(notes.holds) if notes.holds is not None else None,
    }


class _Notes:
    """Facts about artifacts besides their manifests, by their names.

    `restored` is when a load of an artifact was last proven to equal the saved data, `bad` are those that a
    verification has found damaged; `holds` is None if they cannot be read.
    """

    def __init__(self, facts: Facts, now: datetime) -> None:
        self.restored = {proof.what: proof.at for record in facts.records if (proof := proven([record]))}
        self.bad = damaged(facts.records)
        self.holds = None if facts.held_unread else standing(facts.holds, now)


def in_language(text: str) -> str:
    """Return a text of ours in the language that Django has active."""
    return translator(language({"LANG": to_locale(get_language() or "C")}))(text)


def expected(good: Iterable[Artifact], now: datetime) -> datetime | None:
    """Return when the next backup of the database is due if the recent rhythm goes on, None if there is no rhythm yet.

    A time in the past means that a backup is late. The schedule itself is the host's, and cannot be seen from here.
    """
    made = [a.created for a in good if a.kind in WITH_ROWS and a.created <= now][: _RHYTHM + 1]
    if len(made) <= 2:  # noqa: PLR2004 - one distance is not a rhythm
        return None
    apart = median((later - earlier).total_seconds() for later, earlier in pairwise(made))
    return local(made[0] + timedelta(seconds=apart))


def local(moment: datetime) -> datetime:
    """Return a time in the zone of the reader, with any USE_TZ."""
    return moment.astimezone(timezone.get_current_timezone())


def _chart(good: Sequence[Artifact], kind: Kind) -> dict[str, Any] | None:
    """Return the sizes of a kind, oldest first, as milliseconds since 1970 and bytes; None for fewer than two."""
    alike = [artifact for artifact in reversed(good) if artifact.kind is kind and artifact.origin is Origin.ROUTINE]
    if len(alike) <= 1:
        return None
    step = -(-len(alike) // IN_A_CHART)
    kept = alike[::-1][::step][::-1]  # the newest always
    return {
        "id": f"korrigo-chart-{kind.value}",
        "label": _label(kind),
        "count": len(alike),
        "first": kept[0].size,
        "last": kept[-1].size,
        "points": [{"x": int(a.created.timestamp() * 1000), "y": a.size} for a in kept],
    }


def _row(artifact: Artifact, notes: _Notes) -> Row:
    head, restored = artifact.header, notes.restored.get(artifact.name)
    hold = (notes.holds or {}).get(artifact.name)
    return Row(
        name=artifact.name,
        kind=_label(artifact.kind),
        origin="" if artifact.origin is Origin.ROUTINE else artifact.origin.value,
        created=local(artifact.created),
        size=artifact.size,
        rows=rows_of(artifact),
        files=head.files if head else None,
        seconds=head.seconds if head else None,
        proof=_proof(head),
        restored=restored and local(restored),
        hold=in_language(hold.described()) if hold else "",
        problem=_problem(artifact, notes),
    )


def _label(kind: Kind) -> str:
    return str(pgettext("korrigo_backup", KINDS[kind].label))


def _proof(head: ManifestHeader | None) -> str:
    if head is None or head.format == 0 or head.consistency:
        return ""
    if head.rows is None:
        return str(pgettext("korrigo_backup", "files"))
    return str(pgettext("korrigo_backup", "rows") if head.digests else pgettext("korrigo_backup", "counts"))


def _problem(artifact: Artifact, notes: _Notes) -> str | None:
    if artifact.authenticity is Authenticity.FORGED:
        return str(pgettext("korrigo_backup", "its manifest was altered"))
    if artifact.name in notes.bad:
        return str(pgettext("korrigo_backup", "found damaged when it was verified"))
    return artifact.problem


def _unit(size: int) -> str:
    """Return the word that stands after a size in the table, so that the charts use the same."""
    return str(filesizeformat(size if size > 1 else 2)).split("\xa0")[-1]
