"""Objects as a person types them, and the tables that they mean."""

import pytest

from korrigo_backup.core.site_description import TableName
from korrigo_backup.errors import NotFound, UsageError
from korrigo_backup.rescue.objects import find_table, parse_object, written_object
from property_testing import given, st

LABELS = {
    "exams.exam": TableName("exams_exam"),
    "exams.copy": TableName("Copies of Exams", "archive"),
    "auth.user": TableName("auth_user"),
    "people.user": TableName("people_user"),
}
TABLES = {"public.exams_exam", 'archive."Copies of Exams"', "public.auth_user", "public.people_user", "other.auth_user"}


@pytest.mark.parametrize(
    ("text", "model", "values"),
    [
        ("exams.Exam:12", "exams.Exam", ("12",)),
        ("exam:a:b", "exam", ("a:b",)),
        ('"odd:name":1', '"odd:name"', ("1",)),
        ("seat:(1,B)", "seat", ("1", "B")),
        ('seat:(1, "B, ""left""")', "seat", ("1", 'B, "left"')),
        ('seat:("")', "seat", ("",)),
        ('seat:("(x)")', "seat", ("(x)",)),
    ],
)
def test_an_object_is_a_model_and_a_key(text, model, values):
    typed = parse_object(text)
    assert (typed.model, typed.values) == (model, values)


@pytest.mark.parametrize("text", ["exams.Exam", "12", ":12", "exam:", 'seat:(1,"B)', "seat:(1,B,)", "seat:(a(b)"])
def test_another_text_is_refused(text):
    with pytest.raises(UsageError):
        parse_object(text)


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_a_written_object_is_read_as_it_was(values):
    assert parse_object(written_object("exam", values)).values == tuple(values)


@pytest.mark.parametrize(
    ("model", "table", "label"),
    [
        ("exams.Exam", "public.exams_exam", "exams.exam"),
        ("Exam", "public.exams_exam", "exams.exam"),
        ("copy", 'archive."Copies of Exams"', "exams.copy"),
        ("exams_exam", "public.exams_exam", "exams.exam"),
        ("other.auth_user", "other.auth_user", "auth.user"),
        ('"Copies of Exams"', 'archive."Copies of Exams"', "exams.copy"),
    ],
)
def test_a_table_is_found_by_its_model_or_its_name(model, table, label):
    found = find_table(model, LABELS, TABLES, ("public",))
    assert (found.table, found.label, found.note) == (table, label, "")


def test_the_schema_that_the_role_sees_first_wins():
    assert find_table("auth_user", {}, TABLES, ("other", "public")).table == "other.auth_user"


def test_a_model_of_two_apps_is_ambiguous():
    with pytest.raises(UsageError, match="several apps") as raised:
        find_table("user", LABELS, TABLES)
    assert "auth.user, people.user" in raised.value.hint


def test_a_name_that_is_near_is_offered():
    with pytest.raises(NotFound) as raised:
        find_table("exams.Exan", LABELS, TABLES)
    assert "exams.exam" in raised.value.hint


def test_without_django_the_usual_table_of_a_model_is_taken_and_said():
    found = find_table("exams.Exam", None, TABLES)
    assert found.table == "public.exams_exam"
    assert "was not asked" in found.note


def test_without_django_a_name_of_several_tables_is_ambiguous():
    with pytest.raises(UsageError, match="3 tables"):
        find_table("user", None, TABLES)


def test_a_model_whose_table_does_not_exist_yet_is_named():
    with pytest.raises(NotFound, match="neither in the database nor in a backup"):
        find_table("exams.exam", LABELS, {"public.auth_user"})


def test_near_names_are_near():
    with pytest.raises(NotFound) as problem:
        find_table("nope", None, {"public.exams_note", "public.note", "public.mark"})
    assert "did you mean" not in problem.value.hint
    with pytest.raises(NotFound) as problem:
        find_table("marks", None, {"public.exams_note", "public.mark"})
    assert "did you mean public.mark?" in problem.value.hint
