"""The pre-restore checklist of the runbook (5.1): points for the machine to check, and points for people to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.core.finding import Level
from korrigo_backup.core.size import human

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.restore.plan import RestorePlan


@dataclass(frozen=True)
class Question:
    """A point that people answer: the key of its answer in the journal, the option that gives it, the words."""

    key: str
    option: str
    point: str
    words: str


QUESTIONS = (
    Question("approved_by", "--approved-by", "authorisation", "Approved in writing by"),
    Question("reason", "--reason", "incident", "The incident, in a sentence"),
    Question("ticket", "--ticket", "incident", "Ticket or report"),
    Question("users_told", "--users-told", "users", "Users were informed by"),
    Question("window", "--window", "maintenance window", "Minutes planned"),
    Question("contacts", "--contacts", "team", "People to call if it goes wrong"),
)
"""In the order in which they are asked. `ticket` and `reason` belong to the same point: either answers it."""


@dataclass(frozen=True)
class Line:
    """A point of the list: whether it is met, and the evidence."""

    point: str
    done: bool
    evidence: str


def checklist(plan: RestorePlan, answers: Mapping[str, str]) -> tuple[Line, ...]:
    """Return the twelve points in the runbook's order."""
    bad = {finding.id for finding in plan.findings if finding.level is Level.ERROR}
    known = {finding.id for finding in plan.findings}
    kept = [one.kept_as for one in plan.replaces if one.kept_as]
    in_place = any(one.in_place for one in plan.replaces)
    stops = "services.unknown" not in known
    return (
        _asked("authorisation", answers, "approved_by"),
        _asked("incident documented", answers, "reason", "ticket"),
        Line("present state saved", done=True, evidence=_saved(kept, in_place=in_place)),
        Line("source verified", done="artifact.damaged" not in bad, evidence=_verified(known)),
        Line("time of the source", done=True, evidence=f"{plan.created.astimezone():%Y-%m-%d %H:%M:%S %Z}"),
        Line("services stopped", done=stops, evidence="by this restore" if stops else "no command is configured"),
        _asked("users told", answers, "users_told"),
        Line("disk space", done=not bad & {"space.media", "space.database"}, evidence=_space(plan)),
        Line("access to the database", done="role.createdb" not in bad, evidence="the role was asked just now"),
        _asked("maintenance window", answers, "window"),
        Line(
            "way back",
            done=True,
            evidence=_way_back(plan, kept, in_place=in_place),
        ),
        _asked("team reachable", answers, "contacts"),
    )


def unanswered(answers: Mapping[str, str]) -> list[Question]:
    """Return the questions that are open; a ticket or a reason answers both."""
    explained = bool(answers.get("reason") or answers.get("ticket"))
    return [q for q in QUESTIONS if not answers.get(q.key) and not (q.point == "incident" and explained)]


def _asked(point: str, answers: Mapping[str, str], *keys: str) -> Line:
    given = [answers[key] for key in keys if answers.get(key)]
    return Line(point, done=bool(given), evidence=", ".join(given) or "not stated")


def _verified(known: set[str]) -> str:
    return "every byte read, as in its manifest" if "artifact.verified" in known else "whole, but not proven"


def _saved(kept: list[str], *, in_place: bool) -> str:
    if in_place:
        files = f"; files kept as {', '.join(kept)}" if kept else ""
        return f"in a safety backup, before the first change{files}"
    return f"kept as {', '.join(kept)}" if kept else "there is none"


def _way_back(plan: RestorePlan, kept: list[str], *, in_place: bool) -> str:
    if KINDS[plan.kind].loaded_by_django:
        return "korrigo-backup rollback, which loads the safety backup while the site serves"
    if in_place:
        return "korrigo-backup rollback --to safety --in-place, as long as a restore"
    return "korrigo-backup rollback, about a second" if kept else "there is no previous data"


def _space(plan: RestorePlan) -> str:
    return "; ".join(
        f"{one.part}: {human(one.needs)} needed, free space not visible"
        if one.free is None
        else f"{one.part}: {human(one.needs)} needed, {human(one.free)} free"
        for one in plan.replaces
    )
