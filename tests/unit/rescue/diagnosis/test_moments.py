"""The moments at which tables changed, from what the manifests say."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from korrigo_backup.rescue.diagnosis.moments import MomentKind, PointTables, last_losses, moments, unknown_between
from property_testing import given, st

BEGIN = datetime(2026, 5, 1, 3, tzinfo=UTC)


def states(*tables, rules=()):
    return [
        PointTables(BEGIN + timedelta(days=n), f"dump{n}", rules[n] if rules else "rule", one)
        for n, one in enumerate(tables)
    ]


def kinds(*tables, **options):
    return [(one.table, one.kind, one.source) for one in moments(states(*tables, **options))]


def test_each_change_has_the_two_states_between_which_it_happened():
    (one,) = moments(states({"t": (5, "a")}, {"t": (5, "a")}, {"t": (3, "b")}))
    assert (one.former, one.source, one.rows_before, one.rows) == ("dump1", "dump2", 5, 3)
    assert (one.kind, one.is_loss) == (MomentKind.FEWER, True)


def test_the_kinds_of_changes():
    first, second = {"a": (1, "x"), "b": (2, "x"), "c": (2, "x")}, {"a": (0, "0"), "c": (2, "y"), "d": (1, "x")}
    assert kinds(first, second) == [
        ("a", MomentKind.EMPTIED, "dump1"),
        ("b", MomentKind.GONE, "dump1"),
        ("c", MomentKind.CHANGED, "dump1"),
        ("d", MomentKind.NEW, "dump1"),
    ]


def test_a_table_that_goes_back_to_a_former_state_has_changed_twice():
    assert len(kinds({"t": (1, "x")}, {"t": (1, "y")}, {"t": (1, "x")})) == 2


def test_digests_of_two_rules_or_of_none_are_not_compared():
    tables = {"t": (1, "x")}, {"t": (1, "y")}, {"t": (1, "z")}
    assert kinds(*tables, rules=("old", "new", None)) == []
    assert unknown_between(states(*tables, rules=("old", "new", None))) == 2
    assert kinds({"t": (1, None)}, {"t": (1, "y")}) == []


def test_only_wanted_tables():
    assert moments(states({"a": (1, "x"), "b": (1, "x")}, {}), {"b"})[0].table == "b"


def test_the_newest_loss_of_a_table_counts():
    found = moments(states({"t": (5, "a")}, {"t": (4, "b")}, {"t": (6, "c")}, {"t": (2, "d")}))
    assert last_losses(found)["t"].rows_before == 6


contents = st.one_of(st.none(), st.tuples(st.integers(0, 2), st.sampled_from("xy")))


@given(st.lists(contents, min_size=1, max_size=8))
def test_a_table_is_the_same_between_two_moments(contents):
    found = moments(states(*({"t": one} if one else {} for one in contents)))
    changed = {int(one.source.removeprefix("dump")) for one in found}
    for number, (former, now) in enumerate(pairwise(contents), 1):
        assert (number in changed) == (former != now)
