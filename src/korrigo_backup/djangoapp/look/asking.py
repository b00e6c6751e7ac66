"""Requests to the host: written into the spool by the site, answered by the host's `korrigo-backup requests run`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.http import Http404
from django.utils.translation import pgettext

from korrigo_backup.artifact.kinds import KINDS, has_media
from korrigo_backup.core.paths import on_one_line
from korrigo_backup.djangoapp.location import requests_directory
from korrigo_backup.djangoapp.look.permitted import is_known, may_ask
from korrigo_backup.djangoapp.look.sent import host_look, sent, unanswered
from korrigo_backup.djangoapp.models import Backups
from korrigo_backup.djangoapp.status.page import NoBackupsError, seen
from korrigo_backup.djangoapp.status.wording import for_person, hint_of_request, in_language, local
from korrigo_backup.errors import KorrigoBackupError, UsageError
from korrigo_backup.requests.model import ID, BringBackRequest, PlanRequest, State
from korrigo_backup.requests.spool import Spool
from korrigo_backup.rescue.objects import parse_object
from korrigo_backup.rescue.undelete_plan import Why

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.kinds import Kind
    from korrigo_backup.djangoapp.look.sent import Unanswered
    from korrigo_backup.requests.model import HostAnswer, Request
    from korrigo_backup.rescue.undelete_plan import UndeletePlan

_LOOKS = frozenset({"look", "file"})
_SHOWN = 10
"""Former requests of a backup that are shown."""


def spool() -> Spool | None:
    """Return the spool that the settings name, None if they name none."""
    directory = requests_directory()
    return Spool(directory) if directory else None


def require_spool() -> Spool:
    """Return the spool that the settings name; Http404 if they name none."""
    found = spool()
    if found is None:
        raise Http404("no directory of requests is configured")
    return found


def require_backup(name: str, *, for_look: bool = False) -> Artifact:
    """Return a backup of this site by its name that the host can bring rows back from, or look into; else Http404."""
    found = _backup(name)
    if found is None or not (KINDS[found.kind].has_dump or (for_look and can_be_looked_into(found.kind))):
        raise Http404(f"no backup with rows is called {name}")
    return found


def require_media(name: str) -> Artifact:
    """Return a media backup of this site, or a restore point, by its name; Http404 if there is none."""
    found = _backup(name)
    if found is None or not has_media(found.kind):
        raise Http404(f"no backup of media is called {name}")
    return found


def _backup(name: str) -> Artifact | None:
    try:
        facts = seen(datetime.now(UTC))[0]
    except NoBackupsError as problem:
        raise Http404(str(problem)) from None
    return next((one for one in facts.artifacts if one.name == name), None)


def can_be_looked_into(kind: Kind) -> bool:
    """Return whether backups of a kind hold rows that can be shown: also those of a Django backup."""
    return KINDS[kind].has_dump or KINDS[kind].loaded_by_django


def note(user: Any, name: str, words: str) -> None:
    """Write into the admin's log who looks or asks, and at which backup: before the look."""
    kind = ContentType.objects.get_for_model(Backups, for_concrete_model=False)
    LogEntry.objects.create(
        user_id=user.pk,
        content_type=kind,
        object_id=name,
        object_repr=name[:200],
        action_flag=CHANGE,
        change_message=words,
    )


def made(artifact: Artifact) -> datetime:
    """Return when a backup was made, in the zone of the reader."""
    return local(artifact.created)


def form(user: Any, artifact: Artifact, found: Spool | None) -> dict[str, Any]:
    """Return the values of the page that asks for objects."""
    values: dict[str, Any] = {"backup": artifact, "made": made(artifact), "is_set": found is not None}
    if found:
        try:
            answers = [
                one
                for one in found.newest_answers(5 * _SHOWN)
                if one.backup == artifact.name and one.wants not in _LOOKS and _may_see(user, one)
            ]
            waits = [one for one in unanswered(found, artifact.name) if _may_see(user, one)]
        except (KorrigoBackupError, ValueError) as problem:
            return {**values, "trouble": in_language(f"{problem}: {getattr(problem, 'hint', '')}")}
        values["former"] = [*map(_waits, waits[:_SHOWN]), *map(shown, answers[:_SHOWN])]
        values |= host_look(found)
    return values


def _waits(one: Unanswered) -> dict[str, Any]:
    """Return a request that the host has not taken as the list of requests shows it."""
    label = pgettext("korrigo_backup", "waits for the host")
    request = one.request
    return {"id": one.id, "label": label, "at": local(request.asked), "by": request.by, "objects": one.objects}


def ask_for_plan(user: Any, found: Spool, name: str, given: Mapping[str, str]) -> str:
    """Ask for the plan of an undelete; return the id. ValueError in words for objects that are none."""
    objects = tuple(line.strip() for line in given.get("objects", "").splitlines() if line.strip())
    try:
        asked = msgspec.convert(
            {"wants": "plan", **who(user), "backup": name, "objects": objects, "skip": "skip" in given},
            type=PlanRequest,
        )
    except msgspec.ValidationError:
        raise ValueError(
            pgettext("korrigo_backup", "Write one to fifty objects, a line each: app.Model:key, as exams.Exam:12.")
        ) from None
    for one in objects:
        try:
            parse_object(one)
        except UsageError:
            raise ValueError(
                pgettext("korrigo_backup", "%(object)s is no object: write app.Model:key, as exams.Exam:12.")
                % {"object": one}
            ) from None
        if user.is_superuser and not is_known(one):
            raise ValueError(
                pgettext("korrigo_backup", "%(object)s: this site has no model and no table of that name.")
                % {"object": one}
            )
        if not may_ask(user, one):
            raise ValueError(
                pgettext("korrigo_backup", "You may not add %(object)s: ask somebody who may.") % {"object": one}
            )
    words = f"asked for a plan to bring back {', '.join(objects)}"
    return ask(user, found, name, asked, words, given.get("once", ""))


def ask_to_bring_back(user: Any, found: Spool, answer: HostAnswer, digest: str) -> str:
    """Ask for the plan that was shown to be carried out; return the id. ValueError in words if it is another plan."""
    if not answer.can_be_carried_out or digest != answer.digest:
        raise ValueError(pgettext("korrigo_backup", "The plan has changed: look at it again."))
    asked = BringBackRequest(**who(user), plan=answer.id, digest=digest)
    return ask(user, found, answer.backup, asked, f"asked to bring back {', '.join(answer.objects)}")


def ask(user: Any, found: Spool, name: str, request: Request, words: str, once: str = "") -> str:
    """Write a request and, before it, a line of the log; return the id. ValueError in words if it cannot be written.

    A request that was sent is not sent again (`sent`).
    """
    try:
        id_, is_there = sent(found, request, once)
        if not is_there:
            note(user, name, words)
            found.ask(request, id_)
    except KorrigoBackupError as problem:
        raise ValueError(in_language(f"{problem}: {problem.hint}")) from None
    return id_


def who(user: Any) -> dict[str, Any]:
    """Return the fields of a request that say who asks, and when."""
    return {"by": on_one_line(user.get_username())[:150] or "?", "asked": datetime.now(UTC)}


def answer_to(user: Any, found: Spool, name: str, id_: str) -> HostAnswer | None:
    """Return the host's answer to a request for objects, as `answer_about`; Http404 for objects of other models."""
    answer = answer_about(found, name, id_)
    if answer and (answer.wants in _LOOKS or answer.found or not _may_see(user, answer)):
        raise Http404("there is no such request about this backup")
    return answer


def answer_about(found: Spool, name: str, id_: str) -> HostAnswer | None:
    """Return the host's answer, None if it has not answered yet. Http404 for no request about this backup."""
    if not re.fullmatch(ID, id_):
        raise Http404("there is no such request")
    try:
        answer = found.answer_to(id_)
        if answer is None and not found.is_pending(id_):
            raise Http404("there is no such request")
    except (KorrigoBackupError, ValueError) as problem:
        raise Http404(str(problem)) from None
    if answer and answer.backup not in {"", name}:
        raise Http404("there is no such request about this backup")
    return answer


def _may_see(user: Any, answer: HostAnswer | Unanswered) -> bool:
    """Return whether a user may see a request or its answer: the plan names rows."""
    return all(may_ask(user, one) for one in answer.objects)


def shown(answer: HostAnswer) -> dict[str, Any]:
    """Return an answer as the page shows it."""
    return {
        "id": answer.id,
        "state": answer.state.value,
        "label": _label(answer.state),
        "at": local(answer.at),
        "by": answer.by,
        "objects": answer.objects,
        "message": in_language(answer.message.replace(": psql: ", ": ")),
        "hint": hint_of_request(answer.hint),
        "digest": answer.digest,
        "can_be_carried_out": answer.can_be_carried_out,
        "plan": _plan(answer.plan) if answer.plan else None,
    }


def _plan(plan: UndeletePlan) -> dict[str, Any]:
    return {
        "rows": plan.count,
        "tables": [
            {
                "name": one.table,
                "count": one.count,
                "asked": one.asked,
                "with_asked": one.with_asked,
                "needed": one.needed,
                "rows": [(", ".join(row.key), row.name or "", _WHY[row.why]()) for row in one.rows],
                "left": one.count - len(one.rows),
            }
            for one in plan.tables
        ],
        "files": plan.files,
        "file_count": plan.file_count,
        "files_left": plan.file_count - len(plan.files),
        "conflicts": [
            (f"{one.table}:{','.join(one.key)}" if one.key else one.table, in_language(one.words), one.left)
            for one in plan.conflicts
        ],
        "findings": [for_person(one) for one in plan.findings],
    }


_WHY = {
    Why.ASKED: lambda: pgettext("korrigo_backup", "asked for"),
    Why.WITH: lambda: pgettext("korrigo_backup", "deleted with them"),
    Why.NEEDED: lambda: pgettext("korrigo_backup", "needed by them"),
}


def _label(state: State) -> str:
    words = {
        State.TAKEN: pgettext("korrigo_backup", "at work"),
        State.FAILED: pgettext("korrigo_backup", "failed"),
        State.SHOWN: pgettext("korrigo_backup", "shown"),
        State.PLANNED: pgettext("korrigo_backup", "planned"),
        State.WAITING: pgettext("korrigo_backup", "waits for the operator"),
        State.CHANGED: pgettext("korrigo_backup", "the plan has changed"),
        State.DONE: pgettext("korrigo_backup", "brought back"),
        State.REFUSED: pgettext("korrigo_backup", "refused"),
    }
    return str(words[state])
