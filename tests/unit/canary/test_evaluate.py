"""Which differences from the site's own history are an alarm."""

from datetime import UTC, datetime, timedelta

import pytest

from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.canary.evaluate import calm, evaluate, is_alarm, lowest, usual
from korrigo_backup.canary.model import HistoryComparison, ReplacedFiles, SavedCounts
from property_testing import given, st

NOW = datetime(2026, 2, 4, 3, tzinfo=UTC)
"""A Wednesday."""


def state(days, rows=None, *, files=None, size=None, migrations=("exams.0001_initial",), digests=None):
    created = NOW - timedelta(days=days)
    return SavedCounts(
        name=f"backup {days}",
        created=created,
        clock=created.replace(tzinfo=None),
        rows=rows or {},
        digests=digests or {},
        migrations=frozenset(migrations),
        files=files,
        bytes=files * 100_000 if files is not None and size is None else size,
    )


def found(newest, *history, kind=Kind.SQL, confirmed=False, change=None):
    return evaluate(HistoryComparison(kind=kind, newest=newest, history=history, confirmed=confirmed, change=change))


def alarms(newest, *history, **more):
    return [finding.id for finding in found(newest, *history, **more) if is_alarm([finding])]


def nights(rows, *, count=7):
    return [state(days, rows) for days in range(1, count + 1)]


FORTY = {f"public.t{n}": 20 * n for n in range(1, 41)}


@given(name=st.sampled_from(sorted(FORTY)), count=st.integers(2, 30))
def test_one_emptied_table_among_forty_is_found(name, count):
    (finding,) = found(state(0, {**FORTY, name: 0}), *nights(FORTY, count=count))
    assert finding.id == "canary.emptied"
    assert name in finding.message


def test_a_small_table_without_history_may_become_empty():
    assert alarms(state(0, {"t": 0}), *nights({"t": 3}, count=5)) == []


def test_a_small_table_that_never_changed_must_not_become_empty():
    assert alarms(state(0, {"t": 0}), *nights({"t": 3}, count=14)) == ["canary.emptied"]


def test_a_table_that_is_empty_now_and_then_may_be_empty():
    history = [state(days, {"t": 0 if days == 4 else 500}) for days in range(1, 10)]
    assert alarms(state(0, {"t": 0}), *history) == []


def test_a_third_of_the_rows_gone_over_night_is_found():
    assert alarms(state(0, {"t": 600}), *nights({"t": 1000})) == ["canary.rows"]
    assert alarms(state(0, {"t": 800}), *nights({"t": 1000})) == []


def test_rows_lost_from_a_table_that_grows_are_found():
    growing = [state(days, {"t": 2000 - 40 * days}) for days in range(1, 26)]
    assert alarms(state(0, {"t": 1200}), *growing) == ["canary.rows"]


def test_a_cleaning_once_a_week_is_usual():
    history = [state(days, {"t": 100 + 100 * ((7 - days) % 7)}) for days in range(1, 15)]
    assert history[0].rows["t"] == 700
    assert alarms(state(0, {"t": 100}), *history) == []


def test_a_rhythm_by_weekday_counts_after_four_weeks():
    rows = {days: 2 if days % 7 == 0 else 1000 for days in range(1, 36)}
    for days in (7, 14):
        del rows[days]  # the last two of that weekday were not saved
    history = [state(days, {"t": count}) for days, count in rows.items()]
    values = [(one, one.rows["t"]) for one in history]
    assert (usual(values, state(0)), lowest(values, state(0))) == (1000, 1000)
    four = [state(days, {"t": 2 if days % 7 == 0 else 1000}) for days in range(1, 36) if days != 7]
    values = [(one, one.rows["t"]) for one in four]
    assert (usual(values, state(0)), lowest(values, state(0))) == (2, 2)
    assert alarms(state(0, {"t": 3}), *four) == []


TABLES = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 5000), min_size=1)


@given(history=st.lists(TABLES, min_size=1, max_size=12), data=st.data())
def test_growth_is_never_an_alarm(history, data):
    states = [state(days, rows, files=sum(rows.values())) for days, rows in enumerate(history, 1)]
    more = {name: rows + data.draw(st.integers(0, 10**6)) for name, rows in history[0].items()}
    assert alarms(state(0, more, files=sum(history[0].values())), *states) == []


@given(history=TABLES, now=TABLES)
def test_a_site_with_two_backups_has_no_history(history, now):
    assert found(state(0, now, files=0), state(1, history, files=501)) == ()


def test_after_a_persons_word_one_backup_is_history_enough():
    assert alarms(state(0, {"t": 0}), state(1, {"t": 500}), confirmed=True) == ["canary.emptied"]


def test_an_exam_week_is_no_alarm():
    week = {"exams.copy": 40_000, "exams.annotation": 250_000, "auth.user": 900}
    assert (
        found(state(0, week, files=9000), *(state(d, dict.fromkeys(week, 800), files=501) for d in range(1, 8))) == ()
    )


def test_a_migration_that_drops_or_renames_a_table_is_news():
    before = [state(days, {"a": 100, "b": 70}, digests={"a": "x", "b": "y"}) for days in (1, 2, 3)]
    dropped = found(state(0, {"a": 100}, migrations=("exams.0001_initial", "exams.0002_drop")), *before)
    assert [(one.id, one.level) for one in dropped] == [("canary.schema", "ok")]
    renamed = found(state(0, {"a": 100, "c": 70}, digests={"a": "x", "c": "y"}), *before)
    assert [(one.id, one.level) for one in renamed] == [("canary.schema", "ok")]


def test_a_table_dropped_without_a_migration_is_an_alarm():
    assert alarms(state(0, {"a": 100}), *nights({"a": 100, "b": 70})) == ["canary.dropped"]
    bare = [state(days, {"a": 100, "b": 70}, migrations=()) for days in (1, 2, 3)]
    assert alarms(state(0, {"a": 100}, migrations=()), *bare) == []


@pytest.mark.parametrize(("files", "ids"), [(0, ["canary.files"]), (300, ["canary.files"]), (400, []), (501, [])])
def test_missing_media_files(files, ids):
    history = [state(days, files=501) for days in range(1, 5)]
    assert alarms(state(0, files=files), *history, kind=Kind.MEDIA) == ids


def test_files_that_were_cut_are_found_by_their_bytes():
    history = [state(days, files=501) for days in range(1, 5)]
    assert alarms(state(0, files=501, size=501), *history, kind=Kind.MEDIA) == ["canary.bytes"]


@pytest.mark.parametrize(
    ("change", "ids"),
    [
        (ReplacedFiles(files=501, lost=501, read=32, opaque=32, read_before=32), ["canary.encrypted"]),
        (ReplacedFiles(files=501, lost=200, read=32, opaque=20, read_before=32), ["canary.encrypted"]),
        (ReplacedFiles(files=501, lost=501, read=32, opaque=0, read_before=32), []),
        (ReplacedFiles(files=501, lost=501, read=32, opaque=32, read_before=32, opaque_before=32), []),
        (ReplacedFiles(files=501, lost=40, read=32, opaque=32, read_before=32), []),
        (ReplacedFiles(files=501, lost=501), []),
    ],
)
def test_a_tree_of_equal_size_is_encrypted_if_its_types_are_gone(change, ids):
    history = [state(days, files=501) for days in range(1, 5)]
    assert alarms(state(0, files=501), *history, kind=Kind.MEDIA, change=change) == ids


def test_an_alarm_does_not_become_the_usual_state():
    good = nights(FORTY)
    bad = [state(-days, dict.fromkeys(FORTY, 0)) for days in (2, 1, 0)]
    assert calm(Kind.SQL, [*bad, *good], ()) == tuple(good)
    assert calm(Kind.SQL, [*bad, *good], {bad[2].name})[0] == bad[0]


@given(values=st.lists(st.integers(0, 10**6), min_size=1, max_size=40))
def test_the_lowest_is_never_above_the_last_value_and_the_usual_is_between(values):
    pairs = [(state(days), value) for days, value in enumerate(values, 1)]
    assert lowest(pairs, state(0)) <= values[0]
    assert min(values) <= usual(pairs, state(0)) <= max(values)
