"""The reference says what the program has: verbs, options, exit codes, findings, variables."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from korrigo_backup import errors
from korrigo_backup.cli.main import app
from korrigo_backup.config.model import NAMED_SECTIONS, SECTIONS
from korrigo_backup.core.variables import VARIABLES

PROJECT = Path(__file__).parents[2]
DOCS = PROJECT / "docs" / "reference"
SOURCES = sorted((PROJECT / "src").rglob("*.py"))


def document(name):
    return (DOCS / name).read_text(encoding="utf-8")


def all_errors(kind=errors.KorrigoBackupError):
    return [kind, *(deeper for child in kind.__subclasses__() for deeper in all_errors(child))]


def commands():
    command: Any = typer.main.get_command(app)
    return command.commands


def leaves(verb):
    """The command of a verb, or those of its actions."""
    return list(getattr(commands()[verb], "commands", {"": commands()[verb]}).values())


def verbs():
    return sorted(commands())


@pytest.mark.parametrize("kind", all_errors(), ids=lambda kind: kind.__name__)
def test_every_exit_code_is_documented(kind):
    assert re.search(rf"^\| {kind.exit_code} \|", document("exit-codes.md"), re.MULTILINE)


def test_every_finding_is_documented_and_every_documented_one_exists():
    pattern = re.compile(r'\b(?:ok|warning|loss|error)\(\s*"([a-z]+\.[a-z0-9_.]+)"')
    in_code = {found for path in SOURCES for found in pattern.findall(path.read_text(encoding="utf-8"))}
    in_docs = set(re.findall(r"^\| `([a-z]+\.[a-z0-9_.]+)` \|", document("findings.md"), re.MULTILINE))
    assert in_code == in_docs


def test_every_system_check_is_documented_and_every_documented_one_exists():
    source = (PROJECT / "src" / "korrigo_backup" / "djangoapp" / "status" / "checks.py").read_text(encoding="utf-8")
    in_code = {f"W{int(number):03}" for number in re.findall(r"\b_warned\(\s*(\d+),", source)}
    assert in_code == set(re.findall(r"^\| `korrigo_backup\.(W\d+)` \|", document("findings.md"), re.MULTILINE))


@pytest.mark.contract("C1")
def test_every_variable_and_key_is_documented():
    text = document("configuration.md")
    keys = {key for section in [*SECTIONS.values(), *NAMED_SECTIONS.values()] for key in section.__struct_fields__}
    missing = [name for name in [*VARIABLES, *keys] if not re.search(rf"\b{name}\b", text)]
    assert missing == []


@pytest.mark.parametrize("verb", verbs())
def test_every_verb_is_in_the_reference_with_each_of_its_options(verb):
    text = document("commands.md")
    assert f"## {verb}" in text
    part = text.split(f"## {verb}\n")[1].split("\n## ")[0]
    options = {option for leaf in leaves(verb) for parameter in leaf.params for option in parameter.opts}
    part += text.split("\n## ")[0]  # options that every verb takes
    assert [option for option in options if option.startswith("--") and f"`{option}" not in part] == []
    assert [leaf.name for leaf in leaves(verb) if leaf.name not in part] == []


@pytest.mark.contract("X4")
def test_help_of_every_verb_fits_a_screen_and_the_main_help_lists_the_exit_codes():
    tool = Path(sys.executable).with_name("korrigo-backup")
    for arguments in ([], *([verb] for verb in verbs())):
        done = subprocess.run([tool, *arguments, "--help"], capture_output=True, text=True, check=True)
        lines = 49 if arguments else len(verbs()) + 20  # the main help has a line for each verb
        assert len(done.stdout.splitlines()) <= lines
        assert "Exit codes" in done.stdout or arguments


def test_links_between_documents_lead_somewhere():
    for path in [*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text(encoding="utf-8")):
            assert (path.parent / target).exists(), f"{path.name}: {target}"
