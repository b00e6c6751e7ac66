"""The directory of the site, found from one below it, and the words of the command line there."""

import os
from typing import Any

import pytest

from korrigo_backup.cli.program.commands import LazyVerbs
from korrigo_backup.cli.program.common_options import asked_language
from korrigo_backup.cli.program.directory import go_to_site


@pytest.fixture
def below(tmp_path, monkeypatch):
    (tmp_path / "korrigo-backup.toml").touch()
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    return tmp_path / "below"


@pytest.mark.parametrize("words", [["list"], ["--lang", "fr", "list"], ["-q", "list", "--json"]])
def test_a_verb_goes_to_the_directory_of_the_site(below, words):
    assert go_to_site(words) == below
    assert os.getcwd() == str(below.parent)


def parsed(monkeypatch, typed_in, verb, *words):
    """The values of the parameters of a verb whose command line is typed in a directory below the site's."""
    monkeypatch.setattr(LazyVerbs, "typed_in", typed_in)
    command: Any = LazyVerbs()[verb]
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command.make_context(verb, list(words)).params


@pytest.mark.parametrize("name", ["key.txt", "inner/key", "korrigo_backup_20260204_030000", "state.json"])
def test_a_file_is_named_from_the_directory_in_which_it_is_typed(below, monkeypatch, name):
    (below / name).parent.mkdir(exist_ok=True)
    (below / name).touch()
    given = parsed(monkeypatch, below, "kit", "verify", name, "--identity", name)
    assert (given["file"], given["identity"]) == (str(below / name), str(below / name))
    assert parsed(monkeypatch, below, "rebuild", "--from", name, f"--from={name}")["source"] == 2 * (str(below / name),)
    assert parsed(monkeypatch, below, "copy", "missing.txt", name)["artifacts"] == ("missing.txt", str(below / name))


def test_a_file_called_like_a_word_of_the_command_line_changes_nothing(below, monkeypatch):
    for name in ("list", "latest", "db"):
        (below / name).touch()
    assert parsed(monkeypatch, below, "restore", "latest")["artifact"] == "latest"


def test_a_text_that_is_also_a_path_stays_as_it_is_typed(below, monkeypatch):
    (below / "app").mkdir()
    (below / "v1.2").touch()
    given = parsed(monkeypatch, below, "rehearse", "latest", "--image", "app/.")
    assert given["image"] == "app/."
    given = parsed(monkeypatch, below, "hold", "add", "latest", "--reason", "v1.2", "--by", "v1.2")
    assert (given["reason"], given["by"]) == ("v1.2", "v1.2")


@pytest.mark.parametrize(
    "words",
    [
        ["guard", "--", "make", "list"],
        ["--lang", "fr", "guard", "--", "make"],
        ["--lang", "fr", "init"],
        ["-q", "completion", "bash"],
    ],
)
def test_init_and_the_command_of_guard_stay_where_they_were_typed(below, words):
    assert go_to_site(words) is None
    assert os.getcwd() == str(below)


def test_the_language_of_a_guarded_command_is_its_own():
    assert asked_language(["guard", "--", "deploy", "--lang", "fr"]) is None
    assert asked_language(["--lang", "fr", "guard", "--", "deploy"]) == "fr"
