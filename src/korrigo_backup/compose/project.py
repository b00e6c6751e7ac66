"""A site on Docker Compose: the project is asked for its containers, and commands stream through them.

Facts that Compose knows are not guessed: containers, volumes and their mount points come from the project's own
containers. Works with `docker compose` (v2) and with `docker-compose` (v1), because only labels are read that both put
on their containers.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.compose.container import LABEL, decode_containers
from korrigo_backup.errors import Cause, NotFound, Unreachable, UsageError
from korrigo_backup.system.run import Command, Completed, describe_status, run, which

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from korrigo_backup.compose.container import Container
    from korrigo_backup.core.secret import Secret
COMPOSE_SECONDS = 120.0
"""Seconds for a question; an engine that needs longer is stuck."""

PULL_SECONDS = 3600.0
"""Seconds for a call that may fetch an image."""

PROGRAMS = (("docker", "compose"), ("docker-compose",))
"""In the order in which they are tried."""


@dataclass(frozen=True)
class Project:
    """A Compose project: how it is called. `environment` is the operator's, which Compose fills its file from."""

    program: tuple[str, ...]
    files: tuple[Path, ...]
    environment: Mapping[str, str | Secret] = field(repr=False)
    name: str | None = None
    env_file: Path | None = None
    profiles: tuple[str, ...] = ()
    started_from: Path | None = None
    """Another directory that the containers may have been made from."""
    known: dict[str, str] = field(default_factory=dict, compare=False, repr=False)
    """The container of each service that ran when the engine was asked last."""
    seen: list[Container] = field(default_factory=list, compare=False, repr=False)
    """The containers when the engine was asked last."""
    labels: set[str] = field(default_factory=set, compare=False, repr=False)
    """The name of the project on its containers' labels, once Compose has listed them."""

    @property
    def options(self) -> tuple[str, ...]:
        """The options that name this project."""
        words: list[str] = []
        for file in self.files:
            words += ["-f", str(file)]
        words += ["-p", self.name] if self.name else []
        words += ["--env-file", str(self.env_file)] if self.env_file else []
        for profile in self.profiles:
            words += ["--profile", profile]
        return tuple(words)

    @property
    def shown(self) -> str:
        """The command line as an operator would type it."""
        return " ".join((*self.program, *self.options))

    @property
    def place(self) -> str:
        """The project's name and the directory that its containers were made from; empty before they were asked."""
        return next((f" (project {one.project} in {one.directory})" for one in self.seen if one.directory), "")

    def command(self, *arguments: str) -> Command:
        """Return the call of Compose with `arguments`."""
        return Command((*self.program, *self.options, *arguments), self.environment)

    def exec(self, service: str, *arguments: str, settings: Mapping[str, str] | None = None) -> Command:
        """Return the command that runs `arguments` in the running container of a service, its pipes connected.

        Compose is asked once which container that is: `docker exec` starts in a third of the time of its own exec.
        Raises Unreachable when the service does not run, NotFound when there is none.
        """
        given = [word for name, value in (settings or {}).items() for word in ("-e", f"{name}={value}")]
        if service not in self.known and not self.container(service).running:
            hint = f"start it: {self.shown} up -d"
            raise Unreachable(f"the service {service} is not running", hint=hint, id_="container.stopped")
        return Command(("docker", "exec", "-i", *given, self.known[service], *arguments), self.environment)

    def one_off(self, service: str, *arguments: str, program: str | None = None) -> Command:
        """Return the command that runs `arguments` in a container of its own, also while the service is stopped.

        `program` takes the place of the image's entry point; without `program` the entry point runs the arguments. The
        image is that of the service's container: the files may name another image, if a variable was set in the
        deployment's shell.
        """
        instead = ("--entrypoint", program) if program else ()
        words = ("run", "--rm", "--no-deps", "-T", *instead, service, *arguments)
        return Command((*self.program, *self.options, *self._same_image(service), *words), self.environment)

    def _same_image(self, service: str) -> tuple[str, ...]:
        """Return the option that names a file in memory, with the image that the service's container has."""
        image = next((one.image for one in self.seen or self.containers() if one.service == service), "")
        if not image or not self.files:
            return ()
        return ("-f", _in_memory(f"services:\n  {service}:\n    image: {image}\n    pull_policy: never\n"))

    def call(self, *arguments: str, timeout: float = COMPOSE_SECONDS) -> Completed:
        """Run Compose; raises Unreachable with its words when it fails."""
        command = self.command(*arguments)
        done = run(command, timeout=timeout)
        if done.status:
            again = f"run it by hand: {self.shown} {' '.join(arguments)}"
            raise self.failure(done.stderr, done.status, " ".join(arguments[:3]), again)
        return done

    def containers(self) -> tuple[Container, ...]:
        """Return the project's containers, running or not; those of one-off runs are left out.

        Compose is asked once which these are. Later the engine is, by their label: it answers in a fifth of the time.
        """
        ids = self._ids()
        if not ids:
            return ()
        done = run(Command(("docker", "inspect", *ids), self.environment), timeout=COMPOSE_SECONDS)
        if done.status:
            raise self.failure(done.stderr, done.status, "inspect")
        present = decode_containers(done.stdout)
        self.known.update({one.service: one.id for one in reversed(present) if one.running})
        self.seen[:] = present
        self.labels.update(filter(None, (one.project for one in present)))
        return present

    def _ids(self) -> list[str]:
        if len(self.labels) != 1:
            return self.call("ps", "-a", "-q").stdout.decode().split()
        label = f"label={LABEL}project={next(iter(self.labels))}"
        done = run(
            Command(("docker", "ps", "-a", "-q", "--no-trunc", "--filter", label), self.environment),
            timeout=COMPOSE_SECONDS,
        )
        if done.status:
            raise self.failure(done.stderr, done.status, "ps")
        return done.stdout.decode().split()

    def container(self, service: str) -> Container:
        """Return the container of a service, a running one if it has several.

        NotFound, with the services that exist, if none.
        """
        present = self.containers()
        own = sorted((one for one in present if one.service == service), key=lambda one: not one.running)
        if own:
            return own[0]
        there = ", ".join(sorted({one.service for one in present})) or "none"
        raise NotFound(
            f"the project has no container of the service {service} (there are: {there})",
            hint=self._namesakes(present) or f"{self.shown} up -d {service}; or correct [compose] in the configuration",
            id_="container.absent",
        )

    def _namesakes(self, present: Sequence[Container]) -> str | None:
        """Return the hint for a project without a container whose files run under other names, None for others."""
        if present or not (names := running_under(self)):
            return None
        return f'these files run as the project {", ".join(names)}: set [compose] project = "{names[0]}"'

    def make_container(self, service: str) -> None:
        """Make the container of a service, its volumes and networks, without starting any; raises Unreachable."""
        self.call("up", "--no-start", "--no-deps", service, timeout=PULL_SECONDS)

    def is_running(self, service: str) -> bool:
        """Return whether a service runs."""
        if service in self.known:
            asked = Command(
                ("docker", "inspect", "--format", "{{.State.Running}}", self.known[service]), self.environment
            )
            done = run(asked, timeout=COMPOSE_SECONDS)
            if done.status == 0:
                return done.stdout.strip() == b"true"
            del self.known[service]
        return any(one.running for one in self.containers() if one.service == service)

    def failure(self, stderr: str, status: int, what: str, hint: str = "") -> Unreachable:
        """Return the error for a call of Compose that failed; `hint` is that for a cause that is not known."""
        lines = [line for line in stderr.splitlines() if line.strip() and "level=warning" not in line]
        refusals = [line for line in lines if line.startswith("Error response from daemon")]  # a summary follows it
        words = (refusals or lines or [describe_status(status)])[-1]
        cause = engine_cause(stderr, self.shown) or Cause("", hint or f"run it by hand: {self.shown} ps")
        return Unreachable(f"{' '.join(self.program)} {what}: {words}", hint=cause.hint, id_=cause.id)


def find_program(environment: Mapping[str, str | Secret]) -> tuple[str, ...]:
    """Return how Compose is called on this machine: v2 before v1; UsageError when there is neither.

    The plugin is looked for where docker does. The programs are run only where it is not found there, and where docker
    is a script: that may stand for another program, which looks elsewhere.
    """
    docker = which("docker")
    has_plugin = any(os.access(place / "docker-compose", os.X_OK) for place in _plugins(environment))
    if docker and has_plugin and not _is_script(docker):
        return PROGRAMS[0]
    for program in PROGRAMS:
        if which(program[0]) and run(Command((*program, "version"), environment), timeout=COMPOSE_SECONDS).status == 0:
            return program
    raise UsageError(
        "there is neither docker compose nor docker-compose on this machine",
        hint="install Docker with its Compose plugin (docker-compose-plugin),"
        " or set POSTGRES_HOST to reach the database directly",
        id_="compose.absent",
    )


def running_under(project: Project) -> tuple[str, ...]:
    """Return the names of the projects whose containers were made from the first file of this project."""
    if not project.files:
        return ()
    label = f'{{{{.Label "{LABEL}project"}}}}\t{{{{.Label "{LABEL}project.config_files"}}}}'
    done = run(Command(("docker", "ps", "-a", "--format", label), project.environment), timeout=COMPOSE_SECONDS)
    own = os.path.realpath(project.files[0])
    pairs = (line.split("\t", 1) for line in done.stdout.decode(errors="replace").splitlines() if "\t" in line)
    return tuple(sorted({name for name, files in pairs if own in map(os.path.realpath, files.split(","))}))


def _is_script(program: str) -> bool:
    try:
        with Path(program).open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return True  # it cannot be looked into, so it is run


def _plugins(environment: Mapping[str, str | Secret]) -> Iterator[Path]:
    own = environment.get("DOCKER_CONFIG") or f"{environment.get('HOME') or Path.home()}/.docker"
    yield Path(str(own)) / "cli-plugins"
    for place in ("/usr/local/lib", "/usr/local/libexec", "/usr/lib", "/usr/libexec"):
        yield Path(place) / "docker" / "cli-plugins"


_CAUSES = (
    ("is not running", Cause("container.stopped", "start it: {shown} up -d")),
    ("o such container", Cause("container.absent", "the container was replaced during the run: run the command again")),
    (
        "o such service",
        Cause(
            "compose.service",
            "correct the names in [compose] of the configuration; {shown} config --services lists them",
        ),
    ),
    ("annot connect to the Docker daemon", Cause("docker.stopped", "start the engine: systemctl start docker")),
    (
        "permission denied while trying to connect",
        Cause("docker.permission", "run as root or as a user in the group docker"),
    ),
    (
        "no such file or directory",
        Cause("compose.file", "run it from the project's root, or set [compose] files in the configuration"),
    ),
    ("is missing a value", Cause("settings.missing", "put the variable into .env")),
)


def engine_cause(stderr: str, shown: str) -> Cause | None:
    """Return the cause of an error of Compose or of the engine, None for an unknown error.

    Both end with status 1 or 125 whatever failed, so that the words alone give the cause.
    """
    found = next((cause for words, cause in _CAUSES if words in stderr), None)
    return Cause(found.id, found.hint.format(shown=shown)) if found else None


@cache
def _in_memory(text: str) -> str:
    """Return the path of a file with this text, in UTF-8; it is there as long as this process, on Linux."""
    descriptor = os.memfd_create("korrigo-backup")
    os.write(descriptor, text.encode())
    return f"/proc/{os.getpid()}/fd/{descriptor}"


@contextmanager
def file_in_memory(text: str) -> Iterator[Path]:
    """Yield the path of a file with this text, in UTF-8, on Linux; no disk ever holds it."""
    with os.fdopen(os.memfd_create("korrigo-backup"), "wb") as file:
        file.write(text.encode())
        file.flush()
        yield Path(f"/proc/{os.getpid()}/fd/{file.fileno()}")
