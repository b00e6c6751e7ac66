"""The conditions of a backup run: the machine, the engine, the services, the database, the media, the disk.

Each part returns findings and does not raise for a fault that a person can mend; it changes no data (contract C4, B6).

One file: a list of conditions, each a short function.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact import naming
from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.naming import LATEST_SQL, PARTIAL_PREFIX
from korrigo_backup.backup.backup import SPACE_FACTOR
from korrigo_backup.compose.access import ComposeAccess
from korrigo_backup.compose.elsewhere import elsewhere
from korrigo_backup.compose.machine_needs import machine_findings
from korrigo_backup.compose.project import COMPOSE_SECONDS, PROGRAMS, engine_cause
from korrigo_backup.config.load import DOTENV, OWN_DOTENV, own_variables
from korrigo_backup.core.dotenv import described
from korrigo_backup.core.finding import Finding, Level, error, ok, warning
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.media.findings import MOUNTS_HINT, mounts_inside
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.property_differences import GRANT_SET, lost_by_swap
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.restore.needs import site_needs
from korrigo_backup.site.health import health_findings
from korrigo_backup.site.site import is_large
from korrigo_backup.system.abilities import try_out
from korrigo_backup.system.files import explained, free_bytes
from korrigo_backup.system.run import Command, run, which
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from korrigo_backup.compose.container import Container
    from korrigo_backup.core.dotenv import Problem
    from korrigo_backup.core.secret import Secret
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.site.site import Site

PYTHON = (3, 11)
DOCKER = (24, 0)
COMPOSE = (2, 20)
"""The oldest versions (runbook 2.2). Older versions of Docker and Compose may work, so they are a warning."""

SERVERS = range(13, 19)
"""The versions of PostgreSQL that the tests restore from and into."""

SAFE_CLIENTS = {18: 6, 17: 11, 16: 15, 15: 19, 14: 24}
"""The first minor release of each major version whose psql no dump is known to take over (postgresql.org, security)."""

_OTHERS = 0o077
"""Rights of group and others."""


@dataclass(frozen=True)
class PreflightFacts:
    """The surroundings of the site: `composed` is how it is reached, `environment` that of its programs.

    `dotenv` are the lines of `.env` that set no value. `least` returns how many bytes must be free for a backup to
    begin, given the sizes of the database and the media. `require_key` raises Refused if the backups there are signed
    with a key that is not here.
    """

    composed: bool
    environment: Mapping[str, str | Secret]
    backups: Path
    key_file: Path
    least: Callable[..., int]
    require_key: Callable[[], None]
    directory: Path = Path()
    dotenv: tuple[Problem, ...] = ()


@dataclass(frozen=True)
class Looked:
    """The findings about a part that takes room in a backup, and its size in bytes."""

    findings: tuple[Finding, ...]
    bytes: int = 0


@phase("checks")
def preflight(build: Callable[[], Site], around: PreflightFacts) -> list[Finding]:
    """Return the findings of every part, even if a part fails; `build` returns the live site, or raises."""
    findings = [*machine(), *(engine(around.environment) if around.composed else ())]
    findings += guarded(error("env.file", ""), partial(settings, around.directory, around.dotenv))
    findings += guarded(error("key.file", ""), partial(key_file, around.key_file, around.require_key))
    parts: list[Looked] = []
    try:
        site = build()
    except KorrigoBackupError as problem:
        findings.append(error("site.unreachable", problem.message, problem.hint))
    else:
        findings += guarded(error("services.running", ""), partial(services, site))
        parts.append(_looked(error("database.reachable", ""), partial(database, site.postgres)))
        parts.append(_looked(error("media.readable", ""), partial(media, site)))
    findings += [finding for part in parts for finding in part.findings]
    sizes = [part.bytes for part in parts]
    room = partial(storage, around.backups, sum(sizes), least=partial(around.least, *sizes))
    return [*findings, *guarded(error("backup.directory", ""), room)]


def machine() -> Iterator[Finding]:
    """Return whether Python is new enough."""
    found = sys.version_info[:2]
    version = f"Python {found[0]}.{found[1]}"
    if found >= PYTHON:
        yield ok("python.version", version)
    else:
        yield error("python.version", f"{version} is too old", f"install Python {_dotted(PYTHON)} or newer")


def engine(environment: Mapping[str, str | Secret]) -> Iterator[Finding]:
    """Return whether Docker and Compose are there, answer, and are new enough."""
    docker = ("docker", "version", "--format", "{{.Server.Version}}")
    failed = error("docker.version", "")
    yield from guarded(failed, partial(_program, failed.id, "Docker", docker, DOCKER, environment))
    failed = error("compose.version", "")
    for program in PROGRAMS:
        asked = (*program, "version", "--short")
        found = guarded(failed, partial(_program, failed.id, "Compose", asked, COMPOSE, environment))
        if found[0].level is not Level.ERROR or program == PROGRAMS[-1]:
            yield from found
            return


def _program(
    id_: str, name: str, argv: tuple[str, ...], oldest: tuple[int, int], environment: Mapping[str, str | Secret]
) -> Iterable[Finding]:
    done = run(Command(argv, environment), timeout=COMPOSE_SECONDS)
    version = version_in(done.stdout.decode(errors="replace"))
    if done.status or version is None:
        words = (done.stderr.splitlines() or ["no output"])[-1]
        cause = engine_cause(done.stderr, "docker compose")
        hint = cause.hint if cause else f"run it by hand: {' '.join(argv[:-1])}"
        return [error(id_, f"{name} does not answer: {words}", hint)]
    return [judged(id_, name, version, oldest)]


def judged(id_: str, name: str, version: tuple[int, int], oldest: tuple[int, int]) -> Finding:
    """Return the finding about a program's version."""
    if version >= oldest:
        return ok(id_, f"{name} {_dotted(version)}")
    return warning(id_, f"{name} {_dotted(version)} is older than {_dotted(oldest)}", "update it")


def version_in(text: str) -> tuple[int, int] | None:
    """Return the first `major.minor` in a text; a version to come has no minor number (`18beta1`)."""
    found = re.search(r"(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2] or 0)) if found else None


def services(site: Site) -> Iterator[Finding]:
    """Return whether the services run, and that no interrupted run has left them stopped."""
    if site.left_stopped:
        yield error("services.stopped", "an interrupted run has stopped the services",
                    "korrigo-backup rollback finishes it and starts them")  # fmt: skip
    access = site.postgres.access
    if isinstance(access, ComposeAccess):
        project = access.project
        present = project.containers()
        yield running(present, access.service, project.shown)
        yield from elsewhere(site)
        yield from machine_findings(project, present)
        health = site.services.look()
        yield from health_findings(health, known=site.services.health_known)
        if health.url:
            yield ok("services.health", f"{health.url} answers: a restore waits for it")
    elif not site.services.configured:
        yield warning("services.unknown", "no command is configured that stops the services during a restore",
                      'set [services] stop and start: stop = [["systemctl", "stop", "gunicorn"]]')  # fmt: skip


def running(found: Sequence[Container], database: str, shown: str) -> Finding:
    """Return whether the containers of a project run; without its database there are no data to back up.

    `shown` is the Compose command, for the hint.
    """
    bad = {one.service: one.status for one in found if not one.running}
    bad |= {one.service: "unhealthy" for one in found if one.running and one.health == "unhealthy"}
    if not found or database in bad or database not in {one.service for one in found}:
        return error("services.running", f"the service {database} does not run", f"{shown} up -d {database}")
    if bad:
        states = ", ".join(f"{name} ({state})" for name, state in sorted(bad.items()))
        return warning("services.running", f"not running: {states}", f"{shown} up -d")
    return ok("services.running", f"services running: {', '.join(sorted(one.service for one in found))}")


def database(server: Postgres) -> Looked:
    """Return the findings about the database: that it answers, versions, rights."""
    version = server.version()
    size = Databases(server).size(server.database)
    message = f"database {server.database} answers, PostgreSQL {version}, {size:,} bytes"
    return Looked(
        (ok("database.reachable", message), *_versions(server, version), _createdb(server), *_needs(server)), size
    )


def _versions(server: Postgres, version: int) -> Iterator[Finding]:
    if version not in SERVERS:
        yield warning("database.version", f"PostgreSQL {version} is not tested: {SERVERS[0]} to {SERVERS[-1]} are",
                      "look for a newer version of korrigo-backup")  # fmt: skip
    for program in ("pg_dump", "psql"):
        asked = server.access.postgres(program, "--version", database=server.maintenance)
        client = version_in(run(asked, timeout=COMPOSE_SECONDS).stdout.decode(errors="replace"))
        if client is None or client[0] < version:
            older = _dotted(client) if client else "of an unknown version"
            yield error("database.clients", f"{program} {older} is older than the server, {version}",
                        "install the server's clients, and name their directory in [database] client_dir")  # fmt: skip
        else:
            yield ok("database.clients", f"{program} {_dotted(client)}")
            yield from _holes(client) if program == "psql" else ()


def _holes(client: tuple[int, int]) -> Iterator[Finding]:
    """Warn of a client that a hostile dump or server is known to take over (PROMISES: facts on psql)."""
    safe = SAFE_CLIENTS.get(client[0])
    if client < (min(SAFE_CLIENTS), 0) or (safe is not None and client[1] < safe):
        to = f"{client[0]}.{safe}" if safe else f"{min(SAFE_CLIENTS)} or newer"
        yield warning("database.holes", f"psql {_dotted(client)} has known holes (CVE-2026-18408, CVE-2025-8714):"
                      " a hostile dump could run commands", f"update it to {to}; until then restore only"
                      " backups signed with this site's key")  # fmt: skip


def _needs(server: Postgres) -> Iterator[Finding]:
    staged = naming.stage_database(server.database, naming.stamp(local_now()))
    yield from site_needs(server, staged)
    for one in lost_by_swap(server):
        yield warning("database.settings", f"a staged database cannot be given {one.property}: {one.reason}",
                      f"a restore of the database alone is then made in place; or {GRANT_SET}")  # fmt: skip


def _createdb(server: Postgres) -> Finding:
    role = Databases(server).role()
    if role.superuser or role.createdb:
        return ok("role.createdb", f"the role {role.name} may create the database that a restore loads into")
    left = "only restore --in-place works" if Databases(server).owns(server.database) else "a restore has no place"
    return warning("role.createdb", f"the role {role.name} may not create databases: {left}",
                   f"ALTER ROLE {identifier(role.name)} CREATEDB")  # fmt: skip


def media(site: Site) -> Looked:
    """Return whether the media tree is there and can be read."""
    if site.media is None:
        return Looked((warning("media.readable", "no media directory is known: only the database is backed up",
                               "set MEDIA_ROOT, or [media] root"),))  # fmt: skip
    site.media.require()
    files = size = 0
    with explained(f"read the media in {site.media.root}"):
        for entry in site.media.walk():
            files += entry.is_file
            size += entry.info.st_size if entry.is_file else 0
    found = [ok("media.readable", f"media in {site.media.root}: {files:,} files, {size:,} bytes")]
    found += _way_of_saving(site, files, size)
    if mounts := site.media.facts().live_mounts:
        found.append(warning("media.mounts", mounts_inside(mounts), MOUNTS_HINT))
    return Looked(tuple(found), size)


def _way_of_saving(site: Site, files: int, size: int) -> Iterator[Finding]:
    """Say how a large media tree is saved; a small one is an archive, as in the runbook."""
    if site.store.takes(files, size):
        reason = "" if site.store.use else ", because the tree is large"
        yield ok("media.store", f"media backups are listings, each file is stored once (media store{reason})")
    elif is_large(files, size):
        yield warning("media.store", "[media] store = false: each media backup is an archive of the whole tree",
                      "set [media] store = true: a night then saves new files alone")  # fmt: skip


def storage(directory: Path, needed: int, *, least: Callable[[], int] = int) -> Iterator[Finding]:
    """Return whether backups can be written, are private, and have room: twice the data, `needed` bytes.

    With fewer free bytes than `least` returns, a backup refuses to begin.
    """
    place = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    if not place.is_dir():
        yield error("backup.directory", f"{place} is a file, not a directory", "set BACKUP_DIR to a directory")
        return
    if not os.access(place, os.W_OK | os.X_OK):
        yield error("backup.directory", f"{place} cannot be written by this user", "change its owner, or BACKUP_DIR")
        return
    yield ok("backup.directory", f"backups go to {directory}{'' if place == directory.absolute() else ' (to be made)'}")
    if directory.is_dir() and (mode := stat.S_IMODE(directory.stat().st_mode)) & _OTHERS:
        yield warning("backup.mode", f"others may look into {directory} (mode {mode:o})", f"chmod 700 {directory}")
    if directory.is_dir():
        yield from abilities(directory)
    free, wanted = free_bytes(place), SPACE_FACTOR * needed
    if free < (must := least()):
        yield error("backup.space", f"{free:,} bytes free for backups: none is begun with less than {must:,}",
                    "make room, or name a larger disk in BACKUP_DIR")  # fmt: skip
    elif free < wanted:
        yield warning("backup.space", f"{free:,} bytes free for backups, less than twice the data ({wanted:,})",
                      "make room, or name a larger disk in BACKUP_DIR")  # fmt: skip
    else:
        yield ok("backup.space", f"{free:,} bytes free for backups, twice the data is {wanted:,}")


def abilities(directory: Path) -> Iterator[Finding]:
    """Publish a file in the backup directory and return the features of backups that its file system lacks."""
    found = try_out(directory, f"{PARTIAL_PREFIX}doctor-{os.getpid()}")
    if not found.modes:
        words = f"the file system of {directory} keeps no modes: every user that can enter it can read the backups"
        yield warning("backup.modes", words,
                      "mount it with umask=077 and the user's uid, or use another disk")  # fmt: skip
    links = {"hard links": found.hard_links, "symbolic links": found.symbolic_links}
    lacking = " and no ".join(name for name, there in links.items() if not there)
    latest = "" if found.symbolic_links else f"; there is no {LATEST_SQL}, the name latest works"
    text = f"has no {lacking}: backups are published by rename{latest}" if lacking else "has hard and symbolic links"
    yield ok("backup.links", f"{directory} {text}")


def settings(directory: Path, problems: Iterable[Problem] = ()) -> Iterator[Finding]:
    """Return whether the files of settings are private, kept out of git (runbook 3.3), and read in all their lines."""
    site, own = directory / DOTENV, directory / OWN_DOTENV
    yield from (described(problem, f"{directory}/") for problem in problems)
    if not site.is_file() and not own.is_file():
        yield warning("env.file", f"there is no {site}", "set the variables of the site there, or in the environment")
        return
    for path in (path for path in (site, own) if path.is_file()):
        yield _private(path)
        if (directory / ".git").exists() and which("git"):
            tracked = run(Command(("git", "-C", str(directory), "ls-files", "--error-unmatch", path.name)), timeout=10)
            if tracked.status == 0:
                yield error("env.tracked", f"{path.name} is in git: every copy of the code holds the secrets",
                            f"git rm --cached {path.name}, add it to .gitignore, change the secrets")  # fmt: skip
    if site.is_file() and own.is_file():
        theirs, ours = own_variables(site), own_variables(own)
        if differing := sorted(name for name in theirs.keys() & ours.keys() if theirs[name] != ours[name]):
            words = f"{OWN_DOTENV} wins over {DOTENV}, which sets otherwise: {', '.join(differing)}"
            yield warning("env.differs", words, f"remove them from {DOTENV}")


def _private(path: Path) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _OTHERS:
        return warning("env.file", f"others may read {path} (mode {mode:o})", f"chmod 600 {path}")
    return ok("env.file", f"{path} is private (mode {mode:o})")


def key_file(path: Path, require: Callable[[], None]) -> Iterator[Finding]:
    """Return whether the key that signs backups is there; without it the first backup makes it.

    `require` raises Refused where the backups there are signed with another key.
    """
    require()
    if path.is_file():
        yield ok("key.file", f"the signing key is {path}: keep a copy elsewhere")
    else:
        yield warning("key.file", f"there is no signing key {path} yet", "the first backup makes it")


def guarded(otherwise: Finding, check: Callable[[], Iterable[Finding]]) -> list[Finding]:
    """Return the findings of a check, or `otherwise` with the message of the error that stopped it."""
    try:
        with explained("look"):
            return list(check())
    except KorrigoBackupError as problem:
        return [replace(otherwise, message=problem.message, hint=problem.hint)]


def _looked(otherwise: Finding, check: Callable[[], Looked]) -> Looked:
    try:
        return check()
    except KorrigoBackupError as problem:
        return Looked((replace(otherwise, message=problem.message, hint=problem.hint),))


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"
