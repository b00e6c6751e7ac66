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
from typer.core import TyperGroup, TyperOption

from korrigo_backup import __version__
from korrigo_backup.cli.output import CommandContext, say_document, timings_text
from korrigo_backup.cli.program.directory import from_directory, go_to_site
from korrigo_backup.cli.program.document import JSON, Document, error_fields, wants_json
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
_TIMINGS = "--timings"
_AGAIN = "run it again when you are ready"

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
    "completion": "korrigo_backup.cli.setup.completion",
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
    """The verbs' commands, each loaded when it is asked for; every one has `--json`.

    `typed_in` is the directory of the command line, None if it is the site's: paths that are typed begin there.
    """

    typed_in: ClassVar[Path | None] = None

    def __getitem__(self, name: str) -> Any:
        if name not in VERBS:
            raise KeyError(name)
        verb = typer.Typer(**_WAY)
        verb.command(name)(importlib.import_module(VERBS[name]).command)
        command = typer.main.get_command(verb)
        if not any(JSON in parameter.opts for parameter in command.params):
            command.params.append(
                TyperOption(param_decls=[JSON], is_flag=True, expose_value=False, help="Print a JSON document.")
            )
        if self.typed_in:
            from_directory(command, self.typed_in)
        return command

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
    _version_wanted: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Proven backup and restore for Django, PostgreSQL and media sites."""
    if show_timings:
        timings.begin(since=_Begun.at)
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

    With `--json` its document is printed at the end, with `--timings` where the seconds went, however it ends.
    """
    words = _common_first(list(sys.argv[1:] if arguments is None else arguments))
    outer, wanted = Document.current, wants_json(words)
    document = Document(next((word for word in words if word in VERBS), None)) if wanted or outer else None
    Document.current = document
    try:
        code, error = _guarded(words)
        if document and wanted and not document.is_printed:
            say_document(document.text(error, code))
    finally:
        Document.current = outer
        if recorder := timings.finish():
            _print(timings_text(recorder))
    return code


def _common_first(words: Sequence[str]) -> list[str]:
    """Return a command line with `--timings` before the verb and `--json` behind it: every verb has both."""
    end = words.index("--") if "--" in words else len(words)
    ours, rest = list(words[:end]), list(words[end:])
    if JSON in ours:
        ours = [*(word for word in ours if word != JSON), JSON]
    if _TIMINGS in ours:
        ours.remove(_TIMINGS)
        ours.insert(0, _TIMINGS)
    return [*ours, *rest]


def _guarded(words: Sequence[str]) -> tuple[int, Mapping[str, object] | None]:
    """Run a command line; return its exit code and, if it failed, the fields of its error."""
    words, _Verbs.typed_in = go_to_site(words)
    try:
        result = app(words, prog_name="korrigo-backup", standalone_mode=False)
    except KorrigoBackupError as problem:
        return _failed(problem)
    except Interrupted as problem:
        lines = f"error: interrupted\nhint: {_AGAIN}\nstate: {problem}"
        _print(lines + _contacts(problem.world))
        return INTERRUPTED, {
            "id": "",
            "code": INTERRUPTED,
            "message": "interrupted",
            "hint": _AGAIN,
            "state": redact(str(problem), CommandContext.known_secrets),
        }
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader (head, less) has left
        return 1, None
    except Exception as problem:  # noqa: BLE001 - the boundary
        return _usage_or_bug(problem)
    if lost := CommandContext.output_lost:
        return _failed(
            PartlyDone(
                f"the command is done, but its output could not be printed: {lost.strerror}",
                hint="make room where the output goes; korrigo-backup list shows the backups",
                state="the work itself is complete",
            )
        )
    return (result if isinstance(result, int) else 0), None


def _failed(problem: KorrigoBackupError) -> tuple[int, Mapping[str, object]]:
    _say(problem)
    return problem.exit_code, error_fields(problem, CommandContext.known_secrets)


def _usage_or_bug(problem: Exception) -> tuple[int, Mapping[str, object]]:
    if type(problem).__name__ == "NoArgsIsHelpError":
        print(problem, file=sys.stderr)
        missing = UsageError("no verb is given", hint="korrigo-backup --help")
        return UsageError.exit_code, error_fields(missing, ())
    if hasattr(problem, "format_message"):  # click's own errors: an unknown option, a missing argument
        return _failed(UsageError(on_one_line(problem.format_message()), hint=_help_of(problem)))
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exc()
    return _failed(_in_words(problem))


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
    _print(redact(lines, CommandContext.known_secrets))


def _contacts(world: World) -> str:
    """Return the people to ask, where the site is stopped until a person goes on: a line each."""
    return "".join(f"\ncontact: {line}" for line in CommandContext.contacts) if world is World.STOPPED else ""


def _print(lines: str) -> None:
    """Print an error; a closed stream does not change how the run ended."""
    try:
        print(lines, file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
