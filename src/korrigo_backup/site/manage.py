"""The site's own Django, spoken to through its management commands: the port, and a command on this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from korrigo_backup.core.secret import Secret
from korrigo_backup.core.site_description import Description
from korrigo_backup.errors import (
    KorrigoBackupError,
    Locked,
    NotConfigured,
    NotFound,
    PartlyDone,
    ProofFailed,
    Refused,
    Unreachable,
    split_hint,
)
from korrigo_backup.system.progress import Work, under_way
from korrigo_backup.system.run import Command, Completed, describe_status, ended_after, run, spawn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from korrigo_backup.site.served import Served

T = TypeVar("T")

APP = "korrigo_backup.djangoapp"
"""The name of our app in the site's settings."""

DESCRIBE = "korrigo_describe"
PROBE = "korrigo_probe"

COMMAND_SECONDS = 180.0
"""A site imports all its code before a command runs: seconds, on a busy machine many; more means it is stuck."""

WORK_SECONDS = 4 * 3600.0
"""A migration of a large table takes its time; more than a night's work means that it waits for something."""

BACKUP = ("backup",)
WITH_MEDIA = "--include-media"
RESTORE = ("restore", "-")

MADE = (0, PartlyDone.exit_code)
"""Statuses of a backup that is there: whole, or but for files that changed while they were read."""

_ANSWERED = (0, ProofFailed.exit_code)
"""Statuses of a command that printed its document: all is well, or something in it is not."""

_NOT_STARTED = (126, 127)
"""Statuses of a program that was not started: it is not there, or its container ended at that moment."""

_NOT_THERE = re.compile(r'exec: "|chdir to cwd|: not found$|[Nn]o such file|[Pp]ermission denied')
"""The words of an engine, a shell or `env` for a program, a file or a directory that is not there."""

_NO_FILE = 2
"""Python's status when there is no file to run."""

_SECRET_NAME = re.compile(r"PASS|SECRET|TOKEN|KEY|CREDENTIAL|DSN|_URL$", re.IGNORECASE)


class DjangoCommands(Protocol):
    """Runs a management command of the site, wherever its code lives."""

    @property
    def description(self) -> str:
        """Return how the command is run, in words for a message."""
        ...

    def ask(self, command: str, answer: type[T], *options: str) -> T:
        """Run a management command and return the JSON document on the last line of its output, as `answer`.

        Raises UsageError when the program is not there, NotConfigured when the site does not have the command,
        Unreachable when its database does not answer it, KorrigoBackupError with the command's own words.
        """
        ...

    def carry_out(self, *command: str) -> None:
        """Run a management command with its arguments to its end; raises as `ask` if it fails."""
        ...

    def bring_out(self, target: Path, *options: str) -> None:
        """Run `manage.py backup` with `options`, and put the directory that it makes into `target`.

        No copy of it stays anywhere else. Raises as `ask`, ProofFailed if the output is cut or malformed.
        """
        ...

    def take_in(self, served: Served, *options: str) -> None:
        """Run `manage.py restore -` with `options`, and answer its requests for the files of a backup until it ends.

        The backup is not copied to where it runs. Raises as `ask`; the class of an error is that of its exit code.
        """
        ...


def require_own_commands(django: DjangoCommands) -> Description:
    """Return what the site's Django says of itself.

    Raises Refused when `manage.py backup` or `restore` of the site is another app's, before either is run.
    """
    described = django.ask(DESCRIBE, Description)
    theirs = {name: app for name, app in described.commands.items() if app != APP}
    if theirs:
        named = ", ".join(f"manage.py {name} is that of {app}" for name, app in sorted(theirs.items()))
        raise Refused(
            f"the site's own commands stand before ours: {named}",
            hint=f'put "{APP}" first in INSTALLED_APPS: Django runs the command of the first app that has it',
        )
    return described


@dataclass(frozen=True)
class DirectDjango:
    """`manage.py` on this machine. `environment` is all that the child sees."""

    manage: tuple[str, ...]
    directory: Path | None
    environment: Mapping[str, str | Secret]

    @property
    def description(self) -> str:
        """Return the command line."""
        return " ".join(self.manage)

    def ask(self, command: str, answer: type[T], *options: str) -> T:
        """Run the command with the site's environment; see the port."""
        done = run(
            Command((*self.manage, command, *options), self.environment, self.directory), timeout=COMMAND_SECONDS
        )
        return understood(done, f"{self.description} {command}", answer)

    def carry_out(self, *command: str) -> None:
        """Run the command with the site's environment; see the port."""
        with under_way(Work(name=f"running manage.py {command[0]}")):
            done = run(Command((*self.manage, *command), self.environment, self.directory), timeout=WORK_SECONDS)
        if done.status:
            raise failure(done, f"{self.description} {' '.join(command)}")

    def bring_out(self, target: Path, *options: str) -> None:
        """Let manage.py write into `target`; see the port."""
        words = (*self.manage, *BACKUP, *options, "--output-dir", str(target.absolute()))
        done = run(Command(words, self.environment, self.directory), timeout=WORK_SECONDS)
        if done.status not in MADE:
            raise failure(done, f"{self.description} backup")

    def take_in(self, served: Served, *options: str) -> None:
        """Serve manage.py; see the port."""
        taken_in(Command((*self.manage, *RESTORE, *options), self.environment, self.directory), served, self)


def taken_in(command: Command, served: Served, by: DjangoCommands) -> None:
    """Serve a backup to a `manage.py restore` until it ends. Raises what `take_in` of the port does."""
    with spawn(command, stdin=True, stdout=True) as process, ended_after(WORK_SECONDS, process):
        try:
            served.answer(process)
        except KorrigoBackupError:
            process.hang_up()  # it undoes its own changes
            raise
        status = process.wait()
    if status:
        raise failure(Completed(status, b"", process.stderr), f"{by.description} restore")
    if not served.complete:
        raise KorrigoBackupError(f"{by.description} restore ended without output", hint=SAME_VERSION)


_OUT_OF_MEMORY, _KILLED = frozenset({-9, 137}), "memory.exhausted"
"""Statuses of a process that was killed. Nobody but the kernel's out-of-memory killer does that to manage.py."""

_KINDS = {kind.exit_code: kind for kind in (Refused, NotFound, Locked, Unreachable, ProofFailed)}
"""The error that an exit status of ours stands for."""

SAME_VERSION = "run the command again; korrigo-backup must be of the same version there and here"


def child_environment(own: Mapping[str, str], values: Mapping[str, str | None]) -> dict[str, str | Secret]:
    """Return the environment of manage.py: all of `own`, and over it the known values of `values`.

    Every other child gets a reduced environment. manage.py is the site's code, whose settings read variables that we
    cannot know (DJANGO_SETTINGS_MODULE, DJANGO_SECRET_KEY, a broker's address): it gets the variables of the operator's
    shell and `.env`, but TERM: its output goes to a pipe. Values whose names sound secret are redacted from the child's
    output.
    """
    merged = {**own, **{name: value for name, value in values.items() if value is not None}}
    merged.pop("TERM", None)
    return {name: Secret(value) if _SECRET_NAME.search(name) else value for name, value in merged.items()}


def understood(done: Completed, what: str, answer: type[T]) -> T:
    """Return the document that a command printed; raises as `DjangoCommands.ask`."""
    if done.status not in _ANSWERED:
        raise failure(done, what)
    lines = done.stdout.splitlines()  # settings of some sites print, so only the last line is ours
    try:
        return msgspec.json.decode(lines[-1] if lines else b"", type=answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise KorrigoBackupError(
            f"{what} printed no document that this version reads: {problem}",
            hint="install the same version of korrigo-backup in the site's environment, and run the command by hand",
        ) from None


def failure(done: Completed, what: str) -> KorrigoBackupError:
    """Return the error for a management command that failed, by its exit code and its own words."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    if done.status in _NOT_STARTED:  # an engine prints its error to standard output
        lines = [line for line in done.stdout.decode(errors="replace").splitlines() if line.strip()] + lines
    if "Unknown command" in done.stderr:
        return NotConfigured(
            f"{what}: the site does not have this command",
            hint='install korrigo-backup in the site\'s environment; INSTALLED_APPS needs "korrigo_backup.djangoapp"',
        )
    last = lines[-1].strip() if lines else ""
    if (done.status in _NOT_STARTED and _NOT_THERE.search(last)) or (
        done.status == _NO_FILE and "can't open file" in done.stderr
    ):
        return NotConfigured(
            f"{what}: there is no such program or file there: {last}",
            hint="set [compose] manage or [django] manage to the command line of manage.py, [compose] backend to its"
            " service",
        )
    if "unrecognized arguments" in done.stderr:
        return Refused(f"{what}: the site has another version of korrigo-backup than this command", hint=SAME_VERSION)
    hint, id_ = split_hint(next((line.removeprefix("hint: ") for line in lines if line.startswith("hint: ")), ""))
    words = next((line for line in lines if line.startswith("CommandError: ")), last)
    kind = _KINDS.get(done.status, KorrigoBackupError)
    return kind(
        f"{what} {describe_status(done.status)}: {words.removeprefix('CommandError: ') or 'it printed nothing'}",
        hint=hint or "run that command by hand to see its error ([django] in the configuration)",
        id_=id_ or (_KILLED if done.status in _OUT_OF_MEMORY else None),
    )
