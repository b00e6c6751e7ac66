"""The command `korrigo-backup`: its verbs, and the only boundary where errors become words and exit codes.

A verb is loaded only when it is typed, inside of the boundary.
"""

from __future__ import annotations

import errno
import os
import shlex
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from korrigo_backup import __version__
from korrigo_backup.cli.output import CommandContext, in_language, say_document, timings_text
from korrigo_backup.cli.program.commands import PROGRAM, WAY, LazyVerbs, Program
from korrigo_backup.cli.program.common_options import LANG, asked_language, common_first
from korrigo_backup.cli.program.directory import go_to_site
from korrigo_backup.cli.program.document import Document, error_fields, wants_json
from korrigo_backup.cli.program.last_failure import note_failure
from korrigo_backup.cli.program.progress import displayed
from korrigo_backup.cli.program.terminal import coloured
from korrigo_backup.cli.program.verbs import VERBS
from korrigo_backup.core.language import Language, language
from korrigo_backup.core.paths import on_one_line, printable
from korrigo_backup.core.secret import redact_message
from korrigo_backup.errors import (
    INTERRUPTED,
    UNCHANGED,
    Cancelled,
    Interrupted,
    KorrigoBackupError,
    PartlyDone,
    UsageError,
    World,
    hint_with_id,
)
from korrigo_backup.system import screen, timings
from korrigo_backup.system.run import forbid_core_dumps
from korrigo_backup.system.signals import EndingSignals

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from korrigo_backup.app.build import Wired

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_UNKNOWN = "unknown: run korrigo-backup list, and see that the site answers"
DEBUG_VARIABLE = "KORRIGO_BACKUP_DEBUG"
_AGAIN = "run it again when you are ready"

app = typer.Typer(
    name=PROGRAM,
    cls=Program,
    help="Proven backup and restore for Django, PostgreSQL and media sites.",
    no_args_is_help=True,
    **WAY,
)


def _version(wanted: bool) -> None:  # noqa: FBT001 - typer's way
    if wanted:
        typer.echo(f"korrigo-backup {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="TOML file; default: korrigo-backup.toml here.")] = None,
    show_timings: Annotated[bool, typer.Option("--timings")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v")] = False,
    lang: Annotated[Language | None, typer.Option(LANG)] = None,
    _version_wanted: Annotated[bool, typer.Option("--version", "-V", callback=_version, is_eager=True)] = False,
) -> None:
    """Proven backup and restore for Django, PostgreSQL and media sites."""
    if show_timings:
        timings.begin(since=_Begun.at)
    del lang  # the boundary has read it: an error and a help are in this language, too
    if quiet and verbose:
        raise UsageError("--quiet and --verbose exclude each other", hint="choose one of them")
    CommandContext.is_quiet, CommandContext.is_verbose = quiet, verbose
    timings.watch(_say_process if verbose else None)
    context.obj = CommandContext(lambda: _wired(config))


def _say_process(argv: Sequence[str]) -> None:
    """Print a process that is started, on standard error; secrets are in no argument."""
    _print(f"+ {shlex.join(map(printable, argv))}")


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
    words = common_first(list(sys.argv[1:] if arguments is None else arguments))
    CommandContext.language = asked_language(words) or language(os.environ)
    outer, wanted = Document.current, wants_json(words)
    verb = next((word for word in words if word in VERBS), None)
    document = Document(verb) if wanted or outer else None
    Document.current = document
    try:
        with displayed(verb):
            code, error = _guarded(words)
        note_failure(verb, error, CommandContext.known_secrets)
        if document and wanted and not document.is_printed:
            say_document(document.text(error, code))
    finally:
        Document.current = outer
        if recorder := timings.finish():
            _print(timings_text(recorder))
    return code


def _guarded(words: Sequence[str]) -> tuple[int, Mapping[str, object] | None]:
    """Run a command line; return its exit code and, if it failed, the fields of its error."""
    try:
        LazyVerbs.typed_in = go_to_site(words)
        result = app(words, prog_name=PROGRAM, standalone_mode=False)
    except KorrigoBackupError as problem:
        return _failed(problem)
    except Interrupted as problem:
        return _interrupted(problem)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader (head, less) has left
        return 1, None
    except Exception as problem:  # noqa: BLE001 - the boundary
        return _usage_or_bug(problem, words)
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


def _interrupted(problem: Interrupted) -> tuple[int, Mapping[str, object]]:
    state = redact_message(str(problem), CommandContext.known_secrets)
    lines = f"error: interrupted\nhint: {_AGAIN}\nstate: {problem}"
    _print(in_language(redact_message(lines + _contacts(problem.world), CommandContext.known_secrets)))
    return INTERRUPTED, {"id": "", "code": INTERRUPTED, "message": "interrupted", "hint": _AGAIN, "state": state}


def _usage_or_bug(problem: Exception, words: Sequence[str]) -> tuple[int, Mapping[str, object]]:
    if type(problem).__name__ == "NoArgsIsHelpError":
        print(problem, file=sys.stderr)
        missing = UsageError("no verb is given", hint="korrigo-backup --help")
        return UsageError.exit_code, error_fields(missing, ())
    if hasattr(problem, "format_message"):  # click's own errors: an unknown option, a missing argument
        return _failed(UsageError(on_one_line(problem.format_message()), hint=_help_of(problem, words)))
    if type(problem).__name__ == "Abort" and isinstance(problem.__cause__, Exception):
        problem = problem.__cause__  # typer's sign for the end of an input, which says nothing of its cause
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(problem)
    return _failed(_in_words(problem))


def _help_of(problem: Exception, words: Sequence[str]) -> str:
    """Return the command whose help describes the right call: that of the verb, if the error or the line names it."""
    verb = next((f"{PROGRAM} {word}" for word in words if word in VERBS), PROGRAM)
    path = getattr(getattr(problem, "ctx", None), "command_path", verb)
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
    elif isinstance(problem, EOFError) and _is_of_import(problem):
        message, id_ = f"a compiled file of Python is cut off: {problem}", "run.fault"
        hint = "remove the directories __pycache__ of the program, then run it again"
    else:
        message = f"unexpected {type(problem).__name__}: {problem}"
        hint = f"this is a fault of the program: report it with the output of {DEBUG_VARIABLE}=1"
        id_ = "run.fault"
    return KorrigoBackupError(message, hint=hint, state=_UNKNOWN, id_=id_)


def _is_of_import(problem: Exception) -> bool:
    """Return whether an exception was raised by Python's own code for imports."""
    frame = problem.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    return frame is not None and frame.tb_frame.f_code.co_filename.startswith("<frozen importlib")


def _say(problem: KorrigoBackupError) -> None:
    detail = f"detail: {problem.detail}\n" if problem.detail else ""
    begin = "" if isinstance(problem, Cancelled) else "error: "  # the operator's decision
    lines = f"{begin}{problem.message}\n{detail}hint: {hint_with_id(problem)}\nstate: {problem.state}"
    lines += _contacts(problem.world)
    _print(in_language(redact_message(lines, CommandContext.known_secrets)))  # a translation may take a secret apart


def _contacts(world: World) -> str:
    """Return the people to ask, where the site is stopped until a person goes on: a line each."""
    return "".join(f"\ncontact: {line}" for line in CommandContext.contacts) if world is World.STOPPED else ""


def _print(lines: str) -> None:
    """Print an error; a closed stream does not change how the run ended."""
    try:
        with screen.above():
            print(coloured(lines, sys.stderr), file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
