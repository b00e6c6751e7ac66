"""The help: one screen of panels, two examples of each verb, the options of an action at that action alone."""

import re
import shlex
import subprocess
import sys
from typing import Any

import pytest
import typer.main

from korrigo_backup.cli import main
from korrigo_backup.cli.output import CommandContext
from korrigo_backup.cli.program.examples import EXAMPLES
from korrigo_backup.cli.program.verbs import VERBS, Panel

ROOT: Any = typer.main.get_command(main.app)


def paths():
    """Every verb, and every action of a verb."""
    return [
        path
        for verb in VERBS
        for path in ((verb,), *((verb, action) for action in getattr(ROOT.commands[verb], "commands", ())))
    ]


def out(capsys, *words):
    assert main.guarded(words) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("path", [(), *paths()], ids=" ".join)
def test_help_fits_80_columns_and_cuts_no_description(capsys, monkeypatch, path):
    monkeypatch.setenv("COLUMNS", "80")
    text = out(capsys, *path, "--help")
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert not re.search(r"\w\.\.\.$", text, re.MULTILINE)


def test_the_main_help_is_one_screen_of_panels_and_loads_no_verb():
    code = "import sys; from korrigo_backup.cli import main; main.guarded(['-h']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) <= len(VERBS) + 20  # a line for each verb, the panels, the options and the exit codes
    assert [line for line in lines if line in set(Panel)] == list(Panel)
    assert {line.split()[0] for line in lines if line.startswith("  ")} >= set(VERBS)
    assert not [
        one for one in ("korrigo_backup.cli.backup", "rich", "korrigo_backup.app.build") if one in done.stderr.split()
    ]


@pytest.mark.parametrize("path", paths(), ids=" ".join)
def test_help_before_a_verb_is_help_behind_it(capsys, path):
    assert out(capsys, "help", *path) == out(capsys, *path, "--help")


def test_help_alone_is_the_main_help(capsys):
    assert out(capsys, "help") == out(capsys, "--help")


@pytest.mark.parametrize(
    "line",
    [line for two in EXAMPLES.values() for line, _ in two],
    ids=lambda line: line.removeprefix("korrigo-backup "),
)
def test_an_example_parses(line):
    _, verb, *words = shlex.split(line)
    command = ROOT.commands[verb]
    context = command.make_context(verb, words)
    if hasattr(command, "commands"):
        name, action, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        action.make_context(name, rest)


def test_each_verb_has_two_examples_and_shows_them(capsys):
    assert {verb: len(two) for verb, two in EXAMPLES.items()} == dict.fromkeys(VERBS, 2)
    for verb, two in EXAMPLES.items():
        text = out(capsys, verb, "--help")
        assert [line for line, _ in two if f"  {line}" not in text] == []


@pytest.mark.parametrize(
    ("words", "foreign"),
    [
        (("hold", "release"), "--until"),
        (("hold", "list"), "--reason"),
        (("kit", "make"), "--identity"),
        (("schedule", "health"), "--cron"),
        (("notify", "test"), "--max-age"),
        (("seal", "check"), "--to"),
        (("report", "drill"), "--from"),
        (("canary", "show"), "--reason"),
    ],
)
def test_an_option_of_another_action_is_neither_shown_nor_taken(capsys, words, foreign):
    assert foreign not in out(capsys, *words, "--help").split("Examples:")[0]
    assert main.guarded([*words, foreign, "x"]) == 2
    assert f"korrigo-backup {' '.join(words)} --help" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        (["hold"], ["hold", "list"]),
        (["hold", "--json"], ["hold", "list", "--json"]),
        (["report", "--from", "2026-01-01"], ["report", "period", "--from", "2026-01-01"]),
        (["report", "--html", "x.html", "drill"], ["report", "drill", "--html", "x.html"]),
        (["kit", "--identity", "key", "open", "file"], ["kit", "open", "--identity", "key", "file"]),
        (["schedule", "--dry-run", "install"], ["schedule", "install", "--dry-run"]),
        (["hold", "latest", "--reason", "x"], ["hold", "add", "latest", "--reason", "x"]),
        (["hold", "--reason", "x", "latest"], ["hold", "add", "--reason", "x", "latest"]),
        (["hold", "relase", "latest"], ["hold", "relase", "latest"]),  # a slip: release is meant
    ],
)
def test_the_word_of_an_action_may_be_left_out_or_stand_behind_its_options(typed, same):
    group = ROOT.commands[typed[0]]
    assert group._action_first(typed[1:]) == same[1:]


def test_a_verb_without_a_usual_action_names_the_missing_word(capsys):
    assert main.guarded(["kit"]) == 2
    assert "korrigo-backup kit --help" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["-V"], ["--version"], ["-m"]])
def test_the_version_also_of_the_module(words):
    argv = [sys.executable, "-m", "korrigo_backup", *(["-V"] if words == ["-m"] else words)]
    assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.startswith("korrigo-backup ")


def test_quiet_leaves_out_the_lines_of_steps_and_verbose_adds_the_processes(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for words in (["list", "-q"], ["-q", "list"], ["list", "--quiet"]):
        assert main.guarded(words) == 0
        assert CommandContext.is_quiet
    assert main.guarded(["list"]) == 0
    assert not CommandContext.is_quiet
    assert main.guarded(["list", "-q", "-v"]) == 2
    capsys.readouterr()
    monkeypatch.setenv("KORRIGO_BACKUP_COMPOSE_PROJECT", "")
    main.guarded(["doctor", "-v"])
    assert re.search(r"^\+ \S+", capsys.readouterr().err, re.MULTILINE)


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("path", paths(), ids=" ".join)
def test_the_value_of_an_option_has_a_name_in_the_language_of_the_help(capsys, path, language):
    text = out(capsys, *path, "--help", "--lang", language)
    assert not re.search("<(str|int|int range|path|float)>", text)
    head = re.split("Exemples|Examples", text)[0]
    assert language == "en" or not re.search(r"\b(TIME|TEXT|FILE|DIRECTORY|TARGET|default)\b", head)


def test_an_option_without_its_value_names_the_help_of_its_verb(capsys):
    assert main.guarded(["forget", "--accept"]) == 2
    assert "korrigo-backup forget --help" in capsys.readouterr().err
