"""The output of migrate, read: the migrations that it applied, their seconds, and the migration that failed."""

import pytest

from korrigo_backup.drill.rehearse import Migration, migrations_in

OUTPUT = """Operations to perform:
  Apply all migrations: admin, exams
Running pre-migrate handlers for application exams
Running migrations:
  Applying exams.0003_more... OK (0.041s)
  Applying exams.0004_names...  OK (12.500s)
  Applying auth.0013_x... FAKED (0.002s)
"""


def test_each_applied_migration_has_its_seconds():
    assert list(migrations_in(OUTPUT))[:2] == [Migration("exams.0003_more", 0.041), Migration("exams.0004_names", 12.5)]


@pytest.mark.parametrize("end", ["  Applying exams.0005_last...", "  Applying exams.0005_last...Traceback"])
def test_a_migration_without_a_result_is_the_one_that_failed(end):
    assert list(migrations_in(OUTPUT + end))[-1] == Migration("exams.0005_last", None)
