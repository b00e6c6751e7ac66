"""Explanations: what is found for an id, an exit code, words of other programs; commands of a site."""

import pytest

from korrigo_backup.core.language import Language, language
from korrigo_backup.errors import KorrigoBackupError, hint_with_id, split_hint
from korrigo_backup.explain.explanations import find, load, nearest, recognised

KNOWN = load()


def ids(found):
    return [one.id for one in found]


def test_an_id_an_exit_code_and_words_of_an_error_are_found():
    assert ids(find("disk.full", KNOWN)) == ["disk.full"]
    assert ids(find("exit.8", KNOWN)) == ids(find("8", KNOWN)) == ["exit.8"]
    assert ids(find("gzip: x: No space left on device", KNOWN)) == ["disk.full"]
    assert find("hello", KNOWN) == []


def test_the_id_in_the_hint_of_an_error_is_certain_and_the_words_are_not_asked():
    text = "error: No space left on device\nhint: wait (korrigo-backup explain run.locked)\nstate: nothing was changed"
    assert ids(recognised(text, KNOWN)) == ["run.locked"]


def test_no_more_than_three_explanations_of_a_text_each_once_the_first_in_the_text_first():
    text = "MemoryError\nNo space left on device\nMemoryError\nNo such container: x\nRead-only file system\n"
    assert ids(recognised(text, KNOWN)) == ["memory.exhausted", "disk.full", "container.absent"]


def test_a_file_name_is_no_id():
    assert recognised("see /var/log/disk.full.log and x-disk.full", KNOWN) == []


def test_names_near_an_unknown_one():
    assert nearest("disk.ful", list(KNOWN))[0] == "disk.full"
    assert "server.password" in nearest("the.password", list(KNOWN))


def test_commands_have_the_names_of_the_site():
    values = {"compose": "docker compose -f x.yml", "db": "postgres", "backend": "web"}
    assert "docker compose -f x.yml ps postgres" in KNOWN["server.silent"].commands(values)


def test_commands_of_a_site_that_is_reached_directly_have_no_containers():
    values = {"user": "u", "database": "d", "at": "-h h -p 1"}
    commands = [line for one in KNOWN.values() for line in one.commands(values)]
    assert [line for line in commands if "$compose" in line or line.startswith("docker ")] == []
    assert "psql -h h -p 1 -U u -d postgres -c '\\l'" in KNOWN["database.missing"].commands(values)
    right = "-c 'ALTER ROLE u CREATEDB'"
    assert f"psql -h h -p 1 -U postgres {right}" in KNOWN["role.createdb"].commands(values)
    here = values | {"superuser": "sudo -u postgres psql -p 1"}
    assert f"sudo -u postgres psql -p 1 {right}" in KNOWN["role.createdb"].commands(here)


def test_the_hint_carries_the_id_to_another_process_and_back():
    problem = KorrigoBackupError("x", hint="make room (df -h)", id_="disk.full")
    assert hint_with_id(problem) == "make room (df -h) (korrigo-backup explain disk.full)"
    assert split_hint(hint_with_id(problem)) == ("make room (df -h)", "disk.full")
    assert split_hint("make room (df -h)") == ("make room (df -h)", "")


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "en"),
        ({"LANG": "fr_FR.UTF-8"}, "fr"),
        ({"LANG": "de_DE"}, "en"),
        ({"LANG": "fr_FR", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_GB", "LC_MESSAGES": "fr_CA"}, "fr"),
        ({"LANG": "en_GB", "LANGUAGE": "de:fr"}, "fr"),
        ({"LANG": "C", "LANGUAGE": "fr"}, "en"),
        ({"LANG": "frp_FR"}, "en"),
        ({"LC_ALL": "", "LANG": "fr"}, "fr"),
    ],
)
def test_the_language_is_that_of_the_locale(environment, expected):
    assert language(environment) is Language(expected)
