"""The smallest ways back on the real stack, whose services go on serving; the ledger; a copy without persons."""

import json

import pytest

from compose.dockerstack import docker
from compose.test_product import files, korrigo

DELETE_AN_EXAM = """
import os
from exams.models import Copy, Exam
exam = Exam.everything.filter(copies__isnull=False).order_by("pk").first()
print("EXAM", exam.pk)
for copy in exam.copies.exclude(pdf=""):
    os.remove(copy.pdf.path)
Exam.everything.filter(pk=exam.pk).update(reference_copy=None)
exam.copies.all().delete()
exam.delete()
"""

ERASE_A_STUDENT = """
from exams.models import Student
student = Student.objects.order_by("pk").first()
print("STUDENT", student.pk, student.email)
student.delete()
"""


def digests(stack, database="viatique"):
    """Rows and a digest of each table, but of those into which the services write by themselves."""
    tables = stack.sql(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'"
        " AND relname !~ '^(django_session|django_celery|exams_gradingevent)' ORDER BY relname",
        database,
    ).split()
    one = "SELECT '{0}', count(*), md5(string_agg(t::text, ',' ORDER BY t::text)) FROM \"{0}\" t"
    return stack.sql(" UNION ALL ".join(one.format(table) for table in tables), database)


def starts(stack):
    """When each container was started: a service that was stopped meanwhile has another time."""
    names = stack.compose("ps", "--all", "--quiet").stdout.split()
    return docker("inspect", "--format", "{{.Name}} {{.State.StartedAt}}", *names)


def printed(stack, code, word):
    """Run `code` in the site's own Django and return the words of its line that begins with `word`."""
    lines = stack.manage("shell", "-c", code).stdout.splitlines()
    return next(line for line in lines if line.startswith(f"{word} ")).split()[1:]


@pytest.mark.promise("P2")
@pytest.mark.promise("P10")
def test_a_bad_day_is_taken_back_in_small_steps_and_no_service_is_stopped(stack):
    korrigo(stack, "backup", "full")
    saved, tree, running = digests(stack), files(stack), starts(stack)

    stack.sql("UPDATE exams_copy SET status = 'locked', score = NULL")
    (exam,) = printed(stack, DELETE_AN_EXAM, "EXAM")
    stack.sql("DELETE FROM exams_annotation WHERE id::text < '6'")
    wrecked = digests(stack)
    assert wrecked != saved

    found = json.loads(korrigo(stack, "rescue", "--only-data", "--json", code=(0, 3, 9)))
    lost = {table["table"] for table in found["losses"]["tables"]}
    assert {"public.exams_copy", "public.exams_exam", "public.exams_annotation"} <= lost

    assert "exams_copy" in korrigo(stack, "undelete", f"exams.Exam:{exam}", "--yes")
    assert files(stack) == tree
    korrigo(stack, "revert", "--table", "exams.Copy", "--from", "latest-point", "--yes")
    korrigo(stack, "restore", "latest-point", "--table", "exams_annotation", "--yes")
    assert digests(stack) == saved
    assert starts(stack) == running

    for _ in range(3):
        korrigo(stack, "rollback", "--yes")
    assert digests(stack) == wrecked
    assert starts(stack) == running
    korrigo(stack, "restore", "latest-point", "--yes", "--no-safety-backup")
    assert (digests(stack), files(stack)) == (saved, tree)


@pytest.mark.promise("P9")
def test_an_erased_student_does_not_come_back_with_a_restore(stack):
    korrigo(stack, "backup", "full")
    key, address = printed(stack, ERASE_A_STUDENT, "STUDENT")
    korrigo(stack, "forget", f"exams.Student:{key}", "--reason", "request 2026-17")
    output = korrigo(stack, "restore", "latest-point", "--yes", "--no-safety-backup")
    assert "completed successfully" in output
    assert stack.sql(f"SELECT count(*) FROM exams_student WHERE id = {key} OR email = '{address}'") == "0"


RULES = """
locale = "fr_FR"
empty = ["django_session", "django_admin_log"]
accept = ["exams_profile.role"]

[tables.auth_user]
username = "hash"
email = "faker:email"
first_name = "faker:first_name"
last_name = "faker:last_name"
password = "constant:!"

[tables.exams_student]
first_name = "faker:first_name"
last_name = "faker:last_name"
email = "faker:email"
birth_date = "faker:date_of_birth"
"""


@pytest.mark.promise("P7")
def test_a_copy_without_persons_is_kept_next_to_the_site(stack):
    korrigo(stack, "backup", "full")
    saved = digests(stack)
    people = stack.sql("SELECT email FROM exams_student ORDER BY email").split()
    (stack.root / "rules.toml").write_text(RULES)
    output = korrigo(stack, "drill", "--anonymise", "rules.toml", "--keep")
    (copy,) = stack.sql("SELECT datname FROM pg_database WHERE datname ~ '^viatique_anonym'").split()
    assert copy in output
    addresses = stack.sql("SELECT email FROM exams_student ORDER BY email", copy).split()
    assert len(addresses) == len(people)
    assert not set(addresses) & set(people)
    assert digests(stack) == saved
    stack.sql(f'DROP DATABASE "{copy}"')
