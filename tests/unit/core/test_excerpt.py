"""The first of many names in a message."""

import pytest

from korrigo_backup.core.excerpt import first_of


@pytest.mark.parametrize(
    ("names", "shown"),
    [([], ""), (["a"], "a"), (["a", "b"], "a, b"), (["a", "b", "c"], "a, b and 1 more"), ("abcde", "a, b and 3 more")],
)
def test_the_first_names_are_shown_and_the_others_counted(names, shown):
    assert first_of(list(names), 2) == shown


def test_the_separator_stands_between_the_names_alone():
    assert first_of(["a", "b", "c"], 2, "; ") == "a; b and 1 more"
