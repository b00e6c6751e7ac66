"""The options of the program itself hold for the command lines that it runs."""

import pytest

from korrigo_backup.cli import main
from korrigo_backup.cli.output import CommandContext
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
