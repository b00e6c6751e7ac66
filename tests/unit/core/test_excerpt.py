"""The first of many names in a message."""

import pytest

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import error, headline, warning


@pytest.mark.parametrize(
    ("names", "shown"),
    [([], ""), (["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c"], "a, b and 1 more"), ("abcde", "a, b and 3 more")],
)
def test_the_first_names_are_shown_and_the_others_counted(names, shown):
    assert first_of(list(names), 2) == shown


def test_the_separator_stands_between_the_names_alone():
    assert first_of(["a", "b", "c"], 2, "; ") == "a; b and 1 more"


@pytest.mark.parametrize(
    ("names", "count", "shown"),
    [(["a"], 4, "a and 3 more"), (["a", "b", "c"], 9, "a, b and 7 more"), (["a", "b"], 2, "a, b")],
)
def test_names_that_are_only_the_first_are_counted_by_the_number_of_all(names, count, shown):
    assert first_of(names, 2, count=count) == shown


def test_a_headline_is_the_first_finding_and_the_number_of_the_others():
    assert headline([error("x", "torn")]) == "torn"
    assert headline([error("x", "torn"), warning("y", "late")]) == "torn (and 1 more)"


def test_a_search_that_ended_early_counts_the_others_at_least():
    assert first_of(["a", "b", "c", "d"], 2, least=True) == "a, b and more than 1 more"
