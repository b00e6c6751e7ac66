"""`korrigo-backup doctor`: whether this machine and this site meet the needs of backups and restores."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.keyring import OpenKeyFile
from korrigo_backup.cli.output import CommandContext, narrator, say, say_findings, say_json
from korrigo_backup.cli.setup.checks import checks, mended_on_staging
from korrigo_backup.core.finding import Level
from korrigo_backup.errors import ProblemsFound
from korrigo_backup.recovery.mend import FIX, MENDABLE, close_key, mend
from korrigo_backup.run.journal import SiteName
from korrigo_backup.run.step import Listener, Step, silent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.app.build import Wired
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.errors import KorrigoBackupError


def command(
    context: typer.Context,
    fix: Annotated[
        bool, typer.Option("--fix", help="First repair modes, missing directories and leftovers of killed runs.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --fix: only name what it would mend.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document.")] = False,
) -> None:
    """Check the machine, Docker, the services, the database, the media, the disk and the settings. Exit 10 if ill."""
    built = context.ensure_object(CommandContext)
    mended: list[str] = []
    fix = fix and not dry_run  # the line of what would be mended is the plan
    if fix:
        listen = _noting(mended, silent if as_json else narrator())
        wired = _wired(built, listen)
        site = SiteName(wired.config.site.name, wired.secrets)
        staging = partial(mended_on_staging, wired)
        problems = mend(wired.site, wired.catalog, site, wired.keyring.path, listen, elsewhere=staging).problems
        if not as_json:
            _say_mended(mended, problems)
    else:
        wired = built.wired(quiet=True)
    findings = checks(wired)
    ill = [finding for finding in findings if finding.level is Level.ERROR]
    if as_json:
        say_json("doctor", {"passed": not ill, "findings": findings, "mendable": _mendable(findings), "mended": mended})
    else:
        say_findings(findings)
        if (found := _mendable(findings)) and not fix:
            say(f"🔧 {FIX} would mend: {', '.join(found)}")
    if ill:
        words = f"{len(ill)} of {len(findings)} checks failed: {ill[0].message}"
        raise ProblemsFound(words, hint=ill[0].hint or "see above", id_=ill[0].id)
    if not as_json:
        say("✅ No prerequisite is missing")


def _wired(context: CommandContext, listen: Listener) -> Wired:
    """Load the configuration; a key file that others may read, which every verb refuses, is made private first."""
    try:
        return context.wired(quiet=True)
    except OpenKeyFile as problem:
        listen(close_key(problem.path))
        return context.wired(quiet=True)


def _noting(mended: list[str], listen: Listener) -> Listener:
    def listener(step: Step) -> None:
        if sentence := getattr(step, "sentence", ""):
            mended.append(sentence)
        listen(step)

    return listener


def _say_mended(mended: Sequence[str], problems: Sequence[KorrigoBackupError]) -> None:
    for problem in problems:
        say(f"⚠️ not mended: {problem.message}\n   hint: {problem.hint}")
    if not mended and not problems:
        say("Nothing to mend")
    say("")


def _mendable(findings: Sequence[Finding]) -> list[str]:
    ids = {finding.id for finding in findings if finding.level is not Level.OK and finding.id in MENDABLE}
    return sorted(ids)
