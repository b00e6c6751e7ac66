"""Rows against files: nothing is missed, whatever the names; and the small decisions beside it."""

from datetime import UTC, datetime

import pytest

from korrigo_backup.artifact.consistency import SHOWN, compare, findings
from korrigo_backup.core.paths import order
from korrigo_backup.core.site_description import PathColumn, PathKind
from korrigo_backup.errors import UsageError
from korrigo_backup.postgres.references import parse_column
from korrigo_backup.restore.checklist import QUESTIONS, unanswered
from korrigo_backup.run.record import Outcome, Record, Timed, downtime, predicted_downtime
from property_testing import given, st

names = st.text(alphabet="ab-/é\U0001f600\udc80 ", min_size=1, max_size=6)


@given(st.sets(names), st.dictionaries(names, st.booleans()))
def test_the_merge_finds_the_same_differences_as_sets(rows, files):
    named = ((path, "c") for path in sorted(rows, key=order))
    found = compare(["c"], named, sorted(files.items(), key=lambda item: order(item[0])))
    assert found.references == len(rows)
    assert found.missing == len(rows - files.keys())
    assert found.orphans == len(files.keys() - rows)
    assert found.empty == sum(files[name] for name in rows & files.keys())
    assert len(found.first_missing) == min(found.missing, SHOWN)


def test_a_clean_comparison_is_one_good_line():
    (line,) = findings(compare(["c"], [("a", "t.c")], [("a", False)]))
    assert (line.id, line.level) == ("media.references", "ok")


def test_a_column_is_given_with_or_without_schema_and_json_path():
    assert parse_column("exams_copy.pdf") == PathColumn(table="exams_copy", column="pdf", kind=PathKind.TEXT)
    assert parse_column("s.t.c:$.a[*].b") == PathColumn(
        table="t", column="c", schema="s", kind=PathKind.JSON, path="$.a[*].b"
    )
    for bad in ("", "pdf", "a.b.c.d", "t.", ".c"):
        with pytest.raises(UsageError, match="is not a column that holds paths"):
            parse_column(bad)


def test_a_ticket_or_a_reason_answers_the_incident():
    everything = {question.key: "given" for question in QUESTIONS}
    assert unanswered(everything) == []
    assert unanswered(everything | {"ticket": ""}) == []
    assert [q.key for q in unanswered(everything | {"window": ""})] == ["window"]
    assert len(unanswered({})) == len(QUESTIONS)


def test_downtime_is_from_stop_to_health_and_predicted_by_the_median_of_the_last():
    steps = [Timed("restore.load", 1.0), Timed("restore.stop", 5.0), Timed("restore.healthy", 6.5)]
    assert downtime(steps) == 1.5
    assert downtime(steps[:2]) is None
    assert predicted_downtime([]) is None

    def record(seconds, verb="restore"):
        when = datetime(2026, 2, 4, tzinfo=UTC)
        done = Outcome.DONE
        return Record(id="1", verb=verb, subject="", site="", by="", started=when, outcome=done, downtime=seconds)

    assert predicted_downtime([record(99), *map(record, (1, 2, None, 3, 4, 5)), record(50, "backup")]) == 3
