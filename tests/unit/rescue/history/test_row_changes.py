"""The changes of a row from state to state."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from korrigo_backup.errors import UsageError
from korrigo_backup.rescue.history.row_changes import LIVE, FieldChange, RowEventKind, RowState, column_of, row_events

BEGIN = datetime(2026, 5, 1, 3, tzinfo=UTC)


def states(*values):
    return [RowState(BEGIN + timedelta(days=n), f"dump{n}", one) for n, one in enumerate(values)]


def kinds(*values, field=None):
    return [(one.kind.value, one.source) for one in row_events(states(*values), field)]


def test_only_changes_are_events():
    mark = {"id": "1", "mark": "12"}
    assert kinds(mark, mark, {**mark, "mark": "14"}, None, None, mark) == [
        ("first seen", "dump0"),
        ("changed", "dump2"),
        ("gone", "dump3"),
        ("back", "dump5"),
    ]


def test_a_change_has_both_values_and_the_time_of_the_state_before():
    (_, changed) = row_events(states({"mark": "12", "note": None}, {"mark": "14", "note": None}))
    assert changed.fields == (FieldChange("mark", "12", "14"),)
    assert changed.after == BEGIN


def test_a_row_that_is_back_is_compared_with_its_last_values():
    *_, back = row_events(states({"mark": "12"}, None, {"mark": "13"}))
    assert (back.kind, back.fields) == (RowEventKind.BACK, (FieldChange("mark", "12", "13"),))


def test_a_row_that_came_later_was_not_there_before():
    (first,) = row_events(states(None, {"mark": "12"}))
    assert (first.kind, first.after) == (RowEventKind.FIRST, BEGIN)


def test_of_a_field_only_its_changes_are_events():
    assert kinds({"a": "1", "b": "1"}, {"a": "1", "b": "2"}, {"a": "2", "b": "2"}, field="a") == [
        ("first seen", "dump0"),
        ("changed", "dump2"),
    ]


def test_a_new_and_a_lost_column_are_changes_without_a_value():
    *_, changed = row_events(states({"a": "1"}, {"b": None}))
    assert changed.fields == (FieldChange("b", msgspec.UNSET, None), FieldChange("a", "1", msgspec.UNSET))
    assert b'{"field":"b","new":null}' in msgspec.json.encode(changed)


def test_a_field_is_a_column_or_the_column_of_its_foreign_key():
    assert column_of("exam", ["id", "exam_id"]) == "exam_id"
    assert column_of("id", ["id", "id_id"]) == "id"
    with pytest.raises(UsageError) as raised:
        column_of("marks", ["id", "mark"])
    assert raised.value.hint == "did you mean mark?"


def test_live_is_no_name_of_an_artifact():
    assert LIVE == "live"
