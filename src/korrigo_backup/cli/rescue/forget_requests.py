"""`korrigo-backup forget --requested`, `--accept`: what the site's own code asks to forget."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import ask_yes, say, say_findings, say_json, say_table
from korrigo_backup.cli.program.dry_run import say_unchanged
from korrigo_backup.core.counted import counted
from korrigo_backup.core.paths import on_one_line
from korrigo_backup.errors import Cancelled, UsageError
from korrigo_backup.rescue.forget.requests import accept_erasures, chosen_erasures, waiting_erasures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.erasure.requests import ErasureSpool
    from korrigo_backup.rescue.forget.requests import WaitingErasure

ALL = "all"
_SHOWN = 8
"""Letters of an id that are shown."""


def show(wired: Wired, *, as_json: bool) -> None:
    """List the requests that wait."""
    waiting = waiting_erasures(_spool(wired))
    if as_json:
        say_json("forget-requested", {"requests": [_document(one) for one in waiting]})
        return
    if waiting:
        say_table(("ID", "ASKED", "BY", "OBJECT", "FILES"), [_row(one) for one in waiting], data={"BY", "OBJECT"})
    say(f"{counted(len(waiting), 'request')} to forget")
    if waiting:
        say("   record what is gone from the site: korrigo-backup forget --accept ID, or all")


def accept(wired: Wired, ids: Sequence[str], *, as_json: bool, dry_run: bool) -> None:
    """Record requests whose rows are gone."""
    spool, site = _spool(wired), wired.site()
    waiting = waiting_erasures(spool)
    chosen = waiting if ALL in ids else chosen_erasures(waiting, ids)
    done = accept_erasures(site, wired.catalog, wired.ledger(), spool, chosen, now=local_now(), dry_run=dry_run)
    if as_json:
        accepted, left = ([_document(one) for one in some] for some in (done.accepted, done.left))
        say_json("forget-accept", {"accepted": accepted, "left": left, "applied": not dry_run})
        return
    number = counted(len(done.accepted), "request")
    say(f"would be recorded: {number}" if dry_run else f"✅ recorded, so that every restore erases it again: {number}")
    say_findings(done.findings())
    if dry_run:
        say_unchanged()


def drop(wired: Wired, id_: str, *, yes: bool, as_json: bool, dry_run: bool) -> bool:
    """Drop a request that an id names, and return whether there is one; raises Cancelled."""
    spool = wired.erasure_spool()
    waiting = waiting_erasures(spool) if spool and len(id_) >= _SHOWN else []
    found = [one for one in waiting if one.id.startswith(id_)]
    if spool is None or len(found) != 1:
        return False
    shown = found[0].name or found[0].id[:_SHOWN]
    if not (dry_run or yes or ask_yes(f"A restore will bring back: {shown}. Drop the request? (yes/no): ")):
        raise Cancelled("The request stays", hint="to drop it, run it again and answer yes")
    if not dry_run:
        spool.remove(found[0].id)
    if as_json:
        say_json("forget-remove", {"removed": _document(found[0]), "applied": not dry_run})
    else:
        say(f"would be dropped: {shown}" if dry_run else f"✅ dropped, and not recorded: {shown}")
        if dry_run:
            say_unchanged()
    return True


def _spool(wired: Wired) -> ErasureSpool:
    spool = wired.erasure_spool()
    if spool is None:
        raise UsageError(
            "no directory is configured in which the site asks to forget",
            hint="set [erasure] requests, and KORRIGO_BACKUP_ERASURE in the site's settings",
        )
    return spool


def _row(one: WaitingErasure) -> tuple[str, ...]:
    request = one.request
    if request is None:
        return one.id[:_SHOWN], "", "", f"({one.problem})", ""
    asked = f"{request.asked.astimezone():%Y-%m-%d %H:%M}"
    return one.id[:_SHOWN], asked, on_one_line(request.by), on_one_line(one.name), str(len(request.files))


def _document(one: WaitingErasure) -> dict[str, object]:
    return {"id": one.id, "request": one.request, "problem": one.problem, "live": one.live}
