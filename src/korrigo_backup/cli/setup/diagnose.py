"""`korrigo-backup diagnose`: the report for a helper."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from korrigo_backup.artifact.catalog import Catalog, local_now
from korrigo_backup.cli.output import CommandContext, say, say_data, warn
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.cli.setup.checks import checks
from korrigo_backup.cli.status.status import say_contacts
from korrigo_backup.config.load import surroundings
from korrigo_backup.config.model import Configuration
from korrigo_backup.config.place import FILE_NAME
from korrigo_backup.core.finding import warning
from korrigo_backup.errors import KorrigoBackupError, UsageError
from korrigo_backup.run import failures
from korrigo_backup.setup.diagnose import ReportSources, report
from korrigo_backup.setup.diagnose import archive as packed
from korrigo_backup.setup.secret_values import secrets_in
from korrigo_backup.system.files import explained, replace_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from korrigo_backup.config.unattended import Contact
    from korrigo_backup.run.failures import FailedCommand


def command(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option(help="Write it to this new private file instead.")] = None,
    archive: Annotated[
        Path | None, typer.Option(help="Pack it with journal, findings and versions into this new file (tar.gz).")
    ] = None,
) -> None:
    """Report the site, its services and the last operations, for a person who is asked to help (runbook 8.5).

    Versions, containers, disks, the database's connections and sizes, logs, variables, checks, backups, journal.
    Secrets are taken out, statements are named and not quoted; logs are as the services wrote them: read it before you
    send it.
    """
    if output and archive:
        raise UsageError("--output and --archive exclude each other", hint="korrigo-backup diagnose --help")
    target = output or archive
    if target and target.exists():
        raise UsageError(f"{target} exists already", hint="name another file, or remove this file")
    sources, people = _sources(context.ensure_object(CommandContext))
    if target is None:
        lines = list[str]()
        for line in report(sources):
            lines.append(line)
            say_data(line)
        add_to_document(report=lines)
        return
    text = "".join(f"{line}\n" for line in report(sources)) if output else ""
    with explained(f"write {target}"):
        replace_whole(target, text.encode(errors="replace") if output else packed(sources))
    add_to_document(file=str(target.absolute()))
    if output:
        say(f"✅ Report written: {output}; read it before you send it")
    else:
        say(f"✅ Report packed: {archive}; read it before you send it: tar -xzOf {archive} | less")
    say_contacts(people)


def _sources(context: CommandContext) -> tuple[ReportSources, tuple[Contact, ...]]:
    """Return the sources of the report and the people to ask; also where the configuration cannot be used."""
    last = failures.last(os.environ, Path.cwd())
    try:
        wired = context.wired()
    except KorrigoBackupError as problem:
        warn(warning("diagnose.configuration", f"the configuration cannot be used: {problem.message}", problem.hint))
        return _without_configuration(problem, last), ()
    people = wired.config.contacts.people
    sources = ReportSources(
        catalog=wired.catalog,
        build=wired.site,
        checks=lambda: checks(wired),
        environment=wired.environment,
        secrets=wired.secrets,
        contacts=[one.line for one in people],
        now=local_now(),
        last=last,
    )
    return sources, people


def _surroundings() -> Mapping[str, str]:
    """Return the variables of the environment and of the settings files, as far as these can be read."""
    with suppress(KorrigoBackupError):
        return surroundings(Path.cwd(), os.environ)
    return os.environ


def _without_configuration(problem: KorrigoBackupError, last: FailedCommand | None) -> ReportSources:
    """Return the sources that need no configuration: this machine, and the backups in the default directory."""

    def unknown() -> NoReturn:
        raise problem

    directory = os.environ.get("BACKUP_DIR") or Configuration().backup.dir
    return ReportSources(
        catalog=Catalog(Path(directory)),
        build=unknown,
        checks=unknown,
        environment=_surroundings(),
        secrets=secrets_in(Path(FILE_NAME)),
        contacts=(),
        now=local_now(),
        unread=f"{problem.message} ({problem.hint})",
        last=last,
    )
