"""The options of the program itself hold for the command lines that it runs."""

import os
import sys

import pytest

from korrigo_backup.cli import main, start
from korrigo_backup.cli.output import CommandContext
from korrigo_backup.cli.program.commands import LazyVerbs
from korrigo_backup.core.language import Language
from korrigo_backup.system import timings


@pytest.fixture(autouse=True)
def as_before(monkeypatch):
    for name in ("language", "is_quiet", "is_verbose"):
        monkeypatch.setattr(CommandContext, name, getattr(CommandContext, name))
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    yield
    timings.watch(None)


@pytest.mark.parametrize(
    ("typed", "language", "is_quiet", "is_verbose"),
    [
        ([], Language.ENGLISH, False, False),
        (["--lang", "fr"], Language.FRENCH, False, False),
        (["-q"], Language.ENGLISH, True, False),
        (["--lang=fr", "-v"], Language.FRENCH, False, True),
    ],
)
def test_a_run_of_schedule_run_has_the_options_of_the_command_line(
    tmp_path, monkeypatch, typed, language, is_quiet, is_verbose
):
    monkeypatch.chdir(tmp_path)
    assert main.guarded([*typed, "list"]) == 0
    assert main.guarded([*CommandContext.common_options(), "list"]) == 0
    assert (CommandContext.language, CommandContext.is_quiet, CommandContext.is_verbose) == (
        language,
        is_quiet,
        is_verbose,
    )


@pytest.mark.parametrize(("words", "is_printed"), [(["list", "--json"], True), (["guard", "--", "x", "--json"], False)])
def test_an_early_interrupt_prints_a_document_if_this_command_line_wants_it(monkeypatch, words, is_printed):
    written: list[int] = []

    def leave(code):
        raise SystemExit(code)

    monkeypatch.setattr(os, "write", lambda number, _: written.append(number))
    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(sys, "argv", ["korrigo-backup", *words])
    with pytest.raises(SystemExit):
        start._leave(2, None)
    assert written == ([2, 1] if is_printed else [2])


@pytest.mark.parametrize(
    ("typed", "action"),
    [
        (["--by", "release", "add", "NAME"], ["add", "--by", "release", "NAME"]),
        (["--by=release", "add", "NAME"], ["add", "--by=release", "NAME"]),
        (["--json", "release", "NAME"], ["release", "--json", "NAME"]),
        (["--reason", "add"], ["list", "--reason", "add"]),
        (["--", "add"], ["list", "--", "add"]),
    ],
)
def test_the_value_of_an_option_is_no_action(typed, action):
    assert LazyVerbs()["hold"]._action_first(typed) == action
