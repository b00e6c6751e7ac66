"""Write the manual pages into a directory, from the help of the command itself: `manpages.py DIRECTORY`.

One page for the program, one for each verb, in the language man(7) that all readers of manuals take.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
import typer.main

from korrigo_backup import __version__
from korrigo_backup.cli.main import app
from korrigo_backup.cli.program.examples import EXAMPLES
from korrigo_backup.cli.setup.words import first_sentence
from korrigo_backup.errors import KorrigoBackupError

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = "korrigo-backup"


def main(directory: Path) -> None:
    """Write korrigo-backup.1 and korrigo-backup-VERB.1 for each verb."""
    directory.mkdir(parents=True, exist_ok=True)
    program: Any = typer.main.get_command(app)
    context = typer.Context(program, info_name=PROGRAM)
    _write(directory, PROGRAM, [*_head(program, context), *_verbs(program), *_exit_codes(), *_files()])
    for name, verb in program.commands.items():
        lines = [*_head(verb, typer.Context(verb, info_name=name, parent=context))]
        for inner, action in getattr(verb, "commands", {}).items():
            lines += _action(action, typer.Context(action, info_name=inner, parent=typer.Context(verb, info_name=name)))
        lines += [".SH SEE ALSO", rf"\fB{_text(PROGRAM)}\fR(1)"]
        _write(directory, f"{PROGRAM}-{name}", lines)


def _write(directory: Path, name: str, lines: list[str]) -> None:
    head = rf'.TH {_text(name.upper())} 1 "" "{PROGRAM} {__version__}" "{PROGRAM}"'
    (directory / f"{name}.1").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")


def _head(command: Any, context: Any) -> Iterator[str]:
    name = context.command_path.replace(" ", "-")
    yield from (".SH NAME", rf"{_text(name)} \- {_text(first_sentence(command.help or ''))}")
    yield from (".SH SYNOPSIS", rf"\fB{_text(context.command_path)}\fR {_usage(command, context)}")
    yield ".SH DESCRIPTION"
    yield from _paragraphs(command.help or "")
    yield from _parameters(command, context, ".SH")
    examples = EXAMPLES.get(context.info_name, ())
    if examples:
        yield ".SH EXAMPLES"
    for line, words in examples:
        yield from (".TP", rf"\fB{_text(line)}\fR", _text(words) or " ")


def _action(command: Any, context: Any) -> Iterator[str]:
    yield from (
        f".SH {_text(context.info_name.upper())}",
        rf"\fB{_text(context.command_path)}\fR {_usage(command, context)}",
    )
    yield ".PP"
    yield from _paragraphs(command.help or "")
    yield from _parameters(command, context, ".SS")


def _usage(command: Any, context: Any) -> str:
    return _text(" ".join(command.collect_usage_pieces(context)))


def _parameters(command: Any, context: Any, heading: str) -> Iterator[str]:
    """Yield the arguments and options as the help shows them."""
    for title, kind in (("ARGUMENTS", "argument"), ("OPTIONS", "option")):
        found = [one for one in command.params if one.param_type_name == kind]
        records = [record for one in found if (record := one.get_help_record(context))]
        if records:
            yield f"{heading} {title}"
        for shown, text in records:
            yield from (".TP", rf"\fB{_text(shown)}\fR", _text(" ".join(text.split())) or " ")


def _verbs(program: Any) -> Iterator[str]:
    yield ".SH VERBS"
    for name, verb in program.commands.items():
        yield from (".TP", rf"\fB{_text(f'{PROGRAM}-{name}')}\fR(1)", _text(first_sentence(verb.help or "")))


def _exit_codes() -> Iterator[str]:
    """Yield the codes of the error classes, each with the first sentence of its documentation."""
    yield from (".SH EXIT STATUS", ".TP", r"\fB0\fR", "The whole effect is there.")
    codes: dict[int, str] = {}
    for one in _all_errors(KorrigoBackupError):
        codes.setdefault(one.exit_code, first_sentence(one.__doc__ or ""))
    for code, text in sorted({**codes, 130: "Interrupted"}.items()):
        yield from (".TP", rf"\fB{code}\fR", _text(f"{text}."))


def _all_errors(kind: Any) -> Iterator[Any]:
    yield kind
    for inner in kind.__subclasses__():
        yield from _all_errors(inner)


def _files() -> Iterator[str]:
    yield ".SH FILES"
    for path, text in (
        ("korrigo-backup.toml", "The configuration, in the site's directory or one above it."),
        (
            ".env, korrigo-backup.env",
            "The site's variables, and those of this program; the environment wins over them.",
        ),
        ("~/.config/korrigo-backup/key", "The key that signs backups."),
    ):
        yield from (".TP", rf"\fI{_text(path)}\fR", _text(text))


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(re.split(r"\n\s*\n", text.strip())):
        if number:
            yield ".PP"
        yield _text(" ".join(paragraph.split())) or " "


def _text(text: str) -> str:
    r"""Return a text of one line for man(7): backslashes, hyphens as typed, no line that begins a request."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped[:1] in {".", "'"} else escaped


if __name__ == "__main__":
    main(Path(sys.argv[1]))
