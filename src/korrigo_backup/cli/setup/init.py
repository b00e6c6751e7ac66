"""`korrigo-backup init`: read a project, write its configuration, check everything, name the next step."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.app.build import wire
from korrigo_backup.app.unattended import own_command
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.naming import stamp
from korrigo_backup.cli.output import CommandContext, ask, say, say_data, say_findings
from korrigo_backup.cli.setup.checks import checks
from korrigo_backup.cli.setup.first_steps import keep_out_of_git, keep_password, next_steps, password
from korrigo_backup.config.load import surroundings
from korrigo_backup.config.place import FILE_NAME, directory_above
from korrigo_backup.core.finding import Level, first_error
from korrigo_backup.core.secret import redact
from korrigo_backup.errors import KorrigoBackupError, PartlyDone, Refused, UsageError
from korrigo_backup.setup import init as operation
from korrigo_backup.setup import login, monitoring, path_columns
from korrigo_backup.setup import scripts as scripts_of_runbook
from korrigo_backup.setup.ci import NEXT, System, install
from korrigo_backup.setup.discover_compose import CANDIDATES, NamedServices
from korrigo_backup.system.files import explained

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.core.secret import Secret
    from korrigo_backup.setup.init import ConfigurationDraft
    from korrigo_backup.setup.path_candidates import Proposal


def command(
    context: typer.Context,
    place: Annotated[
        Path | None,
        typer.Argument(metavar="[DIR]", help="With --scripts: the directory for them; no other step is taken."),
    ] = None,
    directory: Annotated[Path, typer.Option(help="The site's project directory.")] = Path(),
    write: Annotated[bool, typer.Option("--write/--dry-run", help="Write the file, or only show it.")] = True,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Write the file again; its settings stay, the old file is kept under another name."
        ),
    ] = False,
    db: Annotated[str | None, typer.Option("--db", help="The Compose service that is the database.")] = None,
    backend: Annotated[str | None, typer.Option("--backend", help="The Compose service that runs Django.")] = None,
    scripts: Annotated[
        bool,
        typer.Option(
            "--scripts",
            help="Put the runbook's scripts into scripts/; a script of the site is kept under another name.",
        ),
    ] = False,
    ci: Annotated[
        System | None, typer.Option(help="Put the CI jobs that test backups and restores into the project.")
    ] = None,
    monitoring_kit: Annotated[
        Path | None,
        typer.Option(
            "--monitoring",
            metavar="DIR",
            help="Put alert rules, a dashboard and examples for monitors into DIR; no other step is taken.",
        ),
    ] = None,
) -> None:
    """Write korrigo-backup.toml for this site, make the signing key, check everything, and name the next step.

    Reads the Compose file, .env and Django's settings; only settings that differ from the defaults are written. Exit 2
    when there is no site, or several services may be the database and none is named, 3 when the file is written and a
    check failed, 4 when no file was written.
    """
    if place and not scripts:
        raise UsageError(f"{place}: a directory is given for --scripts alone", hint="korrigo-backup init --scripts DIR")
    if place:
        _install_scripts(place.absolute())
        return
    if monitoring_kit and (scripts or ci):
        raise UsageError(
            "the options --scripts and --ci do not go with --monitoring", hint="korrigo-backup init --monitoring DIR"
        )
    if monitoring_kit:
        _install_monitoring(monitoring_kit.absolute(), directory.absolute(), write=write)
        return
    given: Path | None = context.find_root().params.get("config")
    with explained(f"go to {directory}"):
        target = given.absolute() if given else Path(FILE_NAME)
        os.chdir(directory)
    is_there = os.path.lexists(target)
    above = None if given else directory_above(Path.cwd())
    if (scripts or ci) and write and is_there and not force:
        _install(ci, scripts=scripts)
        return
    if write and not force and (is_there or above):
        raise Refused(
            f"there is a configuration: {above / FILE_NAME if above else target.absolute()}",
            hint="korrigo-backup doctor checks it; --dry-run shows the file that init would write, --force writes"
            " it and keeps the old file",
        )
    say(f"🔍 Looking at {Path.cwd()}")
    made, wired, found = _made(target, NamedServices(db, backend))
    unknown = None if made.reached else first_error(made.findings)
    say_findings(one for one in made.findings if not (unknown and one.id in {unknown.id, "site.media"}))
    if unknown:
        raise UsageError(f"there is no site in {Path.cwd()}: {unknown.message}", hint=unknown.hint, id_=unknown.id)
    if write:
        _write(made, wired, found)
        _install(ci, scripts=scripts)
    else:
        _show(made)
    findings = _check(wired)
    failed = sum(finding.level is Level.ERROR for finding in findings)
    next_steps(getattr(context.find_root().command, "commands", {}), wired, findings)
    if failed:
        raise _failure(failed, target, written=write)


def _install(ci: System | None, *, scripts: bool) -> None:
    """Put the files into the project that are asked for."""
    if scripts:
        _install_scripts(Path.cwd() / scripts_of_runbook.PLACE)
    if ci:
        path, made = install(Path.cwd(), ci)
        shown = path.relative_to(Path.cwd())
        say(f"✅ {shown} {'tests backups and restores' if made else 'is there already'}; {NEXT[ci]}")


def _install_monitoring(place: Path, directory: Path, *, write: bool) -> None:
    """Put the monitoring kit into `place`, with the paths of the site that is configured in `directory`, if one is."""
    is_site = (directory / FILE_NAME).is_file()
    site = monitoring.MonitoredSite(directory, own_command(), place) if is_site else None
    texts = monitoring.files(site)
    new = monitoring.missing(place, texts)
    if write:
        monitoring.install(new, texts)
    for path in new:
        say(f"✅ {path}" if write else f"📝 {path} would be written")
    if not new:
        say(f"✅ The monitoring kit is in {place} already")
    if not site or not site.is_plain:
        say("⚠️ The files name the directory /srv/korrigo: put your paths in its place")


def _install_scripts(place: Path) -> None:
    changed = list(scripts_of_runbook.install(place, own_command(), stamp(local_now())))
    if not changed:
        say("✅ The runbook's scripts are ours already, and call this korrigo-backup")
    for path, kept in changed:
        shown = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
        say(f"✅ {shown} calls korrigo-backup{f' (formerly: {kept.name})' if kept else ''}")


def _made(target: Path, named: NamedServices) -> tuple[ConfigurationDraft, Wired, Secret | None]:
    """Return the configuration, read as it will be before it gets its place, and a password that was found for it."""
    environment = surroundings(Path.cwd(), os.environ)
    made = operation.draft(Path.cwd(), environment, target, named=named)
    if made.candidates:
        named = replace(named, database=_chosen(made))
        made = operation.draft(Path.cwd(), environment, target, named=named)
    wired = _wired(made)
    if (site := operation.site_of(wired.catalog)) and site != wired.config.site.name:
        made = operation.draft(Path.cwd(), environment, target, site=site, named=named)
        wired = _wired(made)
    CommandContext.known_secrets = wired.secrets
    found = password(wired, partial(_wired, made), environment) if made.reached else None
    wired = _wired(made, found)
    if proposals := _path_columns(wired) if made.reached else []:
        columns = tuple(one.entry for one in proposals)
        made = operation.draft(Path.cwd(), environment, target, site=site, named=named, columns=columns)
        made = replace(made, findings=(*made.findings, *path_columns.named(proposals)))
        wired = _wired(made, found)
    return made, wired, found


def _path_columns(wired: Wired) -> list[Proposal]:
    """Return the columns that name media files; none if the site cannot be asked, which the checks then report."""
    try:
        return path_columns.found_columns(wired.site())
    except KorrigoBackupError:
        return []


def _chosen(made: ConfigurationDraft) -> str:
    """Return the database's service as a person chooses it on a terminal; UsageError elsewhere."""
    question = next(finding for finding in made.findings if finding.id == CANDIDATES)
    if not sys.stdin.isatty():
        raise UsageError(question.message, hint=question.hint)
    say(f"❓ {question.message}")
    return ask(f"The database's service ({', '.join(made.candidates)}): ")


def _wired(made: ConfigurationDraft, found: Secret | None = None) -> Wired:
    """Return the site by a configuration that is written nowhere yet, with a password that was found for it."""
    environ = {**os.environ, **({login.VARIABLE: found.reveal()} if found else {})}
    with operation.in_a_file(made.text) as file:
        return wire(Path.cwd(), environ, file)


def _write(made: ConfigurationDraft, wired: Wired, found: Secret | None) -> None:
    if made.new:
        kept = operation.write(made, stamp(local_now()))
        say(f"✅ Configuration written: {made.target}{f' (formerly: {kept})' if kept else ''}")
    else:
        say(f"✅ No change is needed in {made.target}")
    if made_own := operation.own_settings(Path.cwd()):
        path, taken = made_own
        from_env = f", {taken} taken over from .env, which a deployment may write anew" if taken else ""
        say(f"✅ Own settings: {path.name} (mode 600, before .env){from_env}")
    if found:
        keep_password(found)
    with explained("make the signing key"):
        wired.keyring.signing()
    keep_out_of_git(wired)


def _show(made: ConfigurationDraft) -> None:
    if made.new:
        say(f"📝 {made.target} would be:\n")
        say_data(redact(made.text, CommandContext.known_secrets))  # a former file may hold some
    else:
        say(f"✅ No change is needed in {made.target}")


def _check(wired: Wired) -> list[Finding]:
    say("🔎 Checking")
    findings = checks(wired)
    say_findings(findings)
    return findings


def _failure(failed: int, target: Path, *, written: bool) -> KorrigoBackupError:
    message = "a check failed" if failed == 1 else f"{failed} checks failed"
    hint = "correct each line marked ❌ above, then check again: korrigo-backup doctor"
    if written:
        return PartlyDone(f"{target} is written, and {message}", hint=hint, state="the configuration is there")
    return Refused(message, hint=hint)
