"""The admin's pages that look into a dump: who sees which rows, pages, search, a row next to the live one."""

import os
import subprocess
import uuid
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import setup_test_environment, teardown_test_environment
from django.utils.html import format_html

from korrigo_backup.djangoapp.look import presented
from korrigo_backup.rescue.saved import page as rows
from sandbox import KORRIGO
from testsite.models import Everything, Tag

EXAM = uuid.UUID(int=5)


@pytest.fixture(autouse=True)
def _contexts():
    """Answers keep the values that their templates had."""
    setup_test_environment()
    yield
    teardown_test_environment()


@pytest.fixture
def look(databases, tmp_path, monkeypatch):
    """The address of the looks into a dump of the site's database, which the settings name."""
    databases("default")
    Tag.objects.bulk_create(Tag(code=f"tag {number:03}") for number in range(120))
    moment = datetime(2026, 5, 4, 12, tzinfo=UTC)
    Everything.objects.create(id=EXAM, text="back\\slash\tand\nline é", moment=moment, amount="12.5", data={"a": 1})
    owner = User.objects.create_user("owner", password="not to be seen")
    kind = ContentType.objects.get_for_model(Tag)
    LogEntry.objects.create(user=owner, content_type=kind, object_id="x", object_repr="a tag", action_flag=CHANGE)
    default, out = settings.DATABASES["default"], tmp_path / "out"
    env = {
        "PATH": os.environ["PATH"], "HOME": str(tmp_path), "POSTGRES_HOST": default["HOST"], "BACKUP_DIR": str(out),
        "POSTGRES_PORT": default["PORT"], "POSTGRES_USER": default["USER"], "POSTGRES_PASSWORD": default["PASSWORD"],
        "POSTGRES_DB": "site",
    }  # fmt: skip
    subprocess.run([str(KORRIGO), "backup", "db"], env=env, cwd=tmp_path, check=True, capture_output=True, timeout=60)
    monkeypatch.setattr(settings, "KORRIGO_BACKUP_DIR", out, raising=False)
    (name,) = [path.name for path in out.glob("db_backup_2*.gz")]
    return f"/admin/korrigo_backup/backups/backup/{name}/look/"


def staff(*codenames):
    """A member of staff who is logged in."""
    user = User.objects.create_user(f"staff{User.objects.count()}", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=("view_backups", *codenames)))
    found = Client()
    found.force_login(user)
    return found


def address(look, table, **query):
    """The address of a table's rows."""
    words = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in query.items())
    return f"{look}{quote(table, safe='')}/?{words}"


TAGS = 'public."Upper Case Tag"'
EVERYTHING = "public.testsite_everything"


def test_a_look_needs_its_permission_and_that_of_the_model(look):
    assert staff().get(look).status_code == 403
    assert f'href="{look}"' not in staff().get(look.removesuffix("look/")).content.decode()
    one = staff("look_into_backups", "view_tag")
    assert f'href="{look}"' in one.get(look.removesuffix("look/")).content.decode()
    seen = one.get(look).content.decode()
    assert ("Upper Case Tag" in seen, "auth_user" in seen) == (True, False)
    assert one.get(address(look, TAGS)).status_code == 200
    for table in ("public.auth_user", 'public."Legacy Table"', "public.nowhere", "pg_catalog.pg_authid"):
        assert one.get(address(look, table)).status_code == 404


def test_each_look_is_in_the_log_with_who_and_what(look):
    one = staff("look_into_backups", "view_tag")
    one.get(look)
    one.get(address(look, TAGS, p=2, q="tag"))
    one.get(f"{look}{quote(TAGS, safe='')}/row/?key=tag%20007")
    lines = [line.change_message for line in LogEntry.objects.filter(object_repr__startswith="db_").order_by("pk")]
    assert [len(lines), "page 2" in lines[1], "searched for 'tag'" in lines[1]] == [3, True, True]
    assert "testsite.Tag:tag 007" in lines[2]
    assert {line.user.username for line in LogEntry.objects.filter(object_repr__startswith="db_")} == {
        User.objects.latest("pk").username
    }


def test_pages_show_each_row_once_and_the_deleted_ones(look):
    Tag.objects.filter(code="tag 007").delete()
    one = staff("look_into_backups", "view_tag")
    found = []
    for number in (1, 2, 3):
        found += one.get(address(look, TAGS, p=number)).context["rows"]
    keys = [row["key"] for row in found]
    assert len(keys) == len(set(keys)) == Tag.objects.count() + 1
    assert [row["key"] for row in found if row["is_gone"]] == ["tag 007"]
    assert one.get(address(look, TAGS, p=999)).context["rows"] == []
    assert one.get(address(look, TAGS, p="x")).context["page"] == 1


def test_a_search_finds_text_in_any_case_and_goes_on_over_pages(look):
    one = staff("look_into_backups", "view_tag", "view_everything")
    first = one.get(address(look, TAGS, q="TAG 0"))
    assert (len(first.context["rows"]), first.context["after"]) == (50, 2)
    assert len(one.get(address(look, TAGS, q="TAG 0", p=2)).context["rows"]) == 50
    assert len(one.get(address(look, TAGS, q="tag 007")).context["rows"]) == 1
    assert len(one.get(address(look, EVERYTHING, q="LINE É")).context["rows"]) == 1
    assert "No row" in one.get(address(look, TAGS, q="<nobody>")).content.decode()


class EverythingAdmin(admin.ModelAdmin):
    """Columns that the row alone tells, and columns that need the database."""

    list_display = ("moment", "amount", "double", "is_long", "link", "tagged", "broken")
    readonly_fields = ("amount", "double", "tagged")

    def has_module_permission(self, _request):
        return False  # the urls of the admin are those of before

    @admin.display(description="twice the amount")
    def double(self, row):
        return row.amount * 2

    @admin.display(boolean=True)
    def is_long(self, row):
        return len(row.text) > 1_000

    def link(self, row):
        return format_html("<b>{}</b>", row.data["a"])

    def tagged(self, row):
        return row.tags.count()

    def broken(self, _row):
        raise ValueError("a fault of the site")


def test_the_columns_are_those_of_the_sites_own_admin_if_the_backup_has_them(look, monkeypatch):
    one = staff("look_into_backups", "view_everything")

    def columns():
        return [column.column or column.entry for column in one.get(address(look, EVERYTHING)).context["columns"]]

    assert columns()[:3] == ["id", "hidden", "moment"]
    monkeypatch.setitem(admin.site._registry, Everything, EverythingAdmin(Everything, admin.site))
    assert columns() == ["id", "moment", "amount", "double", "is_long", "link", "tagged"]
    monkeypatch.setattr(presented, "applied", lambda _alias: frozenset({"testsite.0001_of_another_state"}))
    assert columns()[:3] == ["id", "hidden", "moment"]


def test_a_computed_column_is_that_of_the_row_of_then_and_never_asks_the_database(look, monkeypatch):
    Everything.objects.filter(pk=EXAM).update(amount="1", data={"a": "of today"})
    one = staff("look_into_backups", "view_everything")
    page, row = address(look, EVERYTHING), f"{look}{EVERYTHING}/row/?key={EXAM}"
    assert one.get(row).context["computed"] == []
    monkeypatch.setitem(admin.site._registry, Everything, EverythingAdmin(Everything, admin.site))
    seen = one.get(page)
    (cells,) = [line["cells"] for line in seen.context["rows"] if line["key"] == str(EXAM)]
    assert (cells[3], "icon-no" in cells[4]) == ("25.0000", True)
    assert ("<b>1</b>" in seen.content.decode(), "of today" in seen.content.decode()) == (True, False)
    assert cells[6] is None, "it would be the number of today"
    shown = one.get(row)
    assert shown.context["computed"] == [("twice the amount", "25.0000"), ("Tagged", None)]
    assert shown.context["said"] == f"Everything object ({EXAM})"
    monkeypatch.setattr(EverythingAdmin, "list_display", ("broken",))
    assert one.get(page).context["rows"][0]["cells"][1:] == [None]


class AskingAdmin(admin.ModelAdmin):
    """Columns whose code catches an error, writes, keeps values in a cache, and looks at a file."""

    list_display = ("swallowing", "saving", "cached", "size")
    readonly_fields = list_display

    def has_module_permission(self, _request):
        return False

    def swallowing(self, row):
        try:
            return row.tags.count()
        except Exception:  # noqa: BLE001 - a site's code does so
            return "no tags"

    def saving(self, row):
        row.save()
        return "saved"

    def cached(self, row):
        return cache.get_or_set(f"total-{row.pk}", lambda: row.amount * 2)

    def size(self, row):
        return f"{row.file.name} {row.file.size}"


def test_a_computed_column_neither_tells_of_today_nor_changes_it(look, monkeypatch):
    Everything.objects.filter(pk=EXAM).update(amount="1")
    one = staff("look_into_backups", "view_everything")
    monkeypatch.setitem(admin.site._registry, Everything, AskingAdmin(Everything, admin.site))
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)  # noqa: FBT003
    before = LogEntry.objects.count()
    row = one.get(f"{look}{EVERYTHING}/row/?key={EXAM}")
    assert [value for _, value in row.context["computed"]] == [None, None, "25.0000", None]
    assert row.context["changed"] == 1, "the live row was read afterwards"
    (cells,) = [
        line["cells"] for line in one.get(address(look, EVERYTHING)).context["rows"] if line["key"] == str(EXAM)
    ]
    assert cells[1:] == [None, None, "25.0000", None]
    assert LogEntry.objects.count() == before + 2
    assert cache.get(f"total-{EXAM}") is None
    assert Everything.objects.get(pk=EXAM).amount == 1


def test_the_words_of_an_object_never_have_a_hidden_value(look, monkeypatch):
    monkeypatch.setattr(User, "__str__", lambda user: f"{user.username} {user.password}")
    one, owner = staff("look_into_backups", "view_user"), User.objects.get(username="owner")
    seen = one.get(f"{look}public.auth_user/row/?key={owner.pk}")
    assert (seen.context["said"], "md5$" in seen.content.decode()) == (None, False)


def test_a_row_stands_next_to_the_live_one_with_the_differences(look):
    one = staff("look_into_backups", "view_everything", "bring_back")
    page = f"{look}{EVERYTHING}/row/?key={EXAM}"
    assert one.get(page).context["changed"] == 0
    Everything.objects.filter(pk=EXAM).update(text="other", amount="7", moment=None)
    seen = one.get(page)
    fields = {field["name"]: field for field in seen.context["fields"]}
    assert {name for name, field in fields.items() if field["differs"]} == {"text", "amount", "moment"}
    assert (fields["text"]["saved"], fields["text"]["live"]) == ("back\\slash\tand\nline é", "other")
    Everything.objects.filter(pk=EXAM).delete()
    seen = one.get(page)
    assert (seen.context["is_gone"], "korrigo-bring-back" in seen.content.decode()) == (True, True)
    assert f"?objects=testsite.Everything%3A{EXAM}" in seen.content.decode()
    assert one.get(f"{look}{EVERYTHING}/row/?key={uuid.uuid4()}").status_code == 404
    assert one.get(f"{look}{EVERYTHING}/row/").status_code == 404


def test_secrets_are_neither_shown_nor_found(look):
    one = staff("look_into_backups", "view_user")
    owner = User.objects.get(username="owner")
    seen = one.get(f"{look}public.auth_user/row/?key={owner.pk}").content.decode()
    assert ("owner" in seen, "md5$" in seen, owner.password in seen) == (True, False, False)
    assert one.get(address(look, "public.auth_user", q="md5$")).context["rows"] == []
    assert len(one.get(address(look, "public.auth_user", q="owner")).context["rows"]) == 1


def test_a_look_ends_after_its_time_in_words(look, monkeypatch):
    monkeypatch.setattr(rows, "SECONDS", -1.0)
    seen = staff("look_into_backups", "view_tag").get(address(look, TAGS))
    assert (seen.status_code, "the operator of the host can look it up" in seen.content.decode()) == (200, True)


def test_a_dump_that_was_changed_is_not_shown(look):
    (path,) = settings.KORRIGO_BACKUP_DIR.glob("db_backup_2*.gz")
    raw = bytearray(path.read_bytes())
    raw[len(raw) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(raw)
    seen = staff("look_into_backups", "view_tag").get(address(look, TAGS))
    assert 'role="alert"' in seen.content.decode()
    assert "tag 007" not in seen.content.decode()


def test_the_site_reads_no_rows_itself_once_the_host_has_an_erasure_ledger(look, monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "KORRIGO_BACKUP_REQUESTS_DIR", None, raising=False)
    page, one = look.removesuffix("look/"), staff("look_into_backups", "view_tag")
    (settings.KORRIGO_BACKUP_DIR / ".erasures").write_text("")
    assert one.get(look).status_code == 404
    assert one.get(address(look, TAGS)).status_code == 404
    assert one.get(f"{look}{quote(TAGS, safe='')}/row/?key=tag%20007").status_code == 404
    seen = one.get(page).content.decode()
    assert ('id="korrigo-cannot-look"' in seen, f'href="{look}"' in seen) == (True, False)
    monkeypatch.setattr(settings, "KORRIGO_BACKUP_REQUESTS_DIR", tmp_path / "spool", raising=False)
    assert f'href="{page}ask/"' in one.get(page).content.decode()
    (settings.KORRIGO_BACKUP_DIR / ".erasures").unlink()
    monkeypatch.setattr(settings, "KORRIGO_BACKUP_ERASURE", tmp_path / "forget", raising=False)
    assert one.get(look).status_code == 404


def test_tables_of_sessions_and_tokens_are_shown_to_no_superuser(look):
    user = User.objects.create_superuser("root")
    one = Client()
    one.force_login(user)
    seen = one.get(look).content.decode()
    assert ("django_session" in seen, "auth_user" in seen) == (False, True)
    assert one.get(address(look, "public.django_session")).status_code == 404


def test_a_row_is_presented_as_the_sites_model_does_where_the_migrations_agree(look, monkeypatch):
    owner, entry = User.objects.get(username="owner"), LogEntry.objects.get(object_repr="a tag")
    one = staff("look_into_backups", "view_logentry", "view_user")
    page = f"{look}public.django_admin_log/row/?key={entry.pk}"
    seen = one.get(page)
    fields = {field["name"]: field for field in seen.context["fields"]}
    assert (fields["action_flag"]["label"], fields["action_flag"]["words"]) == ("action flag", "Change")
    link = f'href="{look}public.auth_user/row/?key={owner.pk}"'
    assert link in seen.content.decode()
    rows = one.get(address(look, "public.django_admin_log"))
    assert (
        "action flag" in [one.head for one in rows.context["columns"]],
        "Change" in rows.context["rows"][0]["cells"],
    ) == (True, True)
    assert link not in staff("look_into_backups", "view_logentry").get(page).content.decode()
    monkeypatch.setattr(presented, "applied", lambda _alias: ("admin.9999_later",))
    seen = one.get(page)
    fields = {field["name"]: field for field in seen.context["fields"]}
    assert (fields["action_flag"]["label"], fields["action_flag"]["words"]) == ("action_flag", "")
    assert (link in seen.content.decode(), "not known to have" in seen.content.decode()) == (False, True)
