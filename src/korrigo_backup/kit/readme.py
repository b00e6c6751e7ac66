"""The README of a recovery kit: the commands that bring this site back on a bare server, with its own values."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.kit.model import KitFile, KitLink

DOCKER = "24"
COMPOSE = "2.20"
"""The oldest versions (runbook 2.2)."""


_RESTORED = (
    "korrigo-backup show latest              # its revision of the code: git checkout it",
    "korrigo-backup rebuild                  # a restore point brings the media, too",
    "korrigo-backup restore latest-media     # if it was a database alone",
)
_SCHEDULED = "korrigo-backup schedule install         # from now on every night again"


@dataclass(frozen=True)
class Needs:
    """The needs of a Compose project's containers on their machine, besides the files of the kit.

    `networks` and `volumes` must exist before the first start: each is the words after `docker network create` and
    `docker volume create`. `directories` are mounted and not in the kit; `left_out` are those of them, and the files,
    that the services only read: their content has to come from elsewhere. `variables` were set in no file, and select
    the images that ran; `images` are these, by service.
    """

    networks: tuple[tuple[str, ...], ...] = ()
    volumes: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    registries: tuple[str, ...] = ()
    variables: tuple[tuple[str, str], ...] = ()
    images: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TargetFacts:
    """A target that the backups can be fetched from; `tools` are commands that make it reachable, as comments."""

    name: str
    sealed: bool
    tools: tuple[str, ...] = ()


@dataclass(frozen=True)
class ReadmeFacts:
    """The values for the commands. No secret is among them.

    `compose` is the Compose command for this site, None for a site reached directly; then `database` and `user` have to
    be made. `service` is that of the database in the Compose project. `roles` are the statements that make the other
    roles of the database, without passwords. `remote` is where the code is cloned from, `outside` the variables that
    were set outside the files. `requirement` is pip's argument; `origin` is the file or directory it names, if that has
    to be brought. Paths are absolute.
    """

    site: str
    environment: str
    directory: str
    requirement: str
    backups: str
    database: str
    user: str
    server: str | None = None
    compose: tuple[str, ...] | None = None
    media: str | None = None
    remote: str | None = None
    outside: tuple[str, ...] = ()
    origin: str | None = None
    roles: tuple[str, ...] = ()
    service: str = "db"
    needs: Needs = Needs()
    targets: tuple[TargetFacts, ...] = ()


def readme(facts: ReadmeFacts, files: Iterable[KitFile], links: Iterable[KitLink] = ()) -> str:
    """Return the text, Markdown; equal facts give equal text, so that it does not make a kit look changed."""
    return "\n".join(_lines(facts, files, links)) + "\n"


def _lines(facts: ReadmeFacts, files: Iterable[KitFile], links: Iterable[KitLink]) -> Iterator[str]:
    yield f"# {facts.site} ({facts.environment}) on a bare server"
    yield ""
    yield "Every other file in this directory is secret: delete the directory when the site is back."
    if facts.outside:
        yield ""
        yield (
            f"Not in this kit, because they were set in the environment and not in a file: {', '.join(facts.outside)}."
            " Set them again first."
        )
    yield from _section("1. The machine", _machine(facts))
    yield from _section("2. The code of the site", [_code(facts)])
    yield from _section("3. The files of this kit, from the directory it was opened in", _placed(facts, files, links))
    yield from _section("4. korrigo-backup", _command(facts))
    yield from _section("5. The backups: bring them from where you keep the copies", _backups(facts))
    if facts.compose is None:
        yield from _section("6. The site, empty", _site(facts))
        yield from _section("7. Its data, from the newest backup that is good", _data(facts))
        return
    yield from _section("6. The needs of the containers on this machine", _needs(facts.needs))
    yield from _section("7. The database, empty, and its data from the newest backup that is good", _filled(facts))
    yield from _section("8. The site", _served(facts.compose))


def _section(title: str, commands: Iterable[str]) -> Iterator[str]:
    yield from ("", f"## {title}", "", "```sh", *commands, "```")


def _machine(facts: ReadmeFacts) -> Iterator[str]:
    yield "apt-get update && apt-get install -y ca-certificates curl git python3 python3-venv rsync"
    if facts.compose is not None:
        yield f"curl -fsSL https://get.docker.com | sh    # Docker {DOCKER} and Compose {COMPOSE}, or newer"


def _code(facts: ReadmeFacts) -> str:
    if facts.remote:
        return shlex.join(("git", "clone", facts.remote, facts.directory))
    return f"mkdir -p {shlex.quote(facts.directory)}    # and put the site's code there"


def _placed(facts: ReadmeFacts, files: Iterable[KitFile], links: Iterable[KitLink]) -> Iterator[str]:
    for file in files:
        yield shlex.join(("install", "-D", "-m", f"{file.mode:03o}", file.name, _absolute(facts, file.path)))
    for link in links:
        yield shlex.join(("ln", "-s", "-f", "-r", _absolute(facts, link.to), _absolute(facts, link.path)))


def _absolute(facts: ReadmeFacts, path: str) -> str:
    return path if path.startswith("/") else f"{facts.directory}/{path}"


def _command(facts: ReadmeFacts) -> Iterator[str]:
    yield "python3 -m venv ~/korrigo-backup"
    if facts.origin:
        yield f"# no index has it: bring {facts.origin} of the former machine here first, or its wheel (make dist)"
    yield f"~/korrigo-backup/bin/pip install {shlex.quote(facts.requirement)}"
    yield "export PATH=~/korrigo-backup/bin:$PATH"


def _backups(facts: ReadmeFacts) -> Iterator[str]:
    backups = shlex.quote(facts.backups)
    yield f"install -d -m 700 {backups}"
    by_hand = f"rsync -a COPIES/ {backups}/    # COPIES: a disk, or host:directory"
    if not facts.targets:
        yield by_hand
        return
    yield f"cd {shlex.quote(facts.directory)}"
    for target in facts.targets:
        yield from (f"# {target.name}: {tool}" for tool in target.tools)
        alternative = "" if target is facts.targets[0] else "# or: "
        key = " --identity KEY" if target.sealed else ""
        fetch = f"{alternative}korrigo-backup fetch {target.name}"
        yield f"{fetch} latest{key}    # {'KEY: the file of the private key that opened this kit' if key else 'a dump'}"
        yield f"{fetch} latest-point{key}    # the newest database and media together; exit 6: there is none"
    yield f"# or: {by_hand}"


def _needs(needs: Needs) -> Iterator[str]:
    """Yield the commands for objects that Compose expects; the engine makes a directory of a file that is missing."""
    for path in needs.directories:
        yield shlex.join(("mkdir", "-p", path))
    for path in needs.left_out:
        yield f"ls -d {shlex.quote(path)}    # not in this kit: bring it from the former machine, or from its backup"
    for words in needs.networks:
        made = shlex.join(("docker", "network", "create", *words))
        yield f"docker network inspect {shlex.quote(words[-1])} > /dev/null || {made}"
    for name in needs.volumes:
        yield f"{shlex.join(('docker', 'volume', 'create', name))}    # its content is in no backup of this program"
    for name in needs.registries:
        yield shlex.join(("docker", "login", name))
    for name, value in needs.variables:
        yield f"export {name}={shlex.quote(value)}    # names the image that ran; put it into .env, too"
    for service, image in needs.images:
        yield f"# {service} ran {image}"


def _filled(facts: ReadmeFacts) -> Iterator[str]:
    compose = facts.compose or ()
    yield shlex.join(("cd", facts.directory))
    yield shlex.join((*compose, "up", "-d", "--wait", facts.service))
    yield from _roles(facts, (*compose, "exec", "-T", facts.service, "psql", "-U", facts.user, "-d", "postgres"))
    yield from _RESTORED


def _served(compose: tuple[str, ...]) -> Iterator[str]:
    yield f"{shlex.join(compose)} up -d --build --wait"
    yield "korrigo-backup validate"
    yield _SCHEDULED


def _site(facts: ReadmeFacts) -> Iterator[str]:
    yield shlex.join(("cd", facts.directory))
    yield f"# PostgreSQL at {facts.server}; the password of the role is POSTGRES_PASSWORD"
    yield f"sudo -u postgres createuser --createdb --pwprompt {shlex.quote(facts.user)}"
    yield from _roles(facts, ("sudo", "-u", "postgres", "psql", "-d", "postgres"))
    if facts.media:
        yield shlex.join(("mkdir", "-p", facts.media))


def _roles(facts: ReadmeFacts, psql: tuple[str, ...]) -> Iterator[str]:
    """Yield the commands that make the roles which own objects of the database or have rights in it."""
    if facts.roles:
        yield "# passwords are in no backup: give each of these roles that logs in its own, with ALTER ROLE … PASSWORD"
    yield from (shlex.join((*psql, "-c", statement)) for statement in facts.roles)


def _data(facts: ReadmeFacts) -> Iterator[str]:
    yield shlex.join(("cd", facts.directory))
    yield from _RESTORED
    yield "korrigo-backup validate"
    yield _SCHEDULED
