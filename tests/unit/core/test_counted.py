"""Numbers with their nouns."""

import pytest

from korrigo_backup.core.counted import counted
from korrigo_backup.report.tongue import Tongue, in_french


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (0, ("row",), "0 rows"),
        (1, ("row",), "1 row"),
        (2500, ("row",), "2,500 rows"),
        (1, ("copy", "copies"), "1 copy"),
        (2, ("copy", "copies"), "2 copies"),
    ],
)
def test_one_takes_the_singular(number, words, text):
    assert counted(number, *words) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 copie complète"), (1, "1 copie complète"), (2500, "2\u202f500 copies complètes")],
)
def test_in_french_none_and_one_take_the_singular(number, text):
    assert in_french(number, "copie complète") == text


def test_the_thousands_of_a_report_are_those_of_its_language():
    assert (Tongue("en").count(3069), Tongue("fr").count(3069)) == ("3,069", "3\u202f069")
