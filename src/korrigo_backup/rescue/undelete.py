"""Undelete: deleted rows come back into the live database, with all that was deleted with them and all that they need.

    lock > recover > find the dump > stage > close > try > plan > confirm      nothing changed
      stage the files > insert and prove in one transaction, while the site serves > record > put the files > commit

Nothing is loaded but temporary tables of one session (decision 52). A plan names each row; exactly the plan is
carried out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.artifact import naming
from korrigo_backup.errors import Cancelled, UsageError
from korrigo_backup.recovery.pending import require_plannable
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.rescue.points import read_points
from korrigo_backup.rescue.staged_rows import rescue_session
from korrigo_backup.rescue.steps.carrying_out import CarryingOut
from korrigo_backup.rescue.steps.possible import require_possible
from korrigo_backup.rescue.steps.roots import find_roots
from korrigo_backup.rescue.steps.transaction import RecordPlace
from korrigo_backup.rescue.steps.undeletion import Undeletion
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Listener, silent
from korrigo_backup.site.stamps import own_stamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.rescue.undelete_plan import UndeletePlan
    from korrigo_backup.site.site import Site


@dataclass(frozen=True)
class UndeleteOptions:
    """The choices of the operator: objects, or a table and an SQL condition; the backup by name or time.

    `since` takes the backup before that time, and without objects and table all that was deleted since. Rows that the
    first backup after `until` still has were deleted later, and are not asked for.

    With `skip`, rows in conflict are left out with those that need them. `new_values`, as `TABLE.COLUMN=VALUE`, are for
    rows whose own value another row has taken. `overwrite` names live rows that become those of the backup,
    `overwrite_files` live media files. With `relink`, references that the deletion has emptied are set again.
    """

    objects: tuple[str, ...] = ()
    table: str = ""
    where: str = ""
    source: str | None = None
    at: datetime | None = None
    since: datetime | None = None
    until: datetime | None = None
    dry_run: bool = False
    skip: bool = False
    relink: bool = False
    new_values: tuple[str, ...] = ()
    overwrite: tuple[str, ...] = ()
    overwrite_files: tuple[str, ...] = ()
    files: bool = True
    allow_unsigned: bool = False
    accept: frozenset[str] = frozenset()
    """Ids of findings at which the undelete does not stop."""
    why: Mapping[str, str] = field(default_factory=dict)
    """Who asked, for the journal."""


def _require_fitting(options: UndeleteOptions) -> None:
    """Raise UsageError for options that exclude each other, or that name nothing."""
    if not options.objects and not options.table and options.since is None:
        raise UsageError(
            "nothing is named", hint="korrigo-backup undelete exams.Exam:12, or undelete --table exams_exam --where …"
        )
    if options.at and options.since:
        raise UsageError("--at and --since exclude each other", hint="name the time of the backup, or of the deletion")
    if options.objects and options.table:
        raise UsageError(
            f"--table {quote(options.table)} asks for all its deleted rows, {options.objects[0]} for one",
            hint="name the objects without --table, or choose the rows of the table with --where",
        )
    if options.overwrite_files and not options.files:
        raise UsageError(
            "--overwrite-file names a media file, and --no-files leaves them out", hint="leave one of the two out"
        )


def undelete(
    site: Site,
    catalog: Catalog,
    options: UndeleteOptions,
    *,
    now: datetime,
    confirm: Callable[[UndeletePlan], bool],
    show: Callable[[UndeletePlan], None] = lambda _: None,
    listen: Listener = silent,
) -> UndeletePlan:
    """Bring deleted rows back; return the plan that was carried out, with `dry_run` that would be.

    `show` gets the plan also if it is refused afterwards.

    Raises NotFound for rows that no backup has, UsageError for rows that are live, Refused for a conflict, Cancelled,
    ProofFailed if the inserted rows are not those of the backup. Any error leaves the site as it was.
    """
    _require_fitting(options)
    held = exclusive(site, catalog, "undelete", listen=listen, dry_run=options.dry_run)
    with held as (site, recovered):  # noqa: PLR1704 - now held
        if options.dry_run:
            require_plannable(site, recovered)
        points = read_points(catalog)
        roots = find_roots(
            site,
            points,
            objects=options.objects,
            table=options.table,
            where=options.where,
            since=options.since,
            new_values=options.new_values,
            overwrite=options.overwrite,
        )
        with rescue_session(site.postgres) as session:
            work = Undeletion(site, session, roots, options, listen)
            plan = work.plan(catalog, points)
            if options.dry_run:
                return plan
            show(plan)
            require_possible(plan)
            if not confirm(plan):
                raise Cancelled("Undelete cancelled", hint="to continue, run it again and answer yes")
            subject = roots.subject[:200]
            with journal.recorded(
                catalog.directory, site, Verb.UNDELETE, subject, listener=listen, why=options.why
            ) as running:
                CarryingOut(work).carry_out(
                    plan,
                    RecordPlace(catalog.directory, points, naming.stamp(own_stamp(site, now, catalog.directory))),
                    running,
                )
    return plan
