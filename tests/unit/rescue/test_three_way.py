"""The verdict on a value, evaluated by another SQL database than that of the sites."""

import sqlite3
from itertools import product

import pytest

from korrigo_backup.rescue.values.three_way import ValueVerdict, verdict


def judged(then, now, *after):
    """The verdict on one value; without `after` no later backup is known, and `missing` is a backup without the row."""
    database = sqlite3.connect(":memory:")
    for name, value in (("t", then), ("l", now), ("a", after[0] if after else None)):
        database.execute(f'CREATE TABLE {name} ("a ""b" text, korrigo_backup_here int)')
        if value != "missing":
            database.execute(f"INSERT INTO {name} VALUES (?, 1)", [value])
    expression = verdict('a "b', then="t", now="l", after="a" if after else None)
    ((found,),) = database.execute(f"SELECT {expression} FROM t, l LEFT JOIN a ON true")
    return ValueVerdict(found)


@pytest.mark.parametrize(
    ("then", "after", "now", "expected"),
    [
        ("1", "1", "1", ValueVerdict.SAME),
        ("1", "2", "1", ValueVerdict.SAME),
        ("1", "2", "2", ValueVerdict.PUT_BACK),
        ("1", "1", "2", ValueVerdict.NEWER),
        ("1", "2", "3", ValueVerdict.AGAIN),
        ("1", None, None, ValueVerdict.PUT_BACK),
        (None, "2", "2", ValueVerdict.PUT_BACK),
        (None, None, "2", ValueVerdict.NEWER),
        (None, "2", "3", ValueVerdict.AGAIN),
        ("1", "2", None, ValueVerdict.AGAIN),
        ("1.0", "1.00", "1.00", ValueVerdict.PUT_BACK),
        ("1", "missing", "2", ValueVerdict.AGAIN),
        (None, "missing", "2", ValueVerdict.AGAIN),
        ("1", "missing", None, ValueVerdict.AGAIN),
        ("1", "missing", "1", ValueVerdict.SAME),
    ],
)
def test_three_states_decide_on_a_value(then, after, now, expected):
    assert judged(then, now, after) is expected


def test_without_a_later_backup_every_other_value_is_put_back():
    for then, now in product(("1", "2", None), repeat=2):
        assert judged(then, now) is (ValueVerdict.SAME if then == now else ValueVerdict.PUT_BACK)


def test_a_value_that_nobody_but_the_accident_has_changed_is_the_only_one_that_is_put_back():
    for then, after, now in product(("1", "2", "3", None), repeat=3):
        assert (judged(then, now, after) is ValueVerdict.PUT_BACK) == (now == after != then)
