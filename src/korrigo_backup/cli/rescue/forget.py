"""`korrigo-backup forget`: record what was erased on request, so that no restore brings it back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, say, say_data, say_findings, say_json, say_table
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import DryRun, say_unchanged
from korrigo_backup.core.counted import counted
from korrigo_backup.erasure.entry import Subject
from korrigo_backup.rescue.forget import ForgetOptions, forget

if TYPE_CHECKING:
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.erasure.ledger import ErasureLedger
    from korrigo_backup.rescue.forget import Forgotten


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
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
    dry_run: DryRun = False,
) -> None:
    """Record in the erasure ledger what was erased on request: every restore erases it again. Deletes nothing itself.

    Backups cannot be edited. The ledger holds keyed hashes of the keys, next to the signing key.
    """
    wired = context.ensure_object(CommandContext).wired()
    ledger = wired.ledger()
    if list_:
        _list(ledger, as_json=as_json)
        return
    options = ForgetOptions(tuple(objects or ()), tuple(files or ()), reason, dry_run)
    done = forget(wired.site(), wired.catalog, ledger, options, now=local_now())
    if as_json:
        say_json("forget", {"forgotten": done, "applied": not dry_run})
        return
    _say(done, dry_run=dry_run)


def _say(done: Forgotten, *, dry_run: bool) -> None:
    recorded = [f"{table}, {counted(number, 'row')}" for table, number in done.rows.items()]
    recorded += [counted(done.files, "file")] if done.files else []
    for one in recorded:
        say(f"would be recorded: {one}" if dry_run else f"✅ recorded, so that every restore erases it again: {one}")
    if done.known:
        say(f"   {done.known} of them stood in the ledger already")
    say(f"   ledger    {done.ledger}")
    say_findings(done.findings)
    add_to_document(forgotten=done)
    if dry_run:
        say_unchanged()


def _list(ledger: ErasureLedger, *, as_json: bool) -> None:
    entries = [one for one in ledger.read() if one.subject is not Subject.RULES]
    if as_json:
        say_json("forget-list", {"ledger": str(ledger.path), "entries": [_shown(one) for one in entries]})
        return
    if not entries:
        say("nothing is in the erasure ledger")
        say_data(f"{ledger.path}")
        return
    rows = [
        (
            one.table or _of_file(one),
            f"{one.time.astimezone():%Y-%m-%d %H:%M}",
            one.hash[:12],
            one.scope.site,
            one.by,
            one.reason,
        )
        for one in entries
    ]
    say_table(("TABLE", "SINCE", "HASH", "SITE", "BY", "REASON"), rows, data={"TABLE", "HASH", "SITE", "BY", "REASON"})


def _of_file(one: Entry) -> str:
    return "(file of a row)" if one.of_row else "(file)"


def _shown(one: Entry) -> dict[str, object]:
    return {
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
