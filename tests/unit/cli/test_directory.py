"""The directory of the site, found from one below it, and the words of the command line there."""

import os

import pytest

from korrigo_backup.cli.main import _asked_language
from korrigo_backup.cli.program.directory import go_to_site


@pytest.fixture
def below(tmp_path, monkeypatch):
    (tmp_path / "korrigo-backup.toml").touch()
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    return tmp_path / "below"


@pytest.mark.parametrize("words", [["list"], ["--lang", "fr", "list"], ["-q", "list", "--json"]])
def test_a_verb_goes_to_the_directory_of_the_site(below, words):
    assert go_to_site(words) == (words, below)
    assert os.getcwd() == str(below.parent)


@pytest.mark.parametrize("name", ["key.txt", "inner/key", "korrigo_backup_20260204_030000", "state.json"])
def test_a_file_is_named_from_the_directory_in_which_it_is_typed(below, name):
    (below / name).parent.mkdir(exist_ok=True)
    (below / name).touch()
    words = ["kit", "verify", "--identity", name, f"--identity={name}", "missing.txt", "--", name]
    changed, _ = go_to_site(words)
    assert changed == ["kit", "verify", "--identity", f"{below / name}", f"--identity={below / name}", *words[5:]]


def test_a_file_called_like_a_word_of_the_command_line_changes_nothing(below):
    for name in ("list", "latest", "db"):
        (below / name).touch()
    assert go_to_site(["list", "latest", "db"])[0] == ["list", "latest", "db"]


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
    assert go_to_site(words) == (words, None)
    assert os.getcwd() == str(below)


def test_the_language_of_a_guarded_command_is_its_own():
    assert _asked_language(["guard", "--", "deploy", "--lang", "fr"]) is None
    assert _asked_language(["--lang", "fr", "guard", "--", "deploy"]) == "fr"
