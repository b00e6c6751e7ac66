"""`korrigo-backup hold`: keep a backup under any policy, for a reason, until a day."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.naming import former_beside, is_beside, is_stamp, parse
from korrigo_backup.cli.output import CommandContext, say, say_json, say_table
from korrigo_backup.cli.program.commands import Actions
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import DryRun, say_unchanged
from korrigo_backup.cli.program.names import find_artifact
from korrigo_backup.core.moment import require_moment
from korrigo_backup.core.paths import on_one_line, printable
from korrigo_backup.errors import NotFound, UsageError
from korrigo_backup.retention import holds
from korrigo_backup.retention import previous_copies as kept
from korrigo_backup.retention.hold import Hold
from korrigo_backup.run.journal import user
from korrigo_backup.status.attention import named

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.app.build import Wired


_NAME = "A backup (path, name in BACKUP_DIR, latest), or a previous copy that a restore kept."


def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=_NAME)],
    reason: Annotated[str | None, typer.Option(help="Why it must stay; the next operator needs it.")] = None,
    by: Annotated[str | None, typer.Option(help="The holder's name; default: the user.")] = None,
    until: Annotated[str | None, typer.Option(metavar="YYYY-MM-DD", help="The first day it may go.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Keep a backup, for a reason, until a day or for ever."""
    _add(context.ensure_object(CommandContext).wired(), name, reason, by or user(), until, dry_run=dry_run)


def list_(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """List the holds."""
    _list(context.ensure_object(CommandContext).wired(), as_json=as_json)


def release(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help=_NAME)],
    by: Annotated[str | None, typer.Option(help="Only the hold of this holder; default: all.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Take the holds from a backup: the retention policy decides again."""
    wired: Wired = context.ensure_object(CommandContext).wired()
    ended = holds.release(wired.catalog.directory, _released_name(wired, name), by, dry_run=dry_run)
    add_to_document(holds=ended)
    for hold in ended:
        end = f"no longer {hold.described()}"
        say(f"{hold.name} would be {end}" if dry_run else f"✅ {hold.name} is {end}")
    if dry_run:
        say_unchanged()


ACTIONS = Actions(
    {"add": add, "list": list_, "release": release},
    default="list",
    named="add",
    help="""Keep a backup under any retention policy: add a hold, list the holds, release a hold.

    A hold wins over every rule and over the maximum age. A hold on a restore point also holds its components.
    """,
)


def _add(wired: Wired, name: str, reason: str | None, by: str, until: str | None, *, dry_run: bool) -> None:
    if not reason or not on_one_line(reason):
        raise UsageError(
            "a hold needs a reason",
            hint=f'korrigo-backup hold add {quote(name)} --reason "…": the next operator needs it',
        )
    held = _held_name(wired, name)
    why, now = on_one_line(reason), datetime.now(UTC)
    hold = Hold(name=held, reason=why, holder=on_one_line(by), since=now, until=_day(until))
    holds.add(wired.catalog.directory, hold, dry_run=dry_run)
    add_to_document(holds=[hold])
    say(f"{held} would be {hold.described()}" if dry_run else f"✅ {held} is {hold.described()}")
    if dry_run:
        say_unchanged()


def _held_name(wired: Wired, name: str) -> str:
    """Return the name for the hold: that of an artifact of the catalog, or of a previous copy."""
    if _is_previous_copy(name, wired.config.database.name):
        there = [one for previous in kept.survey(wired.site()) for one in previous.names]
        if name not in there:
            raise NotFound(f"the site has no previous copy {name}", hint=f"kept are: {named(there) or 'none'}")
        return name
    found = find_artifact(wired, name)
    if found.path.resolve().parent != wired.catalog.directory.resolve():
        raise UsageError(
            f"{found.path} is not in {wired.catalog.directory}: korrigo-backup removes no files there",
            hint="a hold is only for backups in BACKUP_DIR",
        )
    if parse(found.name) is None:
        raise UsageError(
            f"{printable(found.name)} does not have the name of a backup: korrigo-backup does not remove it",
            hint="korrigo-backup list shows the names",
        )
    return found.name


def _released_name(wired: Wired, name: str) -> str:
    """Return the name on hold that is meant: itself, or an artifact that is named in another way.

    An artifact that is gone may still be on hold, and is named exactly.
    """
    exact = Path(name).name
    if any(hold.name == exact for hold in holds.read(wired.catalog.directory)):
        return exact
    try:
        return find_artifact(wired, name).name
    except NotFound:
        return exact


def _is_previous_copy(name: str, database: str) -> bool:
    """Return whether a name is that of a previous copy of a database, or of media."""
    media = (name.removeprefix(f".{role}-") for role in kept.ROLES if name.startswith(f".{role}-"))
    databases = (is_beside(name, database, role) or former_beside([name], database, role) for role in kept.ROLES)
    return any(databases) or any(map(is_stamp, media))


def _day(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        day = datetime.strptime(text, "%Y-%m-%d").astimezone().astimezone(UTC)
        require_moment(day)
    except (ValueError, OverflowError):
        raise UsageError(f"{text} is not a day", hint="write it as 2026-12-31") from None
    return day


def _list(wired: Wired, *, as_json: bool) -> None:
    found = holds.read(wired.catalog.directory)
    now = local_now()
    if as_json:
        say_json("hold", {"holds": found})
    elif not found:
        say("no hold is set")
    else:
        say_table(("NAME", "HOLDER", "SINCE", "UNTIL", "REASON"), _rows(found, now), data={"NAME", "HOLDER", "REASON"})


def _rows(found: Sequence[Hold], now: datetime) -> list[tuple[str, ...]]:
    return [
        (
            hold.name,
            hold.holder,
            f"{hold.since.astimezone():%Y-%m-%d}",
            _end(hold, now),
            hold.reason,
        )
        for hold in found
    ]


def _end(hold: Hold, now: datetime) -> str:
    if hold.until is None:
        return "for ever"
    return f"{hold.until.astimezone():%Y-%m-%d}{'' if hold.stands(now) else ' (ended)'}"
