"""The commands that the pages name are commands of the program, with their actions and options."""

import re
import shlex
from typing import Any

import pytest
import typer.main
from typer.exceptions import TyperException

from docs.console import commands
from docs.test_documents import PROJECT, text
from korrigo_backup.cli.main import app
from korrigo_backup.cli.program.common_options import common_first
from korrigo_backup.cli.program.verbs import VERBS

RUNBOOK = PROJECT / "docs" / "fr" / "runbook.md"
PAGES = sorted(
    path
    for path in [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]
    if path.parent.name != "decisions" and path.name != "CHANGELOG.md"
)
OURS = re.compile(r"(?:^|[|&;] *|-- )(korrigo-backup (?!--|VERB).*)")
SECTIONS = {
    "1": 3, "2": 3, "3": 3, "4": 9, "4.7": 3, "5": 8, "5.3": 3, "5.4": 4, "5.7": 3, "6": 8, "7": 3, "8": 5, "9": 3,
}  # fmt: skip
"""How many sections below each the former runbook has."""


def in_blocks(path):
    """Return the commands of ours in the console blocks of a page."""
    lines = [line for one in commands(text(path)) for line in one.command.splitlines()]
    return sorted({found[1] for line in lines if (found := OURS.search(line))})


def in_sentences(path):
    """Return the commands of ours between backticks."""
    prose = re.sub(r"^```.*?^```", "", text(path), flags=re.MULTILINE | re.DOTALL)
    named = {" ".join(found.split()) for found in re.findall(r"`([^`]+)`", prose)}
    return sorted(line for line in named if line.startswith("korrigo-backup "))


def read(line):
    """Have the program read a command as it does when it is typed; it is not run."""
    words = common_first(shlex.split(line.split(" >")[0], comments=True)[1:])
    verb = next((number for number, word in enumerate(words) if word in VERBS), 0)
    command: Any = typer.main.get_command(app)
    root, context = command, command.make_context("korrigo-backup", words[: verb + 1], resilient_parsing=True)
    words = words[verb:]
    while hasattr(command, "commands") and words and words[0] in command.commands:
        command = command.commands[words.pop(0)]
    there = command is not root and not (hasattr(command, "commands") and words and not words[0].startswith("-"))
    assert there, f"there is no such verb: {line}"
    command.make_context(command.name, words, parent=context)


@pytest.mark.parametrize("page", [page for page in PAGES if in_blocks(page)], ids=lambda page: page.name)
def test_every_command_in_a_block_is_read_by_the_program(page):
    for line in in_blocks(page):
        read(line)


def test_every_command_in_a_sentence_of_the_runbook_is_read_by_the_program():
    assert len(in_sentences(RUNBOOK)) > 10
    for line in in_sentences(RUNBOOK):
        read(line)


@pytest.mark.parametrize("line", ["korrigo-backup nothing", "korrigo-backup list --nothing", "korrigo-backup hold eat"])
def test_a_command_that_is_not_there_is_not_read(line):
    with pytest.raises((AssertionError, TyperException)):
        read(line)


def test_every_section_of_the_former_runbook_is_there_under_its_number():
    found = re.findall(r"^#{2,4} (\d(?:\.\d)*)\.? ", text(RUNBOOK), re.MULTILINE)
    expected = {f"{parent}.{number}" for parent, count in SECTIONS.items() for number in range(1, count + 1)}
    assert set(found) == expected | {str(number) for number in range(1, 10)}
    assert len(found) == len(set(found))


def test_every_script_that_the_runbook_names_exists():
    scripts = set(re.findall(r"scripts/(\w+\.sh)", text(RUNBOOK)))
    assert len(scripts) > 5
    assert [name for name in scripts if not (PROJECT / "scripts" / name).exists()] == []
