"""`korrigo-backup restore`: put a backup in the place of the live data, proven before it goes live."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import UNSET
from msgspec.structs import replace

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.components import compared, saved_database
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.cli.output import CommandContext, ask, ask_yes, narrator, say, say_findings, say_made
from korrigo_backup.cli.plan import effect, named_or_before, refuse, say_plan
from korrigo_backup.cli.printed.space import space_lines
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.dry_run import Yes, changes
from korrigo_backup.cli.program.names import ARTIFACT
from korrigo_backup.cli.program.questions import Questions
from korrigo_backup.cli.rescue.whole_restore import require_one_scope
from korrigo_backup.core.finding import Level
from korrigo_backup.core.size import human
from korrigo_backup.errors import PartlyDone, Refused, UsageError
from korrigo_backup.restore.checklist import checklist, unanswered
from korrigo_backup.restore.plan import ROLLBACK
from korrigo_backup.restore.restore import RestoreOptions, restore
from korrigo_backup.run.step import DjangoStep, RestoredSiteHealthy, RestoreStep, StoppingServices
from korrigo_backup.validate.validate import begin_probe
from korrigo_backup.validate.validate import validate as validate_site

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.restore.plan import RestorePlan
    from korrigo_backup.restore.restore import Restored
    from korrigo_backup.run.step import Step
    from korrigo_backup.site.site import Site
    from korrigo_backup.validate.validate import Probing

QUESTION = "⚠️  DESTRUCTIVE OPERATION - This will DELETE all current data. Continue? (yes/no): "
"""The runbook's words (5.3.3). The present data become the previous copy, as the plan above the question shows."""


def command(
    context: typer.Context,
    artifact: Annotated[str | None, typer.Argument(help=ARTIFACT)] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help='As it was then: "2026-05-04 14:05".')] = None,
    target: Annotated[
        str | None, typer.Option("--from", metavar="TARGET", help="Fetch the backup from this target first.")
    ] = None,
    identity: Annotated[str | None, typer.Option(help="With --from: the private key's file, or -.")] = None,
    yes: Yes = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", callback=changes, help="Show the plan and stop, as `plan` does.")
    ] = False,
    safety_backup: Annotated[
        bool, typer.Option(help="Also dump the replaced database (default).", show_default=False)
    ] = True,
    validate: Annotated[bool, typer.Option(help="Validate the site afterwards (default).", show_default=False)] = True,
    allow_unsigned: Annotated[
        bool, typer.Option("--allow-unsigned", help="Restore a backup that is not signed.")
    ] = False,
    into_other_site: Annotated[
        bool, typer.Option("--into-other-site", help="Restore a backup of another site.")
    ] = False,
    in_place: Annotated[bool, typer.Option("--in-place", help="Without CREATEDB; keeps only a safety backup.")] = False,
    accept: Annotated[list[str] | None, typer.Option(help="Accept a named difference; repeatable.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep it although services are not healthy.")] = False,
    table: Annotated[
        list[str] | None, typer.Option("--table", "-T", help="Only this model or table; repeatable.")
    ] = None,
    new_value: Annotated[
        list[str] | None,
        typer.Option(metavar="TABLE.COLUMN=VALUE", help="With --table: for missing rows, in a new column; repeatable."),
    ] = None,
    exact: Annotated[bool, typer.Option("--exact", help="With --table: remove newer rows, too.")] = False,
    approved_by: Annotated[str, typer.Option(help="The person with the written approval.")] = "",
    reason: Annotated[str, typer.Option(help="The incident, in a sentence.")] = "",
    ticket: Annotated[str, typer.Option(help="Ticket or report of the incident.")] = "",
    users_told: Annotated[str, typer.Option(help="The person that informed the users.")] = "",
    window: Annotated[str, typer.Option(help="Minutes planned for the maintenance.")] = "",
    contacts: Annotated[str, typer.Option(help="The people to call if it goes wrong.")] = "",
    file: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH|GLOB",
            help="Only these media, below MEDIA_ROOT; quote a pattern: 'scans/*.pdf' (* takes / too); repeatable.",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="With --file: replace changed live files too.")
    ] = False,
) -> None:
    """Restore a backup: loaded and proven next to the live data, then swapped in; the old data is kept.

    Any other answer than `yes` cancels and changes no data (exit 5). A failure leaves the site as it was.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    given = {
        "approved_by": approved_by,
        "reason": reason,
        "ticket": ticket,
        "users_told": users_told,
        "window": window,
        "contacts": contacts,
    }
    if in_place and not safety_backup:
        raise UsageError(
            "a restore in place always makes a safety backup: a rollback needs it",
            hint="leave out --no-safety-backup, or --in-place",
        )
    options = RestoreOptions(
        dry_run=dry_run,
        safety_backup=safety_backup,
        allow_unsigned=allow_unsigned,
        into_other_site=into_other_site,
        in_place=in_place,
        accept=frozenset(accept or ()),
        keep=keep,
    )
    if target:
        artifact = _fetched(wired, target, artifact, at, identity, allow_unsigned=allow_unsigned)
    require_one_scope(table or (), file or (), new_value or (), exact=exact, overwrite=overwrite)
    if file or overwrite:
        from korrigo_backup.cli.rescue.restore_files import restore_files_and_say  # noqa: PLC0415 - few restores are

        restore_files_and_say(wired, file or [], artifact, at, options, Questions(yes, given), overwrite=overwrite)
        return
    found = named_or_before(wired.catalog, artifact, at)
    if table or exact:
        from korrigo_backup.cli.rescue.restore_table import restore_tables_and_say  # noqa: PLC0415 - few restores are

        questions = Questions(yes, given)
        restore_tables_and_say(wired, found, table or [], options, questions, exact=exact, new_values=new_value or ())
        return
    restore_and_say(wired, found, options, Questions(yes, given), validate=validate)


def _fetched(
    wired: Wired, target: str, artifact: str | None, at: str | None, identity: str | None, *, allow_unsigned: bool
) -> str:
    """Fetch a backup from a target and return its path; UsageError unless it is named."""
    if artifact is None or at:
        raise UsageError("name the backup on the target", hint=f"korrigo-backup list --on {target} shows the names")
    from korrigo_backup.cli.fetch import fetched, reader  # noqa: PLC0415 - few restores begin elsewhere

    reading = reader(wired, target, identity, None)
    return str(fetched(reading, artifact, quiet=False, allow_unsigned=allow_unsigned))


def restore_and_say(
    wired: Wired, artifact: Artifact, options: RestoreOptions, questions: Questions, *, validate: bool = True
) -> None:
    """Restore one artifact and print every step; the plan and the checklist first."""
    site = wired.site() if options.dry_run else wired.site(say_made)
    probing: list[Probing] = []
    narrate = narrator(RestoreStep, StoppingServices, DjangoStep)

    def listen(step: Step) -> None:
        narrate(step)
        if isinstance(step, RestoredSiteHealthy) and validate:  # while the safety backup is made
            probing.append(begin_probe(site))

    def confirm(plan: RestorePlan) -> Mapping[str, str] | None:
        say_plan(plan, space_lines(wired, site, plan, safety_backup=options.safety_backup))
        return _confirm(wired, plan, questions, into_other_site=options.into_other_site)

    done = restore(site, wired.catalog, artifact, options, now=local_now(), confirm=confirm, listen=listen)
    add_to_document(plan=done.plan)
    if options.dry_run:
        say_plan(done.plan, space_lines(wired, site, done.plan, safety_backup=options.safety_backup))
        refuse(done.plan)
        return
    _say_done(done)
    add_to_document(
        findings=done.findings, losses=done.losses, safety_backup=str(done.safety.path) if done.safety else None
    )
    if validate:
        _validate(site, wired, artifact, _way_back(done.plan), probing[-1] if probing else None)
    say("📊 Verification recommended - check database contents")
    if done.losses:
        raise PartlyDone(
            f"the restore is done and proven, but not everything is as it was:"
            f" {', '.join(dict.fromkeys(finding.id for finding in done.losses))}",
            hint="each is named above, with the command that helps",
            state="restored" if any(one.id == "services.unhealthy" for one in done.losses) else "restored, and serving",
        )


def _say_done(done: Restored) -> None:
    if done.safety:
        say(f"   {done.safety.path} ({human(done.safety.size)})")
    say("✅ Restore completed successfully")
    for one in done.plan.replaces:
        if one.kept_as:
            say(f"   the replaced {one.part} is kept as {one.kept_as}; to go back: korrigo-backup rollback")
        if one.in_place:
            say(f"   to go back to the data of before: {_way_back(done.plan)}")
    say_findings(done.findings)


def _way_back(plan: RestorePlan) -> str:
    """Return the command that undoes a restore."""
    named = (one.undone_by for one in plan.replaces if one.in_place and one.undone_by is not UNSET)
    return next(named, ROLLBACK)


_PROVEN = frozenset({"validate.tables", "validate.users", "validate.media"})
"""Findings about content alone."""


def _validate(site: Site, wired: Wired, artifact: Artifact, way_back: str, probing: Probing | None) -> None:
    """Check the site that serves again, and report the failed checks.

    Rows and files were proven to be those of the backup before they went live: a small number of them is reported, and
    is no failure. Raises PartlyDone if another check fails: the restore itself is done.
    """
    has_rows = KINDS[artifact.kind].has_rows
    whole = has_rows and artifact.manifest is not None and artifact.manifest.includes_media
    proven = _PROVEN | {"media.missing"} if whole else _PROVEN  # its rows and files are of one moment
    found = validate_site(
        site,
        None,
        point=compared(wired.catalog, artifact),
        saved=saved_database(wired.catalog, artifact),
        accept=wired.config.validate.accept,
        probing=probing,
    )
    findings = [
        replace(finding, level=Level.WARNING) if finding.id in proven and finding.level is Level.ERROR else finding
        for finding in found
    ]
    add_to_document(validation=findings)
    say("🔍 Validating restore...")
    say_findings(finding for finding in findings if finding.level is not Level.OK)
    bad = [finding for finding in findings if finding.level is Level.ERROR]
    if bad:
        raise PartlyDone(
            f"the restore is done and proven, but {len(bad)} of {len(findings)} validation checks failed:"
            f" {', '.join(dict.fromkeys(finding.id for finding in bad))}",
            hint=f"each is explained where it is marked ❌; to go back: {way_back}",
            state="restored, and serving",
        )
    passed = sum(finding.level is Level.OK for finding in findings)
    say(f"✅ Validation passed ({passed} of {len(findings)} checks without a remark)")


def _confirm(
    wired: Wired, plan: RestorePlan, questions: Questions, *, into_other_site: bool
) -> Mapping[str, str] | None:
    answers = {key: answer for key, answer in questions.answers.items() if answer}
    required, asks = wired.config.restore.require_checklist, not questions.yes and sys.stdin.isatty()
    if required and asks:
        for question in unanswered(answers):
            if answer := ask(f"   {question.words} (Enter: not stated): "):
                answers[question.key] = answer
    say("Checklist (runbook 5.1):")
    for line in checklist(plan, answers):
        say(f"  {'[x]' if line.done else '[ ]'} {line.point}: {line.evidence}")
    left = unanswered(answers)
    if asks and left and not required:
        say(f"  options that answer the open points: {' '.join(question.option for question in left)}")
    if required and left:
        raise Refused(
            f"the checklist is not complete: {', '.join(question.point for question in left)}",
            hint=f"answer with {' '.join(question.option for question in left)}",
        )
    if questions.yes or _means_it(wired, plan, into_other_site=into_other_site):
        return answers
    return None


def _means_it(wired: Wired, plan: RestorePlan, *, into_other_site: bool) -> bool:
    """Ask; to put another site's data in the place of this site's, its name must be typed."""
    say(f"This restore: {effect(plan)}")
    if not into_other_site:
        say("Type yes to go on; any other answer cancels.")
        return ask_yes(QUESTION)
    name = wired.config.site.name
    return (
        ask(f"⚠️  The data of another site replaces the data of this site. Type this site's name ({name}) to go on: ")
        == name
    )
