"""`korrigo-backup report`: a drill, a period, or the questions of auditors, as Markdown or one HTML file."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.app.build_status import status
from korrigo_backup.artifact.catalog import LATEST, local_now
from korrigo_backup.artifact.meaning import matching_names, only_match
from korrigo_backup.cli.output import CommandContext, say, say_data
from korrigo_backup.cli.program.commands import Actions
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.program.names import find_artifact
from korrigo_backup.errors import NotFound, UsageError
from korrigo_backup.report.collect import contents, with_tables
from korrigo_backup.report.compliance import AuditEvidence, compliance_page
from korrigo_backup.report.evaluate import drills, period
from korrigo_backup.report.html import DOCTYPE, html
from korrigo_backup.report.markdown import markdown
from korrigo_backup.report.model import RecoveryTargets
from korrigo_backup.report.pages import drill_page, period_page
from korrigo_backup.system.files import explained, replace_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from korrigo_backup.app.build import Wired
    from korrigo_backup.report.model import DrillResult, Page
    from korrigo_backup.status.model import Status

_DAYS = 31
"""Days of a period whose beginning is not named."""


_RPO, _RTO = 24 * 3600.0, 4 * 3600.0
"""The targets of a site that sets none: a backup each night (runbook 4.6), half a day's work."""


_FROM = typer.Option("--from", metavar="YYYY-MM-DD", help="The first day; default: 31 days before --to.")
_TO = typer.Option("--to", metavar="YYYY-MM-DD", help="The last day; default: today.")
_HTML = typer.Option("--html", metavar="FILE", help="Write one HTML file, for a browser or a printer.")
FirstDay = Annotated[str | None, _FROM]
LastDay = Annotated[str | None, _TO]
HtmlFile = Annotated[Path | None, _HTML]


def period_(context: typer.Context, begin: FirstDay = None, end: LastDay = None, to_html: HtmlFile = None) -> None:
    """Report the backups, drills and decisions of a period."""
    wired, known = _known(context)
    found = period(known.facts.records, _drills(known), *_within(begin, end, known.now))
    site, environment = wired.config.site.name, wired.config.site.environment
    _give(
        period_page(found, _targets(wired), site=site, environment=environment, lang=CommandContext.language), to_html
    )


def drill(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="The tested backup; default: the last drill.")] = None,
    to_html: HtmlFile = None,
) -> None:
    """Report a drill (runbook 6.4). Exit 6 if there was none."""
    wired, known = _known(context)
    _give(_drill(wired, known, name, CommandContext.language), to_html)


def compliance(context: typer.Context, begin: FirstDay = None, end: LastDay = None, to_html: HtmlFile = None) -> None:
    """Answer the questions of auditors, with evidence."""
    wired, known = _known(context)
    tests = _drills(known)
    evidence = AuditEvidence(
        status=known,
        period=period(known.facts.records, tests, *_within(begin, end, known.now)),
        drills=tests,
        targets=_targets(wired),
        stated=bool(wired.config.report.rpo and wired.config.report.rto),
        sealed=[name for name, section in wired.config.targets.items() if section.seal],
    )
    site, environment = wired.config.site.name, wired.config.site.environment
    _give(compliance_page(evidence, site=site, environment=environment, lang=CommandContext.language), to_html)


ACTIONS = Actions(
    {"period": period_, "drill": drill, "compliance": compliance},
    default="period",
    help="""Report a period, a drill (runbook 6.4), or the answers to the questions of auditors, with evidence.

    The journal and the manifests are the source. Without --html it is printed as Markdown.
    """,
)


def _known(context: typer.Context) -> tuple[Wired, Status]:
    wired: Wired = context.ensure_object(CommandContext).wired()
    return wired, status(wired, now=local_now(), ask=False)


def _give(page: Page, to_html: Path | None) -> None:
    """Print a report as Markdown, or write it to an HTML file."""
    add_to_document(page=page)
    if to_html is None:
        say_data(markdown(page).rstrip("\n"))
        return
    if to_html.is_dir():
        raise UsageError(f"{to_html} is a directory", hint="name a file in it, which ends in .html")
    _require_replaceable(to_html)
    with explained(f"write the report {to_html}"):
        replace_whole(to_html, html(page).encode("utf-8", "replace"))
    add_to_document(file=str(to_html.absolute()))
    say(f"✅ Report: {to_html}")


def _require_replaceable(path: Path) -> None:
    """Raise UsageError for an existing file that is no HTML page: only a report is replaced."""
    with explained(f"read {path}"), suppress(FileNotFoundError), path.open("rb") as file:
        if file.read(len(DOCTYPE)) != DOCTYPE.encode():
            raise UsageError(f"{path} exists and is no HTML page", hint="name another file, which ends in .html")


def _targets(wired: Wired) -> RecoveryTargets:
    wanted = wired.config.report
    return RecoveryTargets(rpo=wanted.rpo or _RPO, rto=wanted.rto or _RTO)


def _drills(known: Status) -> tuple[DrillResult, ...]:
    return drills(known.facts.records, contents(known.facts.artifacts))


def _drill(wired: Wired, known: Status, name: str | None, lang: str) -> Page:
    found: Sequence[DrillResult] = _drills(known)
    if name is not None:
        tested = _tested(wired, name, {one.subject for one in found})
        found = [one for one in found if one.subject == tested]
    if not found:
        raise NotFound(
            f"the journal has no drill{f' of {name}' if name else ''}",
            hint="test a backup: korrigo-backup drill",
            id_="",
        )
    last = found[-1]
    if last.content:
        content = with_tables(last.content, known.facts.artifacts)
        last = replace(last, content=content)
    environment = f"{wired.config.site.name} {wired.config.site.environment}"
    return drill_page(last, _drills(known), _targets(wired), environment=environment, lang=lang)


def _tested(wired: Wired, name: str, subjects: AbstractSet[str]) -> str:
    """Return the name of the tested backup that is meant; it may be gone from here."""
    if name in LATEST:
        return find_artifact(wired, name).name
    bare = name.rpartition("/")[2]
    return bare if bare in subjects else only_match(name, matching_names(bare, subjects)) or bare


def _within(begin: str | None, end: str | None, now: datetime) -> tuple[datetime, datetime]:
    """Return the period in UTC, up to the present at most; UsageError if it is empty."""
    last = min(_day(end) + timedelta(days=1), now) if end else now
    first = _day(begin) if begin else last - timedelta(days=_DAYS)
    if first >= last:
        raise UsageError("the period is empty", hint="name --from before --to, and not in the future")
    return first, last


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y-%m-%d").astimezone().astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{text} is not a day", hint="write it as 2026-12-31") from None
