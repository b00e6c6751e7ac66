"""The commands as typer needs them: verbs that are loaded when they are typed, actions of a verb, and their help."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup, TyperOption

from korrigo_backup.cli.output import in_language
from korrigo_backup.cli.program.directory import from_directory
from korrigo_backup.cli.program.document import JSON
from korrigo_backup.cli.program.verbs import VERBS, Panel

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = "korrigo-backup"

WAY: dict[str, Any] = {
    "add_completion": False,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}

_OPTIONS = (
    ("--config FILE", "The site's TOML file; default: korrigo-backup.toml here."),
    ("--json", "One JSON document on standard output, also for a failure."),
    ("-q, -v", "Without the lines of steps; or with each program that is run."),
    ("--lang en|fr", "The language; default: that of the locale."),
    ("--timings", "Print each step's seconds at the end (stderr)."),
    ("-V, -h", "The version; the help, as `help VERB`."),
)
"""The options of the program; all but --config may stand behind the verb, too."""

_CODES = """
Exit codes: 0 ok, 1 error, 2 usage, 3 done in part, 4 refused, 5 cancelled,
6 not found, 7 locked, 8 unreachable, 9 proof failed, 10 problems found,
130 interrupted."""

_WIDTH = 80
_COMMON = "Also --timings, -q and -v: korrigo-backup --help."


@dataclass(frozen=True)
class Actions:
    """The actions of a verb, each with its own options; `default` is that of the verb alone, "" if there is none.

    `named` is that of a name behind the verb which is no action, "" if such a name is an error.
    """

    by_name: Mapping[str, Callable[..., None]]
    help: str
    default: str = ""
    named: str = ""


def _translating(formatter: Any) -> Any:
    """Return the formatter of a help, which from now on writes each text in the language of the run."""
    write_usage, write_heading = formatter.write_usage, formatter.write_heading
    write_text, write_dl = formatter.write_text, formatter.write_dl

    def usage(prog: str, args: str = "", prefix: str | None = None) -> None:
        write_usage(prog, args, in_language("Usage: ") if prefix is None else prefix)

    def text(words: str) -> None:
        write_text("\n\n".join(in_language(" ".join(part.split())) for part in words.split("\n\n")))

    def definitions(rows: Any) -> None:
        write_dl([(_translated_name(name), _translated_definition(words)) for name, words in rows])

    formatter.write_usage, formatter.write_text, formatter.write_dl = usage, text, definitions
    formatter.write_heading = lambda heading: write_heading(in_language(heading))
    return formatter


_UNNAMED = {"<str>": "TEXT", "<int>": "N", "<int range>": "N", "<path>": "PATH"}
"""typer's words for the value of an option without a name of its own."""

_VALUE_NAMES = re.compile(
    r"\b(ARTIFACT|COMMAND|DIRECTORY|DIR|DURATION|FILE|KEY|LATER|NAME|OBJECT|PATH|RULES|SAVED|SYMPTOM|TARGET|TEXT|TIME"
    r"|USER|VALUE|YYYY-MM-DD)\b"
)
"""Names of values, as a help has them; MODEL, PK, SQL, TABLE, COLUMN and ID are those of French, too."""


def _translated_name(name: str) -> str:
    """Return an option or argument with the names of its values in the language of the run."""
    for typed, word in _UNNAMED.items():
        name = name.replace(typed, word)
    return _VALUE_NAMES.sub(lambda found: in_language(found[0]), name)


def _translated_definition(words: str) -> str:
    """Return a definition in the language of the run: typer puts a default in brackets behind it."""
    text, bracket, rest = words.partition("  [")
    label = "default: " if rest.startswith("default: ") else "required" if rest.startswith("required") else ""
    return f"{in_language(' '.join(text.split()))}{bracket}{in_language(label)}{rest.removeprefix(label)}"


class Leaf(TyperCommand):
    """A verb without actions, or an action; its help ends with the examples of the verb."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words behind the command: the options, and the name of each argument."""
        del ctx
        arguments = [one for one in self.params if one.param_type_name == "argument"]
        return ["[OPTIONS]", *map(_usage_of, arguments)]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help in the language of the run."""
        super().format_help(ctx, _translating(formatter))

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they are: they are typed as they stand."""
        _write_examples(ctx.command_path, formatter)


class ActionGroup(TyperGroup):
    """A verb with actions: the word of an action may stand behind its options, and may be left out if one is usual."""

    default = ""
    named = ""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words behind the command."""
        del ctx
        return ["[ACTION]" if self.default else "ACTION", "[OPTIONS]", "[ARGUMENTS]"]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help in the language of the run."""
        super().format_help(ctx, _translating(formatter))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the word of the action first, so that its own options are read."""
        if not any(word in {"-h", "--help"} for word in args[:1]):
            args = self._action_first(args)
        return super().parse_args(ctx, args)

    def _action_first(self, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-"):
            return [self.named, *args] if self.named and self._is_name(args[0]) else args
        index = next((i for i in self._words(args) if args[i] in self.commands), None)
        if index is not None:
            return [args[index], *args[:index], *args[index + 1 :]]
        if self.named and any(self._words(args)):
            return [self.named, *args]
        return [self.default, *args] if self.default else args

    def _is_name(self, word: str) -> bool:
        """Return whether a word is neither an action nor nearly an action."""
        return word not in self.commands and not get_close_matches(word, self.commands, 1, 0.75)

    def _words(self, args: list[str]) -> Iterator[int]:
        """Yield the places of words that are no option, and no value of one."""
        parameters = [one for command in self.commands.values() for one in command.params]
        taking = {name for one in parameters if not getattr(one, "is_flag", True) for name in one.opts}
        is_value = False
        for place, word in enumerate(args):
            if word == "--":
                return
            if not is_value and not word.startswith("-"):
                yield place
            is_value = not is_value and word in taking

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the actions with the whole first line of their descriptions."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            words = ((command and command.help) or "").split("\n\n")[0].replace("\n", " ")
            rows.append((name, f"{words}  [{in_language('by default')}]" if name == self.default else words))
        with formatter.section("Actions"):
            formatter.write_dl(rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples as they are: they are typed as they stand."""
        _write_examples(ctx.command_path, formatter)


class LazyVerbs(Mapping[str, Any]):
    """The verbs' commands, each loaded when it is asked for; every one has `--json`.

    `typed_in` is the directory of the command line, None if it is the site's: paths that are typed begin there.
    """

    typed_in: ClassVar[Path | None] = None

    def __getitem__(self, name: str) -> Any:
        command = self._loaded(name)
        if self.typed_in:
            from_directory(command, self.typed_in, name)
        return command

    def _loaded(self, name: str) -> Any:
        if name not in VERBS:
            raise KeyError(name)
        module = importlib.import_module(f"korrigo_backup.cli.{VERBS[name].module}")
        actions: Actions | None = getattr(module, "ACTIONS", None)
        if actions is None:
            verb = typer.Typer(**WAY)
            verb.command(name, cls=Leaf)(module.command)
            return _with_json(typer.main.get_command(verb))
        verb = typer.Typer(name=name, cls=ActionGroup, help=actions.help, **WAY)
        for action, function in actions.by_name.items():
            verb.command(action, cls=Leaf)(function)
        group: Any = typer.main.get_command(verb)
        group.default, group.named = actions.default, actions.named
        for command in group.commands.values():
            _with_json(command)
        return group

    def __iter__(self) -> Iterator[str]:
        return iter(VERBS)

    def __len__(self) -> int:
        return len(VERBS)


class Program(TyperGroup):
    """The program: its help has the verbs in panels; `help VERB` is `VERB --help`."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**{**attributes, "commands": LazyVerbs()})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command of a verb; `help VERB` asks it for its help."""
        if args[:1] == ["help"]:
            if len(args) == 1:
                typer.echo(ctx.get_help())
                raise typer.Exit
            args = [*args[1:], "--help"]
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the main help: one screen of 80 columns, without loading a verb."""
        usage = f"Usage: {ctx.command_path} [OPTIONS] VERB [ARGUMENTS]"
        formatter.write(f"{in_language(usage)}\n\n{in_language(self.help or '')}\n")
        for panel in Panel:
            _write_table(formatter, panel, [(name, one.summary) for name, one in VERBS.items() if one.panel is panel])
        _write_table(formatter, "Options, before or behind the verb", _OPTIONS)
        formatter.write(f"{in_language(_CODES)}\n")


def _usage_of(argument: Any) -> str:
    name = _translated_name(argument.metavar or str(argument.name).upper())
    if argument.nargs != 1 and "..." not in name:
        name += "..."
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _write_table(formatter: Any, title: str, rows: Any) -> None:
    formatter.write(f"{in_language(title)}\n")
    for name, words in rows:
        formatter.write(f"  {name:<13} {in_language(words)}\n")


def _with_json(command: Any) -> Any:
    if not any(JSON in parameter.opts for parameter in command.params):
        words = "Print a JSON document."
        command.params.append(TyperOption(param_decls=[JSON], is_flag=True, expose_value=False, help=words))
    return command


def _write_examples(path: str, formatter: Any) -> None:
    """Write the examples of the verb in a command path like `korrigo-backup hold add`."""
    from korrigo_backup.cli.program.examples import EXAMPLES  # noqa: PLC0415 - only a help shows them

    names = path.removeprefix(PROGRAM).split()
    formatter.write(f"\n{in_language('Examples:')}\n")
    for line, english in EXAMPLES[names[0]] if names else ():
        words = in_language(english)
        whole = f"  {line}{f'   # {words}' if words else ''}"
        formatter.write(f"{whole}\n" if len(whole) <= _WIDTH else f"  # {words}\n  {line}\n")
    formatter.write(f"\n{in_language(_COMMON)}\n")
