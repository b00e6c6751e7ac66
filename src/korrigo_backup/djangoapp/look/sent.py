"""Requests that were sent to the host: each once, however often a button is pressed; and how they stand."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from korrigo_backup.djangoapp.status.wording import local
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.requests.model import ID, BringBackRequest, HostAnswer, PlanRequest, request_id

if TYPE_CHECKING:
    from korrigo_backup.requests.model import Request
    from korrigo_backup.requests.spool import Spool

LATE = timedelta(minutes=5)
"""The time after which a host that has not looked is reported; its schedule looks each minute."""


def sent(found: Spool, request: Request, once: str) -> tuple[str, bool]:
    """Return the id of a request, and whether it is in the spool or was answered.

    A second press of a button has the same `once`, which a page has for each time that it is shown. A request of the
    same content that still waits is the same one, also from a page that was loaded again. ValueError for a spool that
    cannot be read.
    """
    if isinstance(request, BringBackRequest):
        return _of_plan(found, request)
    id_ = request_id(request, once if re.fullmatch(ID, once) else token_hex(16))
    if found.answer_to(id_) or found.is_pending(id_):
        return id_, True
    wanted = _content(request)
    same = (waiting for waiting, one in found.waiting().items() if _content(one) == wanted)
    twin = next(same, None)
    return (twin, True) if twin else (id_, False)


def _of_plan(found: Spool, request: BringBackRequest) -> tuple[str, bool]:
    """Return the id of the request for a plan: a plan is carried out once, for one user or for several.

    Only after a refusal or a failure the same plan is another request.
    """
    number = 0
    while True:
        id_ = request_id(replace(request, by="-"), str(number))
        answer = found.answer_to(id_)
        if answer is None or not answer.ended_badly:
            return id_, answer is not None or found.is_pending(id_)
        number += 1


def _content(request: Request) -> Request:
    return replace(request, asked=datetime.fromtimestamp(0, UTC))


def host_look(found: Spool) -> dict[str, Any]:
    """Return when the host has last looked for requests, and whether that is too long ago."""
    try:
        last = found.last_look()
    except KorrigoBackupError:
        return {}
    is_late = last is None or datetime.now(UTC) - last > LATE
    return {"host": {"looked": local(last) if last else None, "is_late": is_late}}


class Unanswered(NamedTuple):
    """A request for objects of a backup that the host has not taken yet."""

    id: str
    objects: tuple[str, ...]
    request: Request


def unanswered(found: Spool, name: str) -> list[Unanswered]:
    """Return the requests for objects of a backup that the host has not taken, the newest first."""
    waits = []
    for id_, request in reversed(found.waiting().items()):
        if found.answer_to(id_):
            continue
        about = found.answer_to(request.plan) if isinstance(request, BringBackRequest) else request
        if isinstance(about, PlanRequest | HostAnswer) and about.backup == name:
            waits.append(Unanswered(id_, about.objects, request))
    return waits
