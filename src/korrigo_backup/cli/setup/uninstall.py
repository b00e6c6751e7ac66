"""`korrigo-backup uninstall`: take this program away from a site; backups, keys and settings stay, and are listed."""

from __future__ import annotations

import os
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.cli.output import CommandContext, ask_yes, say
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.config.load import OWN_DOTENV
from korrigo_backup.config.place import FILE_NAME
from korrigo_backup.errors import Cancelled, KorrigoBackupError, NotFound
from korrigo_backup.retention.previous_copies import survey
from korrigo_backup.run import failures
from korrigo_backup.setup import scripts
from korrigo_backup.status.metrics import BEGIN
from korrigo_backup.system.files import explained, read_plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from korrigo_backup.app.build import Wired
    from korrigo_backup.schedule.model import Change
    from korrigo_backup.schedule.schedule import Scheduler


@dataclass(frozen=True)
class _Removal:
    """The changes that take the program away: those of the schedule, and files of ours."""

    schedules: tuple[tuple[Scheduler, list[Change]], ...]
    files: tuple[Path, ...]

    @property
    def lines(self) -> list[str]:
        """Each change in a line."""
        changes = (change for _, changes in self.schedules for change in changes)
        return [*map(_line, changes), *(f"remove {path}" for path in self.files)]


def command(
    context: typer.Context,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would go and what would stay, and stop.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Take the schedule and the scripts of this program away from the site; list what stays, with its commands.

    Backups, keys, settings, previous copies and copies on targets are never removed: they stay readable without this
    program. Exit 5 when it was not confirmed.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    removal, stays = _removal(wired), list(_stays(wired))
    add_to_document(
        removes=removal.lines, stays=[{"what": what, "where": where} for what, where in stays], applied=False
    )
    say("🗑️  Goes" if removal.lines else "🗑️  Nothing is installed for this site: no schedule, no script")
    for line in removal.lines:
        say(f"   {line}")
    say("📌 Stays")
    for what, where in stays:
        say(f"   {what:<16} {where}")
    if dry_run:
        say("No change was made (--dry-run)")
        return
    if removal.lines:
        if not yes and not ask_yes("Remove these (yes/no): "):
            raise Cancelled("not confirmed: nothing was removed", hint="answer yes, or give --yes")
        _apply(removal)
        add_to_document(applied=True)
        say("✅ Removed; no backup starts by itself any more")
    say(f"➡️  Last, the program itself: {_remove_program()}")


def _removal(wired: Wired) -> _Removal:
    try:
        schedules = tuple(wired.schedule().removal(None))
    except NotFound:
        schedules = ()
    return _Removal(schedules, tuple(_own_files(wired)))


def _own_files(wired: Wired) -> Iterator[Path]:
    """Yield the scripts of ours, and the metrics, which would go on telling of a last backup."""
    yield from scripts.ours(wired.directory / scripts.PLACE)
    metrics = wired.config.status.textfile
    if metrics and _is_ours(wired.directory / metrics):
        yield wired.directory / metrics


def _is_ours(metrics: Path) -> bool:
    """Return whether a file holds our metrics: `[status] textfile` may name a file that another program writes."""
    try:
        return read_plain(metrics, len(BEGIN)) == BEGIN.encode()
    except (OSError, ValueError):
        return False


def _apply(removal: _Removal) -> None:
    for place, changes in removal.schedules:
        place.apply(changes)
    for path in removal.files:
        with explained(f"remove {path}"):
            path.unlink(missing_ok=True)


def _stays(wired: Wired) -> Iterator[tuple[str, str]]:
    """Yield everything of the program that stays, and where."""
    directory, backups = wired.directory.absolute(), wired.catalog.directory.absolute()
    if backups.is_dir():
        count = len(wired.catalog.artifacts())
        yield "backups", f"{backups} ({count} {'artifact' if count == 1 else 'artifacts'})"
    if wired.keyring.path.exists():
        yield "signing key", f"{wired.keyring.path}: without it no backup is known to be unchanged"
    for name in (FILE_NAME, OWN_DOTENV):
        if (directory / name).exists():
            yield "settings", str(directory / name)
    failed = failures.file(os.environ)
    if failed and failed.exists():
        yield "last failures", f"{failed}, of all directories"
    yield from _previous_copies(wired)
    for name, target in wired.config.targets.items():
        yield "copies", f"[targets.{name}] {target.url}"
    if wired.config.status.publish and (directory / wired.config.status.publish).exists():
        yield "status", f"{directory / wired.config.status.publish}, read by the page in Django's admin"
    if wired.config.django.manage or wired.config.composed:
        yield "Django app", '"korrigo_backup.djangoapp" in INSTALLED_APPS, if it is there: take it out by hand'


def _previous_copies(wired: Wired) -> Iterator[tuple[str, str]]:
    try:
        site = wired.site()
        kept = survey(site)
    except KorrigoBackupError as problem:
        yield "previous copies", f"not known: {problem.message}"
        return
    for one in kept:
        if one.database:
            drop = site.postgres.access.typed("dropdb", one.database)
            yield "database", f"{one.database}, the data that a restore replaced: {drop}"
        if one.media and site.media:
            yield "media", f"{site.media.beside(one.role, one.stamp)}, the files that a restore replaced"


def _line(change: Change) -> str:
    """Return a change in words; a crontab without other lines than ours is a crontab still."""
    is_file = change.after is None and str(change.where).startswith("/")
    return f"remove {change.where}" if is_file else f"take our lines out of {change.where}"


def _remove_program() -> str:
    if one_file := os.environ.get("PEX"):
        return shlex.join(("rm", one_file))  # ~/.cache/pex has other programs, too
    return shlex.join((sys.executable, "-m", "pip", "uninstall", "korrigo-backup"))
