"""Audit tables by their names and columns, and their entries."""

from datetime import UTC, datetime

import pytest

from korrigo_backup.rescue.history.audit_tables import AuditEntry, audit_tables, entry, together

ADMIN = ("id", "action_time", "object_id", "object_repr", "action_flag", "change_message", "content_type_id", "user_id")
AUDITLOG = ("id", "object_pk", "object_id", "action", "changes", "timestamp", "actor_id", "content_type_id")
HISTORY = ("id", "name", "history_id", "history_date", "history_type", "history_user_id", "history_change_reason")
TABLES = {
    "public.django_admin_log": ADMIN,
    "public.auditlog_logentry": AUDITLOG,
    "public.exams_historicalexam": HISTORY,
    "public.exams_historicalcopy": HISTORY,
    "public.exams_exam": ("id", "name"),
    'public."Own Log"': ("id", "record_id", "changed_at", "changed_by"),
}
MOMENT = datetime(2026, 5, 3, 14, 2, tzinfo=UTC)


def found(configured=""):
    return {one.table: one for one in audit_tables(TABLES, "public.exams_exam", "id", configured)}


def test_the_usual_audit_tables_are_known():
    assert set(found()) == {"public.django_admin_log", "public.auditlog_logentry", "public.exams_historicalexam"}


def test_the_history_of_a_model_has_the_key_of_its_rows():
    assert found()["public.exams_historicalexam"].columns == (
        "id",
        "history_date",
        "history_user_id",
        "history_type",
        "history_change_reason",
    )


def test_the_sites_own_table_has_columns_of_usual_names():
    own = found("Own Log")['public."Own Log"']
    assert (own.key, own.moment, own.user, own.action) == ("record_id", "changed_at", "changed_by", "")


def test_an_entry_of_the_admin_names_the_fields():
    message = '[{"added": {}}, {"changed": {"fields": ["Mark", "Note"]}}]'
    values = {"action_time": "2026-05-03 16:02:00+02", "user_id": "5", "action_flag": "2", "change_message": message}
    made = entry(found()["public.django_admin_log"], values)
    assert made == AuditEntry(at=MOMENT, by="5", action="changed", message="Mark, Note", table="django_admin_log")


@pytest.mark.parametrize("moment", [None, "", "-infinity"])
def test_an_entry_without_a_time_is_left_out(moment):
    assert entry(found()["public.django_admin_log"], {"action_time": moment}) is None


def test_an_entry_of_two_sources_is_given_once_with_the_name_of_its_user():
    live, saved = (
        AuditEntry(at=MOMENT, by=by, action="changed", message="", table="django_admin_log") for by in ("marie", "5")
    )
    assert together([live], [saved]) == (live,)
