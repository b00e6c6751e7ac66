"""`korrigo-backup backup`: make a verified backup of the database, the media, or both as one restore point."""

from __future__ import annotations

import grp
import pwd
import stat
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.consistency import recorded_findings
from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.left_out import left_out_findings, media_findings
from korrigo_backup.backup.backup import BackedUp, BackupOptions, backup_database
from korrigo_backup.cli.announcing import announcer
from korrigo_backup.cli.list_ import summary
from korrigo_backup.cli.output import CommandContext, narrator, say, say_findings
from korrigo_backup.cli.program.document import add_to_document
from korrigo_backup.core.finding import Level, refuse_on_error
from korrigo_backup.core.size import human
from korrigo_backup.errors import Refused, UsageError
from korrigo_backup.notify.run import announced
from korrigo_backup.run.step import BackupStep

if TYPE_CHECKING:
    from collections.abc import Iterable

    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.core.finding import Finding


class BackupSubject(StrEnum):
    """The data to back up."""

    DB = "db"
    MEDIA = "media"
    FULL = "full"


class Method(StrEnum):
    """How a full backup is made (runbook 4.4)."""

    SQL = "sql"
    DJANGO = "django"


def command(
    context: typer.Context,
    what: Annotated[
        BackupSubject, typer.Argument(help="db: the database; media: the uploaded files; full: both.")
    ] = BackupSubject.DB,
    method: Annotated[
        Method, typer.Option(help="sql: dump and archive; django: the site's manage.py backup, brought out (full).")
    ] = Method.SQL,
    digests: Annotated[bool, typer.Option(help="Take a digest of every table's rows (db, full).")] = True,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only check the needs of a backup (runbook 4.1). Exit 4 when it could not run."),
    ] = False,
    pre_deployment: Annotated[
        bool, typer.Option("--pre-deployment", help="Before a deployment: kept for ever, under a name of its own.")
    ] = False,
    accept: Annotated[
        list[str] | None,
        typer.Option(
            help="media.shrunk, media.moved: so few files, or another disk, are right (media, full); schemas: tables"
            " in other schemas are left out (--method django)."
        ),
    ] = None,
    notify: Annotated[
        bool | None, typer.Option(help="Notify the channels of [notify]; default: when no user is at the terminal.")
    ] = None,
) -> None:
    """Make a backup, verify it, and only then give it its name.

    db makes BACKUP_DIR/db_backup_YYYYMMDD_HHMMSS.sql.gz, media makes media_backup_….tar.gz, each with its manifest;
    full makes both, and restore_point_….json, which binds them. Backups of the database older than
    BACKUP_RETENTION_DAYS are removed, never the newest good one; a backup made with --pre-deployment stays, and removes
    no other.
    """
    wired: Wired = context.ensure_object(CommandContext).wired()
    if check:
        _check(wired)
        return
    if method is Method.DJANGO:
        _require_possible(what, pre_deployment=pre_deployment)
    subject = "django" if method is Method.DJANGO else what.value
    origin = Origin.PRE_DEPLOYMENT if pre_deployment else Origin.ROUTINE
    with announced(announcer(wired, notify), wired.catalog.directory, "backup", subject, say=say_findings) as telling:
        artifact = _make(wired, subject, origin, digest=digests, accept=frozenset(accept or ()))
        telling.facts |= {"backup": artifact.name, "size": human(artifact.size)}
        add_to_document(**summary(artifact))


def _check(wired: Wired) -> None:
    """Print the checklist before a backup (contract B6); Refused if one of its lines is an error."""
    from korrigo_backup.cli.setup.checks import checks  # noqa: PLC0415 - it loads much that a backup does not need

    findings = checks(wired)
    add_to_document(findings=findings)
    say_findings(findings)
    refuse_on_error(findings, Refused, subject="a backup could not run", otherwise="see the lines above")
    say("✅ Ready for a backup")


def _require_possible(what: BackupSubject, *, pre_deployment: bool) -> None:
    if what is not BackupSubject.FULL:
        raise UsageError("--method django makes full backups only", hint="korrigo-backup backup full --method django")
    if pre_deployment:
        raise UsageError(
            "a backup before a deployment is made by the method sql: the next release may not read a Django backup",
            hint="korrigo-backup backup full --pre-deployment",
        )


def _make(wired: Wired, subject: str, origin: Origin, *, digest: bool, accept: frozenset[str]) -> Artifact:
    """Make the backup and print the result; each kind imports only the modules that it needs."""
    site, catalog, now = wired.site(), wired.catalog, local_now()
    listen = narrator(BackupStep)
    policy = wired.policy() if origin is Origin.ROUTINE else None
    wish = BackupOptions(origin=origin, digest=digest, policy=policy, accept=accept)
    if subject == "django":
        from korrigo_backup.backup.django import backup_django  # noqa: PLC0415 - see above

        done = backup_django(site, catalog, now=now, listen=listen, accept=accept)
        made = done.artifact.manifest
        findings: Iterable[Finding] = (
            *left_out_findings(made.django.left_out if made and made.django else ()),
            *media_findings(made.media.notes if made and made.media else ()),
        )
    elif subject == "media":
        from korrigo_backup.backup.media import backup_media  # noqa: PLC0415 - see above

        done = backup_media(site, catalog, now=now, origin=origin, listen=listen, accept=accept)
        findings = done.findings
    elif subject == "full":
        from korrigo_backup.backup.point import backup_full  # noqa: PLC0415 - see above

        done = backup_full(site, catalog, wish, now=now, listen=listen)
        findings = (*recorded_findings(done.artifact.manifest), *done.findings)
    else:
        done = backup_database(site, catalog, wish, now=now, listen=listen)
        findings = done.findings
    findings = tuple(findings)
    add_to_document(findings=findings, removed=_removed(done))
    if CommandContext.is_quiet:
        say_findings(one for one in findings if one.level in {Level.LOSS, Level.ERROR})
        return done.artifact
    say_findings(findings)
    if policy and subject in {"db", "full"}:
        say(f"🧹 Cleaned {_removed(done)} old backups (>{policy.database.days} days)")
    _say_available(wired, done.artifact.kind, origin)
    return done.artifact


def _removed(done: BackedUp) -> int:
    return sum(decision.remove for decision in done.cleaned)


def _say_available(wired: Wired, kind: Kind, origin: Origin) -> None:
    say("📋 Available backups:")
    artifacts = [a for a in wired.catalog.artifacts() if a.ours and a.kind is kind and a.origin is origin]
    for line in _long_listing(artifacts):
        say(line)


def _long_listing(artifacts: Iterable[Artifact]) -> list[str]:
    lines = []
    for artifact in artifacts:
        info = artifact.path.stat()
        when = f"{artifact.created.astimezone():%b %e %H:%M}"
        owner = f"{_user(info.st_uid)} {_group(info.st_gid)}"
        lines.append(f"{stat.filemode(info.st_mode)} 1 {owner} {human(artifact.size)} {when} {artifact.path}")
    return lines


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)
