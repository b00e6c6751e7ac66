"""Numbers in French texts: a narrow space between thousands, a decimal comma; nothing else is touched."""

import pytest

from korrigo_backup.core.language import Language
from korrigo_backup.translation.catalogue import translator
from korrigo_backup.translation.numbers import in_french


@pytest.mark.parametrize(
    ("text", "french"),
    [
        ("1,234 lignes, 12,345,678 octets", "1\u202f234 lignes, 12\u202f345\u202f678 octets"),
        ("(2,500 tables)", "(2\u202f500 tables)"),
        ("sains après 1.5 s, 12.5 % libres", "sains après 1,5 s, 12,5 % libres"),
        ("5.0M nécessaires, 1.5K (3.0G)", "5,0M nécessaires, 1,5K (3,0G)"),
        ("clés 1,2, 3,45", "clés 1,2, 3,45"),
        ("PostgreSQL 15.3, 127.0.0.1:8000", "PostgreSQL 15.3, 127.0.0.1:8000"),
        ("/srv/1,234/a, a,123.txt, v1.5 s", "/srv/1,234/a, a,123.txt, v1.5 s"),
        ("1,234.txt et 1,234-5", "1,234.txt et 1,234-5"),
    ],
)
def test_only_numbers_that_people_read_are_written_in_french(text, french):
    assert in_french(text) == french


def test_a_translated_text_has_french_numbers():
    french = translator(Language.FRENCH)
    assert french("   healthy after 1.5 s") == "   sains après 1,5 s"
    assert french("all 1,234 files that rows name are there").endswith("1\u202f234 fichiers référencés par des lignes")


@pytest.mark.parametrize(
    "line", ["✅ Backup created: /b/db_backup_1.sql.gz (5.0M)", "Starting restoration of 1,234 objects..."]
)
def test_a_line_of_the_runbook_stays_as_it_is(line):
    assert translator(Language.FRENCH)(line) == line


@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_has_no_plural(number):
    french = translator(Language.FRENCH)(f"{number} day{'' if number == 1 else 's'} old")
    assert french == f"âge {number} jour{'' if number < 2 else 's'}"
