"""`korrigo-backup history`: how a row stood in each backup and stands now, and who changed it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, say_json
from korrigo_backup.cli.printed.history import say_row_history
from korrigo_backup.cli.program.names import say_passed_over
from korrigo_backup.errors import UsageError
from korrigo_backup.rescue.points import read_points, read_window
from korrigo_backup.rescue.row_history import HistorySource, row_history
from korrigo_backup.rescue.site_tables import SiteTables, live_database

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.rescue.points import Points, Window

SINCE = "Only backups from this time on (2026-05-04, or with an hour)."
UNTIL = "Only backups up to this time."


def command(
    context: typer.Context,
    named: Annotated[
        str | None,
        typer.Argument(metavar="OBJECT", help="MODEL:KEY or TABLE:KEY, for example exams.Exam:12 or exams_exam:12."),
    ] = None,
    field: Annotated[str | None, typer.Option(help="Only the changes of this field.")] = None,
    since: Annotated[str | None, typer.Option(metavar="TIME", help=SINCE)] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help=UNTIL)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Show how an object stood in each dump and stands now: first seen, changed, gone, and who changed it.

    Nothing is loaded or changed. A dump in which the table has not changed is not read.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    window = read_window(since, until)
    if named is None:
        raise UsageError("no object is named", hint="korrigo-backup history exams.Exam:12")
    _row(wired, named, field, window, as_json=as_json)


def _points(wired: Wired, window: Window) -> Points:
    points = read_points(wired.catalog, window)
    for name, why in points.passed_over:
        say_passed_over(name, why)
    return points


def _row(wired: Wired, named: str, field: str | None, window: Window, *, as_json: bool) -> None:
    points, site = _points(wired, window), wired.site()
    with live_database(site) as live:
        tables = SiteTables(site, points.require_dumps(), live.taken)
        row = tables.row(named)
        source = HistorySource(site, points, live.taken, local_now(), wired.config.rescue.audit)
        found = row_history(source, tables, row, field)
    if as_json:
        say_json("history", found)
    else:
        say_row_history(found, live.away)
