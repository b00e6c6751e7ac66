"""The output of verbs: shared words, sizes and tables. Results go to stdout, errors to stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, ClassVar

import msgspec

from korrigo_backup.cli.program import terminal
from korrigo_backup.cli.program.document import Document, stream
from korrigo_backup.cli.program.standard_input import read_line
from korrigo_backup.cli.program.terminal import coloured
from korrigo_backup.core.dotenv import described
from korrigo_backup.core.finding import Finding, Level
from korrigo_backup.core.language import Language
from korrigo_backup.errors import PartlyDone
from korrigo_backup.run.narrate import finding_text, narrate
from korrigo_backup.run.step import CommonStep
from korrigo_backup.system import screen
from korrigo_backup.system.timings import phase
from korrigo_backup.translation.catalogue import translator
from korrigo_backup.translation.numbers import in_french

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from types import UnionType
    from typing import TextIO

    from korrigo_backup.app.build import Wired
    from korrigo_backup.core.secret import Secret
    from korrigo_backup.run.step import Listener, Step
    from korrigo_backup.system.timings import Recorder


class CommandContext:
    """The context of every verb: the site's objects, built on first use."""

    known_secrets: ClassVar[tuple[Secret, ...]] = ()
    """Secrets of this process, taken out of everything the error boundary prints."""

    contacts: ClassVar[tuple[str, ...]] = ()
    """The people to ask, a line each, for an error that leaves the site stopped (runbook 9.3)."""

    is_quiet: ClassVar[bool] = False
    """Whether the lines of steps are left out (`--quiet`)."""

    is_verbose: ClassVar[bool] = False
    """Whether each process that is started is named, and each row and file of a plan (`--verbose`)."""

    output_lost: ClassVar[OSError | None] = None
    """Why a line could not be printed, if so."""

    language: ClassVar[Language] = Language.ENGLISH
    """The language of the texts on the terminal."""

    def __init__(self, build: Callable[[], Wired]) -> None:
        self._build = build

    @classmethod
    def common_options(cls) -> list[str]:
        """Return the options of this command line that also hold for another one, which it runs in this process."""
        flags = (("--quiet", cls.is_quiet), ("--verbose", cls.is_verbose))
        return ["--lang", cls.language, *(flag for flag, is_set in flags if is_set)]

    def wired(self, *, quiet: bool = False) -> Wired:
        """Load the configuration; UsageError if it is wrong.

        Lines of a settings file that set no value are named on standard error, unless with `quiet` the verb names them.
        """
        with phase("configuration"):
            wired = self._build()
        CommandContext.known_secrets = wired.secrets
        CommandContext.contacts = tuple(one.line for one in wired.config.contacts.people)
        for problem in () if quiet else wired.dotenv:
            warn(described(problem))
        return wired


def in_language(text: str) -> str:
    """Return a text for people in the language of this run."""
    return translator(CommandContext.language)(text)


def say_named(lines: Sequence[str], count: int, most: int) -> None:
    """Print the first lines of a plan's list of `count` items, with `--verbose` all that the plan names."""
    shown = lines if CommandContext.is_verbose else lines[:most]
    for line in shown:
        say(line)
    if count > len(shown):
        how = " (-v names them)" if len(shown) < len(lines) else ""
        say(f"            and {count - len(shown):,} more{how}")


def say(text: str) -> None:
    """Print a text for people now, in the language of this run; `say_data` describes the rest.

    A JSON document holds it in English.
    """
    if Document.current:
        Document.current.lines.append(text)
    _print_now(in_language(text), stream())


def say_data(text: str) -> None:
    """Print data or a finished text as it is: TOML, metrics, a report. It goes out at once, also into a pipe.

    With `--json` it goes to standard error, since standard output holds the document.

    An output that cannot be written any more (a closed pipe, a full disk below the log) must not end the operation: a
    restore is not given up in its middle for a line of text. `Context.output_lost` reports it at the end.
    """
    if Document.current:
        Document.current.lines.append(text)
    _print_now(text, stream())


def say_document(text: str) -> None:
    """Print the document of a command line with `--json`."""
    _print_now(text, sys.stdout)


def _print_now(text: str, to: TextIO) -> None:
    try:
        with screen.above():
            print(coloured(text, to), file=to, flush=True)
    except OSError as problem:
        if not isinstance(problem, BrokenPipeError):
            CommandContext.output_lost = problem
        os.dup2(os.open(os.devnull, os.O_WRONLY), to.fileno())


def warn(finding: Finding) -> None:
    """Print a finding to standard error, where it disturbs no reader of the result."""
    with contextlib.suppress(OSError), screen.above():
        lines = in_language(f"warning: {finding.message}\nhint: {finding.hint}")
        print(coloured(lines, sys.stderr), file=sys.stderr, flush=True)


def ask_yes(question: str) -> bool:
    """Ask on the terminal; only the whole word `yes`, or `oui`, means yes, the end of the input means no."""
    return ask(question) in {"yes", "oui"}


def ask(question: str) -> str:
    """Ask on the terminal and return the line that is answered, "" at the end of the input.

    Raises UsageError if standard input cannot be read.
    """
    with screen.above():
        print(in_language(question), end="", flush=True, file=stream())
        answer = read_line()
    if not answer.endswith("\n"):
        say("")
    return answer.rstrip("\r\n")


def say_findings(findings: Iterable[Finding]) -> None:
    """Print a line for each finding, its hint below."""
    for finding in findings:
        say(finding_text(finding))


def say_made(service: str) -> None:
    """Print that a container is created for a service of a Compose project."""
    say(f"🧱 Making the container of {service}, which has none; it is not started")


def narrator(*groups: type | UnionType) -> Listener:
    """Return a listener that prints the line of each step of these groups, and of the steps that every verb prints."""
    printed = (CommonStep, *groups)

    def listen(step: Step) -> None:
        if not CommandContext.is_quiet and isinstance(step, printed) and (text := narrate(step)):
            say(text)

    return listen


def say_services(health: Sequence[Finding], done: str) -> None:
    """Print the services' health after a change; PartlyDone if they are ill and the change was kept."""
    say_findings(health)
    if any(finding.level is Level.LOSS for finding in health):
        raise PartlyDone(f"{done}, and the site is not healthy", hint="see the services' logs", state="kept, as asked")


def say_json(schema: str, document: object) -> None:
    """Make this the JSON document of the command line, with the name of its schema; it is printed at the end."""
    if Document.current:
        Document.current.schema = schema
        Document.current.fields = _mapping(document)


def say_json_now(schema: str, document: object) -> None:
    """Print the JSON document of the command line at once: for a verb that then serves until it is ended."""
    say_json(schema, document)
    if Document.current:
        Document.current.is_printed = True
        say_document(Document.current.text(None, 0))


def say_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, data: Collection[str]) -> None:
    """Print aligned columns that fit the terminal; the first is text, the others are numbers or short words.

    The columns named in `data` hold names and words of the site and its people, which are not translated.
    """
    head = [in_language(name) for name in header]
    is_data = [name in data for name in header]
    cells = [[cell if keep else _cell(cell) for cell, keep in zip(row, is_data, strict=True)] for row in rows]
    for line in terminal.table_lines(head, cells, terminal.width(stream())):
        say_data(line)


def _cell(text: str) -> str:
    """Return a cell of our own words or numbers in the language of this run."""
    found = in_language(text)
    return in_french(found) if CommandContext.language is Language.FRENCH else found


def timings_text(recorder: Recorder) -> str:
    """Return where the seconds went: phases in the order of their begin, processes by their seconds."""
    total = sum(one.seconds for one in recorder.phases.values())
    own = sum(one.own for one in recorder.phases.values())
    children = sum(one.children for one in recorder.phases.values())
    lines = [f"timings: {total:.2f} s; processor: {own:.2f} s here, {children:.2f} s in its processes"]
    lines += ["  seconds  processor  of processes  phase"]
    for name, one in recorder.phases.items():
        lines.append(f"{one.seconds:9.2f}  {one.own:9.2f}  {one.children:12.2f}  {name}")
    if recorder.processes:
        lines.append("  seconds  number  process")
    for name, one in sorted(recorder.processes.items(), key=lambda item: -item[1].seconds):
        lines.append(f"{one.seconds:9.2f}  {one.times:6}  {name}")
    return "\n".join(lines)


def _mapping(document: object) -> dict[str, object]:
    built = msgspec.to_builtins(document)
    return built if isinstance(built, dict) else {"items": built}
