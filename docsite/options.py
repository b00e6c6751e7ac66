"""The reference of every command, made from the command itself. Prints the page in the language of the locale."""

import sys
from collections.abc import Iterator
from typing import Any

import typer.main

from korrigo_backup.cli.main import app

TITLE = {"en": "Every option", "fr": "Toutes les options"}
INTRODUCTION = {
    "en": "The help of each command, as `korrigo-backup help VERB` prints it. [Commands](commands.md) explains them.",
    "fr": "L'aide de chaque commande, comme l'affiche `korrigo-backup help VERBE`. [Commands](commands.md) l'explique.",
}


def helps(command: Any, parent: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield name and help of a command and of its actions."""
    context = command.make_context(name.rsplit(" ", maxsplit=1)[-1], [], parent=parent, resilient_parsing=True)
    yield name, command.get_help(context)
    for action, below in getattr(command, "commands", {}).items():
        if not below.hidden:
            yield from helps(below, context, f"{name} {action}")


def page(language: str) -> str:
    """Return the page: a section for each verb and action."""
    program: Any = typer.main.get_command(app)
    sections = (
        f"## {name.removeprefix('korrigo-backup ')}\n\n```text\n{text.strip()}\n```\n"
        for name, text in helps(program, None, "korrigo-backup")
    )
    return "\n".join([f"# {TITLE[language]}\n", f"{INTRODUCTION[language]}\n", *sections])


if __name__ == "__main__":
    print(page(sys.argv[1]))
