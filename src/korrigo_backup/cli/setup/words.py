"""The words of the command line, read from the command itself: its verbs, their actions, options and choices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer.main

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ("latest", "latest-point", "latest-media")
"""The names of artifacts that stand for the newest."""

_ARTIFACTS = frozenset({"artifact", "artifacts", "saved", "later"})
"""Arguments that take an artifact. That of `hold` and `canary` is `name`."""

_ARTIFACTS_OF = frozenset({("hold", "name"), ("canary", "name"), ("report", "name")})


@dataclass(frozen=True)
class OptionWords:
    """An option: its spellings, whether a value follows, the choices of the value (none: any text), its help."""

    spellings: tuple[str, ...]
    takes_value: bool
    choices: tuple[str, ...]
    help: str


@dataclass(frozen=True)
class CommandWords:
    """A command at `path`, () for the program: its options, the words that may follow, and its help.

    `follow` maps a word to a line about it. `takes_artifact`: the name of an artifact may follow, too.
    """

    path: tuple[str, ...]
    options: tuple[OptionWords, ...]
    follow: dict[str, str]
    takes_artifact: bool
    help: str


def all_commands() -> Iterator[CommandWords]:
    """Yield the words of the program, of each verb and of each of their subcommands."""
    from korrigo_backup.cli.main import app  # noqa: PLC0415 - that module loads this one, as a verb

    yield from _commands(typer.main.get_command(app), ())


def first_sentence(text: str) -> str:
    """Return the first sentence of a help text on one line, without its full stop."""
    return " ".join(text.partition("\n\n")[0].split()).partition(". ")[0].removesuffix(".")


def _commands(command: Any, path: tuple[str, ...]) -> Iterator[CommandWords]:
    inner = dict(getattr(command, "commands", {}))
    follow = {name: first_sentence(one.help or "") for name, one in inner.items()}
    takes_artifact = False
    for one in command.params:
        if one.param_type_name == "argument":
            follow |= dict.fromkeys(_choices(one), "")
            takes_artifact |= one.name in _ARTIFACTS or (*path[:1], one.name) in _ARTIFACTS_OF
    options = tuple(_option(one) for one in command.params if one.param_type_name == "option" and not one.hidden)
    yield CommandWords(path, options, follow, takes_artifact, command.help or "")
    for name, one in inner.items():
        yield from _commands(one, (*path, name))


def _option(one: Any) -> OptionWords:
    spellings = tuple(text for text in (*one.opts, *one.secondary_opts) if text.startswith("-"))
    return OptionWords(spellings, not (one.is_flag or one.count), _choices(one), first_sentence(one.help or ""))


def _choices(one: Any) -> tuple[str, ...]:
    return tuple(str(choice) for choice in getattr(one.type, "choices", ()))
