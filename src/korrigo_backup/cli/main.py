"""The command `korrigo-backup`: its verbs, and the only boundary where errors become words and exit codes.

One file: a verb is loaded only when it is typed, inside of the boundary.
"""

from __future__ import annotations

import errno
import importlib
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer
from typer.core import TyperGroup

from korrigo_backup import __version__
from korrigo_backup.cli.output import CommandContext, in_language, timings_text
from korrigo_backup.core.language import Language, language
from korrigo_backup.core.paths import on_one_line
from korrigo_backup.core.secret import redact
from korrigo_backup.errors import (
    INTERRUPTED,
    UNCHANGED,
    Interrupted,
    KorrigoBackupError,
    PartlyDone,
    UsageError,
    World,
    hint_with_id,
)
from korrigo_backup.system import timings
from korrigo_backup.system.run import forbid_core_dumps
from korrigo_backup.system.signals import EndingSignals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.app.build import Wired

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_UNKNOWN = "unknown: run korrigo-backup list, and see that the site answers"
DEBUG_VARIABLE = "KORRIGO_BACKUP_DEBUG"
_TIMINGS, _LANG = "--timings", "--lang"

VERBS = {
    "backup": "korrigo_backup.cli.backup",
    "list": "korrigo_backup.cli.list_",
    "show": "korrigo_backup.cli.show",
    "verify": "korrigo_backup.cli.verify",
    "drill": "korrigo_backup.cli.drill",
    "bench": "korrigo_backup.cli.bench",
    "compare": "korrigo_backup.cli.compare",
    "plan": "korrigo_backup.cli.plan",
    "restore": "korrigo_backup.cli.restore",
    "rollback": "korrigo_backup.cli.rollback",
    "rebuild": "korrigo_backup.cli.rebuild",
    "validate": "korrigo_backup.cli.validate",
    "guard": "korrigo_backup.cli.guard",
    "media": "korrigo_backup.cli.media",
    "prune": "korrigo_backup.cli.prune",
    "hold": "korrigo_backup.cli.hold",
    "copy": "korrigo_backup.cli.copy",
    "rehearse": "korrigo_backup.cli.rehearse",
    "fetch": "korrigo_backup.cli.fetch",
    "seal": "korrigo_backup.cli.seal",
    "adopt": "korrigo_backup.cli.adopt",
    "browse": "korrigo_backup.cli.browse",
    "nightly": "korrigo_backup.cli.schedule.nightly",
    "point": "korrigo_backup.cli.schedule.point",
    "notify": "korrigo_backup.cli.notify",
    "status": "korrigo_backup.cli.status.status",
    "report": "korrigo_backup.cli.status.report",
    "canary": "korrigo_backup.cli.status.canary",
    "doctor": "korrigo_backup.cli.setup.doctor",
    "diagnose": "korrigo_backup.cli.setup.diagnose",
    "explain": "korrigo_backup.cli.setup.explain",
    "metrics": "korrigo_backup.cli.status.metrics",
    "checklist": "korrigo_backup.cli.status.checklist",
    "kit": "korrigo_backup.cli.kit",
    "init": "korrigo_backup.cli.setup.init",
    "schedule": "korrigo_backup.cli.schedule.schedule",
}
"""Where the `command` of each verb is; only the typed verb is loaded, which saves time."""

_WAY: Any = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}


class _Verbs(Mapping[str, Any]):
    """The verbs' commands, each loaded when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        if name not in VERBS:
            raise KeyError(name)
        verb = typer.Typer(**_WAY)
        verb.command(name)(importlib.import_module(VERBS[name]).command)
        return typer.main.get_command(verb)

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class _Program(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": _Verbs()})


app = typer.Typer(
    name="korrigo-backup",
    cls=_Program,
    help="Proven backup and restore for Django, PostgreSQL and media sites.",
    no_args_is_help=True,
    **_WAY,
    epilog="Exit codes: 0 ok, 1 error, 2 usage, 3 done in part, 4 refused, 5 cancelled, 6 not found, 7 locked,"
    " 8 unreachable, 9 proof failed, 10 problems found, 130 interrupted.",
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer's way
    if wanted:
        typer.echo(f"korrigo-backup {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="TOML file; default: korrigo-backup.toml here.")] = None,
    show_timings: Annotated[
        bool, typer.Option("--timings", help="Also after the verb: print each step's seconds (stderr).")
    ] = False,
    lang: Annotated[
        Language | None, typer.Option(_LANG, help="Also after the verb: the language; default: that of the locale.")
    ] = None,
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Proven backup and restore for Django, PostgreSQL and media sites."""
    if show_timings:
        timings.begin(since=_Begun.at)
    if lang:
        CommandContext.language = lang
    context.obj = CommandContext(lambda: _wired(config))


def _wired(config: Path | None) -> Wired:
    from korrigo_backup.app.build import wire  # noqa: PLC0415 - help and version need no configuration

    return wire(_here(), os.environ, config)


class _Begun:
    """When this process was started, None if it runs command lines for another program."""

    at: ClassVar[float | None] = None


def _here() -> Path:
    try:
        return Path.cwd()
    except OSError:
        raise UsageError(
            "the current directory does not exist any more", hint="go to the site's directory (cd), then run it again"
        ) from None


def run() -> None:
    """Run the command and exit with its documented code, never with a traceback.

    Ctrl-C, SIGTERM and SIGHUP end a run so that its changes are undone. Core files are forbidden.
    """
    forbid_core_dumps()
    _steady_streams()
    EndingSignals(_ENDING, Interrupted(UNCHANGED, world=World.UNCHANGED)).listen()
    _Begun.at = timings.process_start()
    sys.exit(guarded(sys.argv[1:]))


def _steady_streams() -> None:
    """Make standard input, output and error usable in any state.

    A closed stream is /dev/null from now on: else the next file opened, a backup, would take its number and get the
    printed text. Text is UTF-8: a locale without our signs, or a file name that is no text, must not end a restore.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number, which is that of the closed stream
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))
        else:
            stream.reconfigure(encoding="utf-8", errors="surrogateescape")


def guarded(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, the typed one unless another is given, and return its documented exit code.

    With `--timings`, where the seconds went is printed at the end, however it ends.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    CommandContext.language = language(os.environ)
    try:
        return _guarded(_options_first(words))
    finally:
        if recorder := timings.finish():
            _print(timings_text(recorder))


def _options_first(words: Sequence[str]) -> list[str]:
    """Return a command line with `--timings` and `--lang` before the verb: every verb has them."""
    ours = list(words[: words.index("--")] if "--" in words else words)
    first, rest = [], list(words[len(ours) :])
    left = iter(ours)
    kept = []
    for word in left:
        if word == _TIMINGS or word.startswith(f"{_LANG}="):
            first.append(word)
        elif word == _LANG:
            first += [word, *([following] if (following := next(left, None)) is not None else [])]
        else:
            kept.append(word)
    return [*first, *kept, *rest]


def _guarded(words: Sequence[str]) -> int:
    try:
        result = app(words, standalone_mode=False)
    except KorrigoBackupError as problem:
        _say(problem)
        return problem.exit_code
    except Interrupted as problem:
        lines = f"error: interrupted\nhint: run it again when you are ready\nstate: {problem}"
        _print(in_language(lines + _contacts(problem.world)))
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader (head, less) has left
        return 1
    except Exception as problem:  # noqa: BLE001 - the boundary
        return _usage_or_bug(problem)
    if lost := CommandContext.output_lost:
        _say(
            PartlyDone(
                f"the command is done, but its output could not be printed: {lost.strerror}",
                hint="make room where the output goes; korrigo-backup list shows the backups",
                state="the work itself is complete",
            )
        )
        return PartlyDone.exit_code
    return result if isinstance(result, int) else 0


def _usage_or_bug(problem: Exception) -> int:
    if type(problem).__name__ == "NoArgsIsHelpError":
        print(problem, file=sys.stderr)
        return UsageError.exit_code
    if hasattr(problem, "format_message"):  # click's own errors: an unknown option, a missing argument
        _say(UsageError(on_one_line(problem.format_message()), hint=_help_of(problem)))
        return UsageError.exit_code
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exc()
    _say(_in_words(problem))
    return 1


def _help_of(problem: Exception) -> str:
    """Return the command whose help describes the right call: that of the verb, if the error knows it."""
    path = getattr(getattr(problem, "ctx", None), "command_path", "korrigo-backup")
    return f"{path} --help"


def _in_words(problem: Exception) -> KorrigoBackupError:
    """Return an error for an exception that no layer has explained: the machine's doing, or a fault of ours."""
    if isinstance(problem, OSError) and problem.errno == errno.ENOSPC and not problem.filename:  # the help, the version
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        hint = "make room where the output goes"
        return KorrigoBackupError(f"cannot print: {problem.strerror}", hint=hint, id_="disk.full")
    if isinstance(problem, MemoryError):
        message, hint = "there is no memory left for the run", "end other programs, or raise the limit (ulimit -v)"
        id_ = "memory.exhausted"
    else:
        message = f"unexpected {type(problem).__name__}: {problem}"
        hint = f"this is a fault of the program: report it with the output of {DEBUG_VARIABLE}=1"
        id_ = "run.fault"
    return KorrigoBackupError(message, hint=hint, state=_UNKNOWN, id_=id_)


def _say(problem: KorrigoBackupError) -> None:
    detail = f"detail: {problem.detail}\n" if problem.detail else ""
    lines = f"error: {problem.message}\n{detail}hint: {hint_with_id(problem)}\nstate: {problem.state}"
    lines += _contacts(problem.world)
    _print(redact(in_language(lines), CommandContext.known_secrets))


def _contacts(world: World) -> str:
    """Return the people to ask, where the site is stopped until a person goes on: a line each."""
    return "".join(f"\ncontact: {line}" for line in CommandContext.contacts) if world is World.STOPPED else ""


def _print(lines: str) -> None:
    """Print an error; a closed stream does not change how the run ended."""
    try:
        print(lines, file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
