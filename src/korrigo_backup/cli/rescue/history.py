"""`korrigo-backup history`: how a row, a table or a file stood in each backup and stands now."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import CommandContext, say, say_json
from korrigo_backup.cli.printed.history import (
    say_file_history,
    say_row_history,
    say_table_changes,
    say_table_history,
)
from korrigo_backup.cli.program.names import say_passed_over
from korrigo_backup.errors import NotFound, Unreachable, UsageError
from korrigo_backup.rescue.history.files import file_history
from korrigo_backup.rescue.history.rows import HistorySource, row_history
from korrigo_backup.rescue.history.table_changes import Later, table_changes
from korrigo_backup.rescue.history.tables import table_history
from korrigo_backup.rescue.points import dump_named, read_points, read_window, unread_of_django
from korrigo_backup.rescue.site_tables import SiteTables, live_database

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.media.port import Tree
    from korrigo_backup.rescue.points import Points, Window

SINCE = "Only backups from this time on (2026-05-04, or with an hour)."
UNTIL = "Only backups up to this time."
NOW = "now"
"""The name of the live state for `--between`."""


def command(
    context: typer.Context,
    named: Annotated[
        str | None,
        typer.Argument(metavar="OBJECT", help="MODEL:KEY or TABLE:KEY, for example exams.Exam:12 or exams_exam:12."),
    ] = None,
    field: Annotated[str | None, typer.Option(help="Only the changes of this field.")] = None,
    file: Annotated[str | None, typer.Option(metavar="PATH", help="A media file, below MEDIA_ROOT.")] = None,
    table: Annotated[str | None, typer.Option("--table", "-T", help="When this model or table changed.")] = None,
    changed: Annotated[bool, typer.Option("--changed", help="--table: which rows changed, with their values.")] = False,
    between: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="--changed: from backup A to B; default: latest now."),
    ] = None,
    rows: Annotated[int, typer.Option(min=0, help="--changed: how many rows of each kind to show.")] = 20,
    since: Annotated[str | None, typer.Option(metavar="TIME", help=SINCE)] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help=UNTIL)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Show how an object stood in each dump and stands now: first seen, changed, gone, and who changed it.

    With --file a media file, with --table the times at which a table changed, with --changed its rows. Nothing is
    loaded or changed. A dump in which the table has not changed is not read.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    window = read_window(since, until)
    _require_one(named, file, table)
    if (changed or between) and not table:
        raise UsageError(
            "--changed and --between go with --table", hint="korrigo-backup history --table TABLE --changed"
        )
    if field and not named:
        raise UsageError("--field goes with an object", hint="korrigo-backup history exams.Exam:12 --field name")
    if named:
        _row(wired, named, field, window, as_json=as_json)
    elif file:
        _file(wired, file, window, as_json=as_json)
    elif table and (changed or between):
        _changed(wired, table, between or ("latest", NOW), rows, as_json=as_json)
    elif table:
        _table(wired, table, window, as_json=as_json)


def _require_one(*given: str | None) -> None:
    if sum(1 for one in given if one) != 1:
        raise UsageError(
            "name an object, --file or --table, one of the three",
            hint="korrigo-backup history exams.Exam:12, history --file PATH, history --table TABLE",
        )


def _points(wired: Wired, window: Window) -> Points:
    points = read_points(wired.catalog, window)
    for name, why in points.passed_over:
        say_passed_over(name, why)
    if words := unread_of_django(points):
        say(f"ℹ️ {words}")
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


def _file(wired: Wired, named: str, window: Window, *, as_json: bool) -> None:
    points = _points(wired, window)
    tree: Tree | None = None
    away = ""
    try:
        tree = wired.site().required_media()
    except (NotFound, Unreachable) as problem:
        away = problem.message
    found = file_history(points, tree, named, now=local_now())
    if as_json:
        say_json("history-file", found)
    else:
        say_file_history(found, away)


def _table(wired: Wired, named: str, window: Window, *, as_json: bool) -> None:
    points, site = _points(wired, window), wired.site()
    with live_database(site) as live:
        table = SiteTables(site, points.require_dumps(), live.taken).find(named)
        found = table_history(points.dumps, live.taken, table.table, now=local_now(), note=table.note)
    if as_json:
        say_json("history-table", found)
    else:
        say_table_history(found, live.away)


def _changed(wired: Wired, named: str, between: tuple[str, str], rows: int, *, as_json: bool) -> None:
    site = wired.site()
    first = dump_named(wired.catalog, between[0])
    later = None if between[1] == NOW else dump_named(wired.catalog, between[1])
    with live_database(site) as live:
        if later is None and live.taken is None:
            raise Unreachable(live.away, hint="compare two backups: --between A B")
        dumps = (first, later) if later else (first,)
        table = SiteTables(site, dumps, live.taken).find(named)
        until = Later(later, live.taken, later.created if later else local_now())
        found = table_changes(first, until, table.table, site, shown=rows, note=table.note)
    if as_json:
        say_json("history-changed", found)
    else:
        say_table_changes(found)
