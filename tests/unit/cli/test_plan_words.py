"""A plan shows rows added, changed and removed where they are known, and only there."""

from datetime import UTC, datetime

from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.cli.plan import say_plan
from korrigo_backup.restore.plan import RestorePlan, TableChange


def output(capsys, *tables):
    say_plan(RestorePlan(artifact="a", kind=Kind.SQL, created=datetime(2026, 2, 4, tzinfo=UTC), replaces=(),
                         tables=tables))  # fmt: skip
    return [line.split() for line in capsys.readouterr().out.splitlines()]


def test_rows_are_shown_by_key_next_to_the_counts(capsys):
    lines = output(
        capsys,
        TableChange("public.exam", 21, 20, identical=False, added=1, changed=3, removed=0),
        TableChange("public.copy", None, 300, identical=False),
    )
    assert ["TABLE", "NOW", "AFTER", "ROWS", "+", "~", "-"] in lines
    assert ["public.exam", "21", "20", "-1", "1", "3", "0"] in lines
    assert ["public.copy", "-", "300", "comes", "back", "-", "-", "-"] in lines


def test_without_rows_by_key_there_are_no_columns_for_them(capsys):
    lines = output(capsys, TableChange("public.exam", 21, 20, identical=False))
    assert ["TABLE", "NOW", "AFTER", "ROWS"] in lines
    assert ["public.exam", "21", "20", "-1"] in lines
