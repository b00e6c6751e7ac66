"""Numbers of a French text are written as a French reader writes them; data, versions and commands stay."""

import pytest

from korrigo_backup.core.language import Language
from korrigo_backup.translation.catalogue import translator
from korrigo_backup.translation.numbers import french_numbers


@pytest.mark.parametrize(
    ("text", "french"),
    [
        ("24,943,975 octets", "24\u202f943\u202f975 octets"),
        ("temps mesuré : 3.5 s", "temps mesuré : 3,5 s"),
        ("1.4K, 16.2G libres", "1,4K, 16,2G libres"),
        ("6% du disque, 99.5% ailleurs", "6\u202f% du disque, 99,5\u202f% ailleurs"),
        ("PostgreSQL 15.20, pg_dump 15.20", "PostgreSQL 15.20, pg_dump 15.20"),
        ("Python 3.11", "Python 3.11"),
        ("127.0.0.1 s", "127.0.0.1 s"),
        ("fichier a,123,456 et /x/1,234", "fichier a,123,456 et /x/1,234"),
        ("OK | age=12.5h;26;52", "OK | age=12.5h;26;52"),
        ("les tables 1,2,3", "les tables 1,2,3"),
    ],
)
def test_numbers_of_a_translated_text(text, french):
    assert french_numbers(text, "English") == french


def test_a_text_that_stays_english_keeps_its_numbers_but_for_a_cell_of_a_table():
    line = "✅ Backup created: restore_point.json (1.4K)"
    assert french_numbers(line, line) == line
    assert french_numbers("1.1 s", "1.1 s") == "1,1 s"


def test_a_finding_of_the_command_has_french_numbers():
    text = translator(Language.FRENCH)("18,449,022,976 bytes free for backups, twice the data is 51,110,696")
    assert "18\u202f449\u202f022\u202f976 octets libres" in text
    assert "51\u202f110\u202f696 octets" in text
