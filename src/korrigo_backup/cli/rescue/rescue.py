"""`korrigo-backup rescue`: the damage, since when it is there, and the ways back, the smallest loss first."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.components import saved_database
from korrigo_backup.cli import restore as restore_verb
from korrigo_backup.cli.output import CommandContext, say, say_data, say_findings, say_json
from korrigo_backup.cli.printed.history import minute, say_moment
from korrigo_backup.cli.printed.offers import say_offers, say_step, say_table_state
from korrigo_backup.cli.program.verbs import VERBS
from korrigo_backup.cli.rescue.history import SINCE, UNTIL
from korrigo_backup.cli.rescue.symptoms import say_symptoms
from korrigo_backup.cli.setup.checks import checks
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import listed
from korrigo_backup.core.finding import Finding, Level, error
from korrigo_backup.core.size import human
from korrigo_backup.errors import KorrigoBackupError, NotFound, Unreachable, UsageError
from korrigo_backup.rescue.diagnosis.live_site import LiveSite
from korrigo_backup.rescue.diagnosis.losses import diagnose_losses
from korrigo_backup.rescue.diagnosis.moments import last_losses
from korrigo_backup.rescue.diagnosis.offers import RescueFacts, offers
from korrigo_backup.rescue.points import read_points, read_window
from korrigo_backup.rescue.site_tables import live_database
from korrigo_backup.rescue.source_dumps import of_the_site
from korrigo_backup.validate.validate import validate

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.rescue.diagnosis.losses import Diagnosis
    from korrigo_backup.rescue.diagnosis.states import FileState
    from korrigo_backup.rescue.points import Points

READ_A_SECOND = 200 * 1024 * 1024
"""Bytes of files that an ordinary disk gives in a second."""

NAMED = 20
"""Moments of loss that are printed; --json has all."""


def command(
    context: typer.Context,
    symptoms: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SYMPTOM", help="What is wrong: exams.Exam:12, a table or model, a media file. Default: everything."
        ),
    ] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help=SINCE)] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help=UNTIL)] = None,
    only_data: Annotated[
        bool, typer.Option("--only-data", help="Without the checks of doctor and validate: quicker.")
    ] = False,
    contents: Annotated[
        bool, typer.Option("--contents", help="Read all media files and compare their checksums, of any size.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Find what is broken and since when, and show the ways back, that which loses least first. Changes nothing.

    The live tables and files are compared with the backups; nothing is loaded. Of an object, a table or a file that is
    named, its history and the ways back for it alone are shown.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    points = read_points(wired.catalog, read_window(since, until))
    points.require_dumps()
    site, away = wired.site(), list[str]()
    try:
        tree = site.required_media()
    except (NotFound, Unreachable, UsageError) as problem:
        tree = None
        away.append(problem.message)
    if symptoms:
        say_symptoms(
            wired,
            points,
            symptoms,
            lambda live: LiveSite(site, live.taken, tree, local_now()),
            away,
            _commands(),
            as_json=as_json,
        )
        return
    findings = [] if only_data else _findings(wired)
    if not as_json:
        say_findings(findings)
    with live_database(site) as live:
        away += [live.away] if live.away else []
        found = diagnose_losses(points, LiveSite(site, live.taken, tree, local_now()), contents=contents)
    made = offers(_facts(points, found), _commands())
    if as_json:
        say_json("rescue", {"findings": findings, "losses": found, "offers": made, "away": away})
    else:
        _say_losses(found, away)
        say("")
        if not _losses(found) and not found.unseen and not away:
            say("✅ No row and no file of the backups is missing")
        say_offers(made)


def _findings(wired: Wired) -> list[Finding]:
    """Return the findings of doctor and validate that are worth a look."""
    found = checks(wired)
    try:
        found += validate(
            wired.site(), None, saved=saved_database(wired.catalog, None), accept=wired.config.validate.accept
        )
    except KorrigoBackupError as problem:
        found.append(error("validate.database", problem.message, problem.hint))
    return list({(one.id, one.message): one for one in found if one.level is not Level.OK}.values())


def _commands() -> frozenset[str]:
    """Return the commands of this version that an offer may name."""
    options = inspect.signature(restore_verb.command).parameters
    return frozenset({*VERBS, *(f"restore --{name}" for name in options)})


def _facts(points: Points, found: Diagnosis) -> RescueFacts:
    still = [one.moment for one in found.steps if one.is_open]
    reference = found.tables[0].reference if found.tables else still[0].former if still else ""
    dump = next((one for one in points.dumps if one.name == reference), of_the_site(points.dumps)[-1])
    point: Artifact = points.point_of(dump) or dump
    since = minute(dump.created)
    return RescueFacts(
        found.tables,
        found.files,
        point.name,
        since,
        found.replaced,
        found.steps,
        found.references,
        found.altered,
    )


def _losses(found: Diagnosis) -> bool:
    """Return whether rows or files of the backups are missing, or differ."""
    lost = found.files is not None and found.files.is_lost
    return lost or bool(found.tables or found.replaced) or any(one.is_open for one in found.steps)


def _say_losses(found: Diagnosis, away: Sequence[str]) -> None:
    say("")
    say(f"{counted(found.dumps, 'dump')} and {counted(found.media, 'media backup')} were looked at")
    newest = last_losses(found.moments)
    for one in found.moments[-NAMED:]:
        is_back = one.table in found.returned and one is newest[one.table]
        say_moment(one, f"{one.table} (its rows are back)" if is_back else one.table)
    if len(found.moments) > NAMED:
        say(f"  and {len(found.moments) - NAMED} earlier losses (--json, --since)")
    for one in found.file_moments[-NAMED:]:
        say(f"  {minute(one.after)} to {minute(one.at)}  {one.rows_before} → {one.rows} media files")
    _say_steps(found)
    for table in (*found.tables, *found.replaced):
        say_table_state(table)
    if found.files:
        _say_files(found.files)
    for words in (*found.unseen, *away):
        say(f"⚠️ not looked at: {words}")


def _say_steps(found: Diagnosis) -> None:
    """Print the steps in which many rows changed, and the tables that changed in the ordinary way."""
    for step in found.steps:
        say_step(step, step.moment.table)
    if found.often:
        say(f"  many rows change in most steps, so not listed: {listed(found.often)} (korrigo-backup rescue TABLE)")
    if found.ordinary:
        say(f"  few rows at a time, or new rows only, from backup to backup: {listed(found.ordinary)}")


def _say_files(files: FileState) -> None:
    change = files.change
    for sign, names in (("-", change.removed), ("~", change.changed)):
        for name in names.first:
            say_data(f"  {sign} {name}")
    say(
        f"  files: {change.removed.count} missing, {change.changed.count} changed, {change.added.count} new"
        f" since {files.reference}"
    )
    if change.erased:
        say(f"    erased on request, and so not missing: {counted(change.erased, 'file')}")
    if files.unread_bytes:
        seconds = max(1, round(files.unread_bytes / READ_A_SECOND))
        say(
            f"    files that seem untouched were not read; --contents reads all: {human(files.unread_bytes)},"
            f" about {seconds} s at {human(READ_A_SECOND)} a second"
        )
