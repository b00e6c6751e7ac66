"""The report of the runbook's 8.5, for a helper: the backups, the services, the last operations, without secrets.

Each part is gathered by itself, and a part that fails gives its reason: a report is needed most when much is broken.
"""

from __future__ import annotations

import io
import platform
import re
import stat
import tarfile
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import distributions
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup import __version__
from korrigo_backup.compose.access import ComposeAccess
from korrigo_backup.compose.project import PROGRAMS
from korrigo_backup.core.secret import Secret, redact
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.postgres.activity import activity
from korrigo_backup.run import journal
from korrigo_backup.setup.secret_values import secret_values
from korrigo_backup.system.files import FILE_MODE
from korrigo_backup.system.run import Command, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.compose.project import Project
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.run.failures import FailedCommand
    from korrigo_backup.site.site import Site

LOG_LINES = 50
"""Lines of each service's log (runbook 8.5)."""

NEWEST = 10
"""How many backups, and runs of the journal, are shown."""

JOURNAL_RECORDS = 200
"""How many runs of the journal are packed into an archive."""

_SECONDS = 30

_PLAIN = re.compile(
    r"(POSTGRES_(DB|USER|HOST|PORT)|BACKUP_DIR|BACKUP_RETENTION_DAYS|MEDIA_ROOT|DJANGO_(SETTINGS_MODULE|DEBUG|ENV)"
    r"|DEBUG|TZ|LANG|COMPOSE_(FILE|PROJECT_NAME|PROFILES)|KORRIGO_BACKUP_(SITE|ENVIRONMENT|REVISION|CLIENT_DIR|MANAGE))"
)
"""Variables whose values are shown; of all other relevant variables only that they are set."""

_OF_INTEREST = re.compile(
    r"(POSTGRES|DJANGO|KORRIGO|BACKUP|COMPOSE|REDIS|CELERY|MEDIA|DATABASE|EMAIL)_?\w*|DEBUG|TZ|LANG"
)


@dataclass(frozen=True)
class ReportSources:
    """The sources of the report; `build` returns the live site or raises, `checks` are the lines of `doctor`.

    `unread` is the reason for which the configuration cannot be used: the catalog is then that of the defaults, and the
    site is not known. `last` is the last command that failed in this directory.
    """

    catalog: Catalog
    build: Callable[[], Site]
    checks: Callable[[], Sequence[Finding]]
    environment: Mapping[str, str]
    secrets: tuple[Secret, ...]
    contacts: Sequence[str]
    now: datetime
    unread: str = ""
    last: FailedCommand | None = None


def report(sources: ReportSources) -> Iterator[str]:
    """Yield the lines of the report, every known secret taken out of them."""
    hidden = (*sources.secrets, *secret_values(sources.environment))
    for line in _lines(sources):
        yield redact(line, hidden)


def archive(sources: ReportSources) -> bytes:
    """Return a tar.gz file with the report, the journal, the findings and the names of the backups, without secrets.

    Every file in it is text in UTF-8, readable by its owner alone.
    """
    hidden = (*sources.secrets, *secret_values(sources.environment))
    texts = {
        "report.txt": "\n".join(_lines(sources)),
        "journal.jsonl": "\n".join(_guarded(lambda: _journal_lines(sources.catalog))),
        "doctor.json": "\n".join(_guarded(lambda: _findings(sources))),
        "versions.txt": "\n".join(_guarded(_packages)),
        "directory.txt": "\n".join(_guarded(lambda: _entries(sources.catalog))),
    }
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, text in texts.items():
            data = redact(f"{text}\n", hidden).encode(errors="backslashreplace")
            info = tarfile.TarInfo(f"korrigo-diagnostic/{name}")
            info.size, info.mode, info.mtime = len(data), FILE_MODE, int(sources.now.timestamp())
            tar.addfile(info, io.BytesIO(data))
    return packed.getvalue()


def _journal_lines(catalog: Catalog) -> Iterator[str]:
    for record in journal.read(catalog.directory)[-JOURNAL_RECORDS:]:
        yield msgspec.json.encode(record).decode()


def _findings(sources: ReportSources) -> list[str]:
    return [msgspec.json.format(msgspec.json.encode(sources.checks()), indent=2).decode()]


def _packages() -> list[str]:
    return sorted(f"{one.metadata['Name']} {one.version}" for one in distributions())


def _entries(catalog: Catalog) -> Iterator[str]:
    for path in sorted(catalog.directory.iterdir()):
        info = path.lstat()
        changed = datetime.fromtimestamp(info.st_mtime, UTC).isoformat(timespec="seconds")
        yield f"{stat.filemode(info.st_mode)} {info.st_uid}:{info.st_gid} {info.st_size:>15,} {changed} {path.name}"


def _lines(sources: ReportSources) -> Iterator[str]:
    yield "=== DIAGNOSTIC REPORT ==="
    yield f"Date: {sources.now.isoformat(timespec='seconds')}"
    if sources.unread:
        yield f"Configuration: cannot be used: {sources.unread}"
    if sources.last:
        one = sources.last
        yield f"Last failure here: {one.at.isoformat(timespec='seconds')} {one.verb} (exit {one.code}): {one.message}"
    for number, (title, part) in enumerate(_parts(sources), 1):
        yield ""
        yield f"{number}. {title}:"
        yield from (f"   {line}" for line in _guarded(part))


def _parts(sources: ReportSources) -> list[tuple[str, Callable[[], Iterable[str]]]]:
    return [
        ("Versions", lambda: _versions(sources)),
        ("Container status", lambda: _containers(sources.build())),
        ("Disk space", _disks),
        ("Database status", lambda: _database(sources.build())),
        (f"Recent logs (last {LOG_LINES} lines)", lambda: _logs(sources.build())),
        ("Environment variables (sanitized)", lambda: _variables(sources.environment)),
        ("Checks", lambda: [f"{one.level}: {one.message}{_hint(one.hint)}" for one in sources.checks()]),
        (f"Backups (newest {NEWEST})", lambda: _backups(sources.catalog)),
        (f"Journal (newest {NEWEST})", lambda: _runs(sources.catalog)),
        ("Contacts", lambda: sources.contacts or ["no contact is configured: set [[contacts.people]]"]),
        ("To be added by you", lambda: _ASKED),
    ]


_ASKED = (
    "- the problem, and when it began",
    "- the actions before it, step by step",
    "- the number of affected users, and the actions that fail for them",
)
"""Facts that the runbook (8.5) asks for besides this report, and that no machine knows."""


def _guarded(part: Callable[[], Iterable[str]]) -> Iterator[str]:
    try:
        yield from part()
    except (KorrigoBackupError, OSError) as problem:
        yield f"unknown: {problem}"


def _versions(sources: ReportSources) -> Iterator[str]:
    yield f"korrigo-backup {__version__}, Python {platform.python_version()}"
    yield f"{platform.platform()}"
    for argv in (("docker", "--version"), *((*program, "version") for program in PROGRAMS)):
        yield from _guarded(lambda argv=argv: [_first_line(argv, sources.environment)])  # type: ignore[misc]


def _first_line(argv: tuple[str, ...], environment: Mapping[str, str]) -> str:
    done = run(Command(argv, {"PATH": environment.get("PATH", "")}), timeout=_SECONDS)
    lines = (done.stdout.decode(errors="replace").strip() or done.stderr.strip() or "no output").splitlines()
    return f"{' '.join(argv)}: {lines[0]}"


def _containers(site: Site) -> Iterator[str]:
    project = _project(site)
    if project is None:
        yield "no Compose: the database is reached directly"
        return
    for one in project.containers():
        yield f"{one.service}: {one.status}{f', {one.health}' if one.health else ''}"


def _disks() -> list[str]:
    done = run(Command(("df", "-h")), timeout=_SECONDS)
    return done.stdout.decode(errors="replace").splitlines()


def _database(site: Site) -> Iterator[str]:
    found = activity(site.postgres)
    yield f"{site.postgres.access.description}: accepting connections"
    yield (
        f"PostgreSQL {found.version}, running since {found.started}{', recovering' if found.recovering else ''},"
        f" database {site.postgres.database} {found.size:,} bytes,"
        f" {len(found.connections) + 1} of {found.connections_allowed} connections"
    )
    for one in found.connections:
        blocked = f", blocked by {', '.join(map(str, one.blocked_by))}" if one.blocked_by else ""
        yield (
            f"connection {one.pid} {one.user} {one.application or '-'}: {one.state or '-'} {one.statement or '-'}"
            f" for {one.seconds or 0:g} s, waits for {one.waits or 'nothing'}{blocked}"
        )
    for table in found.tables:
        rows = "rows not counted yet" if table.rows < 0 else f"about {table.rows:,.0f} rows"
        yield f"table {table.name}: {table.bytes:,} bytes, {rows}"


def _logs(site: Site) -> Iterator[str]:
    project = _project(site)
    if project is None:
        yield "no Compose: see the services' own logs (journalctl -u …)"
        return
    for service in sorted({one.service for one in project.containers()}):
        yield f"--- {service}"
        done = project.call("logs", "--no-color", "--no-log-prefix", f"--tail={LOG_LINES}", service, timeout=_SECONDS)
        yield from (done.stdout.decode(errors="replace") + done.stderr).splitlines()


def _variables(environment: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(filter(_OF_INTEREST.fullmatch, environment)):
        shown = environment[name] if _PLAIN.fullmatch(name) else "***REDACTED***" if environment[name] else ""
        yield f"{name}={shown}"


def _backups(catalog: Catalog) -> Iterator[str]:
    for one in catalog.artifacts()[:NEWEST]:
        problem = f", {one.problem}" if one.problem else ""
        yield f"{one.created.isoformat(timespec='seconds')} {one.name} {one.size:,} bytes, {one.authenticity}{problem}"


def _runs(catalog: Catalog) -> Iterator[str]:
    for one in journal.read(catalog.directory)[-NEWEST:]:
        code = "" if one.exit_code is None else f" (exit {one.exit_code})"
        yield f"{one.started.isoformat(timespec='seconds')} {one.verb} {one.subject}: {one.outcome}{code} {one.message}"


def _hint(hint: str) -> str:
    return f" ({hint})" if hint else ""


def _project(site: Site) -> Project | None:
    access = site.postgres.access
    return access.project if isinstance(access, ComposeAccess) else None
