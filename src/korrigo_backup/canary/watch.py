"""The canary: compare the newest backup of each kind with the site's own history, and name the last calm backup."""

from __future__ import annotations

from dataclasses import replace as dataclass_replace
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact.history import members_of
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.canary.collect import COMPARED, read_change, read_states, within_reach
from korrigo_backup.canary.evaluate import calm, evaluate, is_alarm
from korrigo_backup.canary.model import HistoryComparison, Watch
from korrigo_backup.core.finding import Finding, Level, ok, warning
from korrigo_backup.retention.hold import standing
from korrigo_backup.run.record import Outcome, Verb
from korrigo_backup.status.good import CLOCKS_DIFFER, good_artifacts

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.canary.model import ReplacedFiles, SavedCounts
    from korrigo_backup.retention.hold import Hold
    from korrigo_backup.status.model import Facts

HOLDER = "canary"
"""The holder of the hold that keeps the last calm backup while an alarm stands."""


def watch(facts: Facts, *, accept: Collection[str] = ()) -> tuple[Watch, ...]:
    """Return the result for the newest good backup of each kind; the files of the backup directory are read.

    A finding whose id is in `accept` is no alarm: its level is ok.
    """
    good = [one for one in good_artifacts(facts) if one.created <= facts.taken + CLOCKS_DIFFER]
    accepted = _accepted(facts, good)
    held = _held(facts, good)
    watched = (
        _watched(alike, good, accepted, held)
        for kind in COMPARED
        if (alike := [one for one in good if one.kind is kind])
    )
    return tuple(
        dataclass_replace(one, findings=tuple(_without_alarm(finding, accept) for finding in one.findings))
        for one in watched
    )


def _without_alarm(finding: Finding, ids: Collection[str]) -> Finding:
    return ok(finding.id, f"{finding.message} ([status] accept)") if finding.id in ids else finding


def findings(facts: Facts, watched: Sequence[Watch]) -> tuple[Finding, ...]:
    """Return the findings that need a person: those of alarms, and an alarm of the past that was not ended."""
    found = [finding for one in watched for finding in one.findings if finding.level is not Level.OK]
    if not found and (holds := alarms(facts)):
        names = ", ".join(hold.name for hold in holds)
        found = [
            warning(
                "canary.stands",
                f"{names} is kept for an alarm of the canary; the newest backups are as usual again",
                'end the alarm: korrigo-backup canary accept --reason "…"',
            )
        ]
    return tuple(found)


def alarms(facts: Facts) -> tuple[Hold, ...]:
    """Return the holds of the canary that stand: an alarm stands as long as they do."""
    return tuple(hold for hold in standing(facts.holds, facts.taken).values() if hold.holder == HOLDER)


def _watched(
    alike: Sequence[Artifact], good: Sequence[Artifact], accepted: Collection[str], held: Collection[str]
) -> Watch:
    """Compare the first of `alike`, good backups of one kind, newest first."""
    newest, kind = alike[0], alike[0].kind
    states = read_states([newest, *_before(alike, accepted, held)])
    if newest.name in accepted or not states or states[0].name != newest.name:
        return Watch(kind=kind, name=newest.name, calm="", compared=None, findings=())
    history = calm(kind, states[1:], {*accepted, *held})
    confirmed = any(state.name in accepted or state.name in held for state in history)
    by_name = {one.name: one for one in alike}
    change, at = _replaced(states[0], history, alike, by_name)
    compared = HistoryComparison(kind=kind, newest=states[0], history=history, confirmed=confirmed, change=change)
    found = evaluate(compared)
    encrypted = any(finding.id == "canary.encrypted" for finding in found)
    last_calm = (at if encrypted else None) or (history[0].name if history else "")
    name = _point_of(last_calm, good)
    return Watch(
        kind=kind,
        name=newest.name,
        calm=name,
        compared=compared,
        findings=tuple(_with_hint(finding, newest, last_calm, name) for finding in found),
    )


def _before(alike: Sequence[Artifact], accepted: Collection[str], held: Collection[str]) -> Sequence[Artifact]:
    """Return the backups before the newest, from the one that an alarm keeps to the one that a person accepted."""
    last = next((place for place, one in enumerate(alike) if one.name in accepted), len(alike) - 1)
    first = next((place for place, one in enumerate(alike[: last + 1]) if one.name in held), 0)
    return alike[max(first, 1) : last + 1]


def _replaced(
    newest: SavedCounts, history: Sequence[SavedCounts], alike: Sequence[Artifact], by_name: dict[str, Artifact]
) -> tuple[ReplacedFiles | None, str]:
    """Return the change of the files since the oldest backup in reach, and the newest backup before that change."""
    reach = within_reach(newest, history) if newest.files else []
    if not reach or not KINDS[alike[0].kind].has_files_alone:
        return None, ""

    def change_since(state: SavedCounts) -> ReplacedFiles | None:
        former = by_name[state.name]
        return read_change(alike[0], former, alike[: alike.index(former)])

    change = change_since(reach[-1])
    if change is None:
        return None, ""
    last = next((state for state in reach[:-1] if change_since(state)), reach[-1])
    return change, last.name


def _accepted(facts: Facts, good: Sequence[Artifact]) -> set[str]:
    """Return the backups that a person accepted, with the components of restore points."""
    named = {one.subject for one in facts.records if one.verb == Verb.CANARY and one.outcome is Outcome.DONE}
    return _with_components(named, good)


def _held(facts: Facts, good: Sequence[Artifact]) -> set[str]:
    return _with_components({hold.name for hold in alarms(facts)}, good)


def _with_components(names: Collection[str], good: Sequence[Artifact]) -> set[str]:
    points = (one for one in good if one.name in names)
    return {*names, *(name for point in points for name in members_of(point))}


def _point_of(name: str, good: Sequence[Artifact]) -> str:
    """Return the restore point of a backup, or the backup itself."""
    return next((one.name for one in good if name in members_of(one)), name)


def _with_hint(finding: Finding, newest: Artifact, calm_name: str, point: str) -> Finding:
    if not is_alarm([finding]):
        return finding
    look = "show" if KINDS[newest.kind].loaded_by_django else f"compare {calm_name}"
    return replace(
        finding,
        hint=f"the last calm backup is {point}, restore it with: korrigo-backup restore {point}; see the difference:"
        f" korrigo-backup {look} {newest.name}; if it was meant:"
        f' korrigo-backup canary accept {newest.name} --reason "…"',
    )
