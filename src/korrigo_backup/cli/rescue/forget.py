"""`korrigo-backup forget`: record erasures on request, so that no restore brings the data back."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import (
    CommandContext,
    ask_yes,
    in_language,
    say,
    say_data,
    say_findings,
    say_json,
    say_table,
)
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import DryRun, say_unchanged
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.erasure.entry import Subject
from korrigo_backup.errors import Cancelled, KorrigoBackupError, PartlyDone, UsageError
from korrigo_backup.requests.withdraw import withdraw_answers
from korrigo_backup.rescue.forget.forget import ForgetOptions, forget
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import silent
from korrigo_backup.system.files import explained, private_directory

if TYPE_CHECKING:
    from datetime import datetime

    from korrigo_backup.app.build import Wired
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.rescue.forget.forget import Forgotten

_NAMED = 3
"""Rows that a question names."""

_HASH = 12
"""Digits of a hash that are shown."""


def command(
    context: typer.Context,
    objects: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL:PK", help="The erased objects: accounts.User:12, auth_user:12.")
    ] = None,
    files: Annotated[
        list[str] | None,
        typer.Option("--file", metavar="PATH", help="An erased media file, below MEDIA_ROOT; may be repeated."),
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="A note, in clear: a ticket, never a name.")] = "",
    list_: Annotated[bool, typer.Option("--list", help="List the ledger; it holds no key in clear.")] = False,
    requested: Annotated[
        bool, typer.Option("--requested", help="List what the site's own code asks to forget.")
    ] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Record this request of the site, or all; may be repeated."),
    ] = None,
    remove: Annotated[
        str | None, typer.Option(metavar="ID", help="Take an entry out of the ledger, or drop a request.")
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask: of --remove, and of a row that is nowhere.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Record in the erasure ledger what was erased on request: every restore erases it again. Deletes nothing itself.

    Backups cannot be edited. The ledger holds keyed hashes of the keys, next to the signing key. An entry stays until
    --remove names it.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    named = bool(objects or files)
    asked = sum((named, list_, requested, bool(accept), remove is not None))
    if asked > 1:
        raise UsageError(
            "objects, --list, --requested, --accept and --remove exclude each other", hint="give one of them"
        )
    if list_:
        _list(wired, as_json=as_json)
    elif requested or accept:
        from korrigo_backup.cli.rescue import forget_requests  # noqa: PLC0415 - only these options need it

        if accept:
            forget_requests.accept(wired, accept, as_json=as_json, dry_run=dry_run)
            withdraw(wired, dry_run=dry_run)
        else:
            forget_requests.show(wired, as_json=as_json)
    elif remove is not None:
        _remove(wired, remove, yes=yes, as_json=as_json, dry_run=dry_run)
    else:
        options = ForgetOptions(tuple(objects or ()), tuple(files or ()), reason, dry_run)
        try:
            done = forget(
                wired.site(),
                wired.catalog,
                wired.ledger(),
                options,
                now=local_now(),
                confirm=lambda rows: yes or _confirm(rows),
            )
        except PartlyDone:
            withdraw(wired)
            raise
        withdraw(wired, dry_run=dry_run)
        if as_json:
            say_json("forget", {"forgotten": done, "applied": not dry_run})
        else:
            _say(done, dry_run=dry_run)


def withdraw(wired: Wired, *, dry_run: bool = False) -> None:
    """Take the rows out of answers to the site's admin that were given before the erasure."""
    spool = wired.requests_spool()
    if spool and not dry_run:
        with suppress(KorrigoBackupError):  # `requests run` does the same, and says why it cannot
            withdraw_answers(spool, wired.catalog.directory)


def _confirm(rows: tuple[str, ...]) -> bool:
    say(f"⚠️ neither the site nor a backup has {first_of(rows, _NAMED)}: is the key right?")
    return ask_yes("Record it all the same? (yes/no): ")


def _say(done: Forgotten, *, dry_run: bool) -> None:
    recorded = [f"{table}, {counted(number, 'row')}" for table, number in done.rows.items()]
    recorded += [counted(done.files, "file")] if done.files else []
    for number in recorded:
        say(
            f"would be recorded: {number}"
            if dry_run
            else f"✅ recorded, so that every restore erases it again: {number}"
        )
    if done.known:
        say(f"   {done.known} of them stood in the ledger already: the new entry is about the backups since, too")
    for stamp, count in done.records.items():
        rows = counted(count, "row")
        say(
            f"would be taken out of the record by which {stamp} can be undone: {rows}"
            if dry_run
            else f"   taken out of the record by which {stamp} can be undone: {rows}"
        )
    say(f"   ledger    {done.ledger}")
    say_findings(done.findings)
    add_to_document(forgotten=done)
    if dry_run:
        say_unchanged()


def _list(wired: Wired, *, as_json: bool) -> None:
    from korrigo_backup.retention.erasures import UnknownOldestError, oldest_backup  # noqa: PLC0415 - asks the server

    ledger = wired.ledger()
    newest = {one.identity: one for one in ledger.read() if one.subject is not Subject.RULES}
    entries = list(newest.values())
    oldest, unknown = None, ""
    if entries:
        try:
            oldest = oldest_backup(wired.catalog, wired.site)
        except UnknownOldestError as problem:
            unknown = str(problem)
    going = {id(one) for one in entries if not unknown and one.may_go(oldest)}
    if as_json:
        shown = [_shown(one, may_go=id(one) in going) for one in entries]
        say_json("forget-list", {"ledger": str(ledger.path), "oldest_backup": oldest, "entries": shown})
        return
    if not entries:
        say("nothing is in the erasure ledger")
        say_data(f"{ledger.path}")
        return
    rows = [
        (
            one.table or in_language(_of_file(one)),
            f"{one.time.astimezone():%Y-%m-%d %H:%M}",
            one.hash[:_HASH],
            one.scope.site,
            one.by,
            one.reason,
            "may go" if id(one) in going else "",
        )
        for one in entries
    ]
    say_table(
        ("TABLE", "SINCE", "HASH", "SITE", "BY", "REASON", "STATE"),
        rows,
        data={"TABLE", "HASH", "SITE", "BY", "REASON"},
    )
    _say_end(len(going), oldest, unknown)


def _say_end(going: int, oldest: datetime | None, unknown: str) -> None:
    if unknown:
        say(f"ℹ️ which entries may go is not known: {unknown}")
    elif going:
        since = f"the oldest backup is of {oldest.astimezone():%Y-%m-%d %H:%M}" if oldest else "there is no backup"
        say(f"ℹ️ {counted(going, 'entry', 'entries')} may go, as far as this host knows ({since}): forget --remove HASH")


def _remove(wired: Wired, id_: str, *, yes: bool, as_json: bool, dry_run: bool) -> None:
    """Take out an entry of the ledger that a person has named, or drop a request of the site."""
    from korrigo_backup.cli.rescue import forget_requests  # noqa: PLC0415 - only this option needs it

    if forget_requests.drop(wired, id_, yes=yes, as_json=as_json, dry_run=dry_run):
        return
    ledger = wired.ledger()
    entry = ledger.find(id_)
    about = f"{entry.table or _of_file(entry)} {entry.hash[:_HASH]}, since {entry.time.astimezone():%Y-%m-%d %H:%M}"
    if not (dry_run or yes or ask_yes(f"A restore may bring back: {about}. Take it out of the ledger? (yes/no): ")):
        raise Cancelled("The entry stays", hint="to take it out, run it again and answer yes")
    if not dry_run:
        with explained(f"use the backup directory {wired.catalog.directory}"):
            private_directory(wired.catalog.directory)
        with journal.recorded(
            wired.catalog.directory, wired.site(), Verb.FORGET, f"remove {entry.hash[:_HASH]}", listener=silent
        ):
            ledger.remove(entry)
    if as_json:
        say_json("forget-remove", {"removed": _shown(entry), "applied": not dry_run})
        return
    say(f"would be taken out of the ledger: {about}" if dry_run else f"✅ taken out of the ledger: {about}")
    if dry_run:
        say_unchanged()


def _of_file(one: Entry) -> str:
    return "(file of a row)" if one.of_row else "(a single file)"


def _shown(one: Entry, *, may_go: bool | None = None) -> dict[str, object]:
    shown = {
        "time": one.time,
        "subject": one.subject,
        "table": one.table,
        "hash": one.hash,
        "site": one.scope.site,
        "environment": one.scope.environment,
        "database": one.scope.database,
        "by": one.by,
        "reason": one.reason,
    }
    return shown if may_go is None else {**shown, "may_go": may_go}
