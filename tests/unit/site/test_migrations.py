"""Applied migrations against those of the code, squashed ones included."""

import pytest

from korrigo_backup.core.site_description import AppMigrations
from korrigo_backup.site.migrations import MigrationDifference, compare

PLAIN = AppMigrations("exams", ("0001_initial", "0002_groups"), ("0002_groups",))
OLD = (("exams", "0001_initial"), ("exams", "0002_groups"))
SQUASHED = AppMigrations(
    "exams",
    ("0001_initial", "0001_squashed_0002", "0002_groups", "0003_more"),
    ("0003_more",),
    {"0001_squashed_0002": OLD},
)
CLEANED = AppMigrations("exams", ("0001_squashed_0002", "0003_more"), ("0003_more",), {"0001_squashed_0002": OLD})


def exams(*names):
    return {("exams", name) for name in names}


pytestmark = pytest.mark.contract("R6")


@pytest.mark.parametrize(
    ("applied", "code", "unapplied", "ahead", "gone"),
    [
        (exams("0001_initial", "0002_groups"), PLAIN, (), (), ()),
        (exams("0001_initial"), PLAIN, ("exams.0002_groups",), (), ()),
        (set(), PLAIN, ("exams.0001_initial", "exams.0002_groups"), (), ()),
        (exams("0001_initial", "0002_groups", "0003_x"), PLAIN, (), ("exams.0003_x",), ()),
        (exams("0001_initial", "0002_groups", "0002_old_name"), PLAIN, (), (), ("exams.0002_old_name",)),
        (exams("0001_initial", "0002_groups") | {("gone", "0009_x")}, PLAIN, (), (), ("gone.0009_x",)),
        (exams("0001_initial", "0002_groups", "0003_more"), SQUASHED, (), (), ()),
        (exams("0001_squashed_0002", "0003_more"), SQUASHED, (), (), ()),
        (exams("0001_initial", "0003_more"), SQUASHED, ("exams.0002_groups",), (), ()),
        (exams(), SQUASHED, ("exams.0001_squashed_0002", "exams.0003_more"), (), ()),
        (exams("0001_initial", "0002_groups", "0003_more"), CLEANED, (), (), ()),
        (exams("0001_initial", "0003_more"), CLEANED, ("exams.0001_squashed_0002",), (), ()),
    ],
)
def test_what_only_one_side_has(applied, code, unapplied, ahead, gone):
    assert compare(applied, [code]) == MigrationDifference(unapplied, ahead, gone)
