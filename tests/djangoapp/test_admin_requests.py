"""The admin's pages that ask the host: who may, what is written, what is shown, what is journaled."""

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.test import Client

from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.core.finding import warning
from korrigo_backup.requests.model import BringBackRequest, HostAnswer, LookRequest, PlanRequest, SavedPage, State
from korrigo_backup.rescue.undelete_plan import Conflict, ConflictKind, PlannedRow, PlannedTable, UndeletePlan, Why
from standings import NOW, backup
from testsite.models import Tag

DUMP, MEDIA = backup(3), backup(4, kind=Kind.MEDIA)
PAGE = f"/admin/korrigo_backup/backups/backup/{DUMP.name}/"
ROW = PlannedTable("public.exam", 1, 0, 0, ("id",), (PlannedRow(("5",), Why.ASKED, "<b>Bac & co</b>"),))
PLAN = UndeletePlan(DUMP.name, NOW, ("testsite.Tag:5",), (ROW,))


@pytest.fixture
def client(staff):
    """A member of staff with both permissions."""
    return staff("view_backups", "bring_back", "add_tag")


def _asked(spool):
    return [spool.read(id_) for id_ in spool.pending()[0]]


def _answer(spool, **given):
    fields = {"at": datetime.now(UTC), "by": "x", "backup": DUMP.name, "objects": ("testsite.Tag:5",)}
    answer = HostAnswer(**{"id": "a" * 32, "state": State.PLANNED, "plan": PLAN, "digest": "d" * 64, **fields, **given})
    spool.answer(answer)
    return answer


def test_the_permission_to_view_is_not_enough_nor_is_the_other_alone(spool, staff):
    _answer(spool)
    for codename in ("view_backups", "bring_back"):
        one = staff(codename)
        for address in (f"{PAGE}bring-back/", f"{PAGE}bring-back/{'a' * 32}/"):
            assert one.get(address).status_code == 403
            assert one.post(address, {"objects": "testsite.Tag:5", "digest": "d" * 64}).status_code == 403
    assert "bring-back" not in staff("view_backups").get(PAGE).content.decode()
    assert (_asked(spool), LogEntry.objects.count()) == ([], 0)


def test_a_form_writes_a_request_for_a_plan_and_a_line_of_the_log(spool, client):
    assert f'href="{PAGE}bring-back/"' in client.get(PAGE).content.decode()
    answer = client.post(f"{PAGE}bring-back/", {"objects": " testsite.Tag:5 \r\n\r\ntestsite.Tag:6", "skip": "on"})
    (asked,) = _asked(spool)
    assert isinstance(asked, PlanRequest)
    assert (asked.backup, asked.objects, asked.skip) == (DUMP.name, ("testsite.Tag:5", "testsite.Tag:6"), True)
    assert asked.by.startswith("staff")
    assert answer.headers["Location"] == f"{PAGE}bring-back/{spool.pending()[0][0]}/"
    assert "has not answered yet" in client.get(answer.headers["Location"]).content.decode()
    line = LogEntry.objects.get()
    assert (line.object_id, "testsite.Tag:5, testsite.Tag:6" in line.change_message) == (DUMP.name, True)


def test_what_names_no_objects_is_refused_in_words_and_not_written(spool, client):
    for wrong in (
        "",
        "\n",
        "x",
        "testsite.Tag:" + "5" * 400,
        "\n".join(f"testsite.Tag:{number}" for number in range(51)),
    ):
        seen = client.post(f"{PAGE}bring-back/", {"objects": wrong})
        assert (seen.status_code, 'role="alert"' in seen.content.decode()) == (200, True)
    assert _asked(spool) == []


def test_a_plan_is_shown_and_its_digest_asked_for(spool, client):
    shown = _answer(spool)
    address = f"{PAGE}bring-back/{shown.id}/"
    seen = client.get(address).content.decode()
    assert "&lt;b&gt;Bac &amp; co&lt;/b&gt;" in seen
    assert f'value="{shown.digest}"' in seen
    assert "looked at the plan" in LogEntry.objects.get().change_message
    client.post(address, {"digest": "0" * 64})
    assert _asked(spool) == []
    later = client.post(address, {"digest": shown.digest})
    (asked,) = _asked(spool)
    assert isinstance(asked, BringBackRequest)
    assert (asked.plan, asked.digest, later.status_code) == (shown.id, shown.digest, 302)


def test_a_plan_that_stops_at_a_conflict_has_no_button(spool, client):
    conflict = Conflict(ConflictKind.UNIQUE, "public.exam", ("5",), "exam_name_key", ("name",), "the name is taken")
    plan = UndeletePlan(DUMP.name, NOW, ("testsite.Tag:5",), (ROW,), conflicts=(conflict,))
    shown = _answer(spool, plan=plan)
    address = f"{PAGE}bring-back/{shown.id}/"
    seen = client.get(address).content.decode()
    assert ("the name is taken" in seen, 'name="digest"' in seen) == (True, False)
    client.post(address, {"digest": shown.digest})
    assert _asked(spool) == []


def test_answers_of_each_state_are_shown_with_the_reason(spool, client):
    for number, state in enumerate((State.WAITING, State.DONE, State.REFUSED, State.CHANGED)):
        shown = _answer(spool, id=f"{number:032x}", state=state, message=f"because {number}")
        seen = client.get(f"{PAGE}bring-back/{shown.id}/").content.decode()
        assert (f'data-state="{state}"' in seen, f"because {number}" in seen) == (True, True)
    assert client.get(f"{PAGE}bring-back/").content.decode().count("because") == 4


def test_a_refusal_shows_no_command_of_the_host_and_a_text_that_is_no_object_is_not_sent(spool, client):
    hint = "korrigo-backup history testsite.Tag:5 shows how it changed"
    shown = _answer(spool, id="7" * 32, state=State.REFUSED, message="it does not fit: psql: odd", hint=hint)
    seen = client.get(f"{PAGE}bring-back/{shown.id}/").content.decode()
    assert ("The operator of the host can help" in seen, hint in seen, "psql" in seen) == (True, False, False)
    assert "garbage is no object" in client.post(f"{PAGE}bring-back/", {"objects": "garbage"}).content.decode()


def test_the_findings_of_a_plan_show_no_command_of_the_host(spool, client):
    found = warning("undelete.links", "2 live rows referred to these rows", "--relink sets the references again")
    plan = UndeletePlan(DUMP.name, NOW, ("testsite.Tag:5",), (ROW,), findings=(found,))
    shown = _answer(spool, plan=plan)
    seen = client.get(f"{PAGE}bring-back/{shown.id}/").content.decode()
    assert ("2 live rows referred" in seen, "The operator of the host can help" in seen) == (True, True)
    assert ("--relink" in seen, "korrigo-backup explain" in seen) == (False, False)
    assert "korrigo-backup requests" not in client.get(f"{PAGE}bring-back/").content.decode()


def test_a_look_that_is_refused_shows_no_command_of_the_host(spool, staff):
    hint = "korrigo-backup requests list shows it"
    shown = _answer(spool, id="8" * 32, state=State.REFUSED, plan=None, message="too old", hint=hint, wants="look")
    client = staff("view_backups", "look_into_backups", "add_tag", "view_tag")
    seen = client.get(f"{PAGE}ask/{shown.id}/").content.decode()
    assert ("too old" in seen, "The operator of the host can help" in seen, hint in seen) == (True, True, False)


def test_a_superuser_is_told_of_a_model_that_the_site_does_not_have(spool):
    chief = User.objects.create_superuser("staff-root")
    client = Client()
    client.force_login(chief)
    for wrong in ("exams.Nothing:5", "nothing:5", "testsite.Nothing:5"):
        seen = client.post(f"{PAGE}bring-back/", {"objects": wrong}).content.decode()
        assert "this site has no model and no table of that name" in seen
    assert _asked(spool) == []
    for right in ("testsite.Tag:5", "auth_user_groups:1", "public.auth_user:1"):
        assert client.post(f"{PAGE}bring-back/", {"objects": right}).status_code == 302
    chief.delete()


def test_another_backup_another_name_and_a_damaged_answer_are_not_found(spool, client):
    shown = _answer(spool, backup="db_backup_20200101_000000.sql.gz")
    assert client.get(f"{PAGE}bring-back/{shown.id}/").status_code == 404
    assert client.get(f"{PAGE}bring-back/{'b' * 32}/").status_code == 404
    assert client.get(f"{PAGE}bring-back/..%2Fx/").status_code == 404
    (spool.directory / "answers" / f"{'c' * 32}.json").write_text('{"id": "x"}')
    assert client.get(f"{PAGE}bring-back/{'c' * 32}/").status_code == 404
    assert client.get(PAGE.replace(DUMP.name, MEDIA.name) + "bring-back/").status_code == 404


def test_without_a_spool_the_page_says_so(spool, client, monkeypatch):
    monkeypatch.setattr(settings, "KORRIGO_BACKUP_REQUESTS_DIR", None)
    monkeypatch.delenv("KORRIGO_BACKUP_REQUESTS_DIR", raising=False)
    assert "KORRIGO_BACKUP_REQUESTS_DIR is not set" in client.get(f"{PAGE}bring-back/").content.decode()
    assert client.post(f"{PAGE}bring-back/", {"objects": "testsite.Tag:5"}).status_code == 200
    monkeypatch.setattr(settings, "KORRIGO_BACKUP_REQUESTS_DIR", spool.directory / "gone")
    assert "has no directory" in client.get(f"{PAGE}bring-back/").content.decode()


def test_a_form_of_another_site_is_refused(spool, client):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(User.objects.latest("pk"))
    assert strict.post(f"{PAGE}bring-back/", {"objects": "testsite.Tag:5"}).status_code == 403
    assert _asked(spool) == []


def test_only_objects_of_models_that_the_user_may_add_are_asked_for_and_shown(spool, staff):
    one = staff("view_backups", "bring_back", "add_tag")
    for wrong in (
        "auth.User:1",
        "user:1",
        "auth_user:1",
        'public."auth_user":1',
        "nowhere:1",
        "testsite.Tag:5\nauth.User:1",
    ):
        assert "You may not add" in one.post(f"{PAGE}bring-back/", {"objects": wrong}).content.decode()
    assert _asked(spool) == []
    for right in ("testsite.Tag:5", "tag:5", 'public."Upper Case Tag":5'):
        assert one.post(f"{PAGE}bring-back/", {"objects": right}).status_code == 302
    shown = _answer(spool, objects=("auth.User:1",))
    assert one.get(f"{PAGE}bring-back/{shown.id}/").status_code == 404
    assert shown.id not in one.get(f"{PAGE}bring-back/").content.decode()


ROWS = SavedPage('public."Upper Case Tag"', ("code",), (("here",), ("gone",)), has_next=True, total=99, withheld=3)


def test_rows_are_asked_of_the_host_where_the_site_does_not_see_the_backups(spool, staff):
    one = staff("view_backups", "look_into_backups", "view_tag")
    assert f'href="{PAGE}ask/"' in one.get(PAGE).content.decode()
    form = one.get(f"{PAGE}ask/").content.decode()
    assert ('value="testsite.Tag"' in form, 'value="auth.User"' in form) == (True, False)
    assert "Choose" in one.post(f"{PAGE}ask/", {"table": "auth.User"}).content.decode()
    there = one.post(f"{PAGE}ask/", {"table": "testsite.Tag", "q": " x ", "p": "3"}).headers["Location"]
    (asked,) = _asked(spool)
    assert isinstance(asked, LookRequest)
    assert (asked.table, asked.words, asked.page, asked.column) == ("Upper Case Tag", "x", 3, "code")
    assert "has not answered yet" in one.get(there).content.decode()
    assert "asked to look at rows of Upper Case Tag, page 3" in LogEntry.objects.get().change_message


def test_the_rows_of_the_host_are_shown_with_those_that_are_gone(spool, staff):
    one = staff("view_backups", "look_into_backups", "view_tag", "bring_back", "add_tag")
    Tag.objects.create(code="here")
    shown = _answer(spool, state=State.SHOWN, plan=None, digest="", found=ROWS, objects=("Upper Case Tag, page 1",))
    seen = one.get(f"{PAGE}ask/{shown.id}/").content.decode()
    assert (seen.count("korrigo-tag korrigo-error"), 'name="key" value="gone"' in seen) == (1, True)
    assert 'name="p" value="2"' in seen
    assert "3 rows of this table were erased on request and are not shown." in seen
    assert one.get(f"{PAGE}bring-back/{shown.id}/").status_code == 404
    assert staff("view_backups", "look_into_backups").get(f"{PAGE}ask/{shown.id}/").status_code == 404
    assert staff("view_backups", "bring_back", "view_tag").get(f"{PAGE}ask/{shown.id}/").status_code == 403
    row = SavedPage('public."Upper Case Tag"', ("code",), (("gone",),), key="gone")
    shown = _answer(spool, id="b" * 32, state=State.SHOWN, plan=None, digest="", found=row)
    assert "?objects=testsite.Tag%3Agone" in one.get(f"{PAGE}ask/{shown.id}/").content.decode()
    assert "looked at" in LogEntry.objects.latest("pk").change_message
    refused = _answer(spool, id="c" * 32, state=State.REFUSED, plan=None, message="not from here")
    assert "not from here" in one.get(f"{PAGE}ask/{refused.id}/").content.decode()


def test_a_foreign_key_of_a_shown_row_asks_for_the_row_that_it_names(spool, staff):
    one = staff("view_backups", "look_into_backups", "view_logentry", "view_user")
    row = SavedPage("public.django_admin_log", ("id", "user_id"), (("1", "7"),), key="1")
    shown = _answer(spool, state=State.SHOWN, plan=None, digest="", found=row, objects=("django_admin_log:1",))
    assert 'name="row" value="auth.User:7"' in one.get(f"{PAGE}ask/{shown.id}/").content.decode()
    one.post(f"{PAGE}ask/", {"row": "auth.User:7"})
    (asked,) = _asked(spool)
    assert (asked.table, asked.column, asked.key, asked.model) == ("auth_user", "id", "7", "auth.user")
    assert "Choose" in one.post(f"{PAGE}ask/", {"row": "testsite.Tag:7"}).content.decode()


def _once(page):
    return page.content.decode().partition('name="once" value="')[2][:32]


def test_a_double_click_is_one_request_and_another_request_is_another(spool, client):
    address = f"{PAGE}bring-back/"
    form = {"objects": "testsite.Tag:5", "once": _once(client.get(address))}
    first, second = (client.post(address, form).headers["Location"] for _ in range(2))
    assert (first, len(_asked(spool)), LogEntry.objects.count()) == (second, 1, 1)
    loaded_again = client.post(address, {**form, "once": _once(client.get(address))}).headers["Location"]
    assert loaded_again == first, "the same request is one as long as it waits"
    other = client.post(address, {**form, "objects": "testsite.Tag:6"}).headers["Location"]
    assert (other != first, len(_asked(spool))) == (True, 2)
    id_ = first.split("/")[-2]
    _answer(spool, id=id_)
    spool.remove(id_)
    assert client.post(address, form).headers["Location"] == first, "the form that was sent leads to its answer"
    later = client.post(address, {**form, "once": _once(client.get(address))}).headers["Location"]
    assert later not in {first, other}


def test_a_plan_is_asked_for_once_and_again_only_after_a_failure(spool, staff):
    shown = _answer(spool)
    address = f"{PAGE}bring-back/{shown.id}/"
    people = [staff("view_backups", "bring_back", "add_tag") for _ in range(2)]

    def ask():
        return [one.post(address, {"digest": shown.digest}).headers["Location"].split("/")[-2] for one in people]

    first, second = ask()
    assert (first, len(_asked(spool))) == (second, 1)
    spool.remove(first)
    _answer(spool, id=first, state=State.DONE)
    assert (ask(), _asked(spool)) == ([first, first], [])
    _answer(spool, id=first, state=State.FAILED)
    again = ask()
    assert (again[0] == again[1] != first, len(_asked(spool))) == (True, 1)


def test_the_page_shows_the_state_of_each_request_and_when_the_host_last_looked(spool, client):
    address = f"{PAGE}bring-back/"
    there = client.post(address, {"objects": "testsite.Tag:5"}).headers["Location"]
    assert "The host has never looked" in client.get(there).content.decode()
    assert "waits for the host" in client.get(address).content.decode()
    spool.note_look(datetime.now(UTC) - timedelta(minutes=9))
    late = client.get(there).content.decode()
    assert ("The host has not looked for requests since" in late, "Tell the operator of the host." in late) == (
        True,
        True,
    )
    spool.note_look(datetime.now(UTC))
    now = client.get(there).content.decode()
    assert ("last looked for requests at" in now, "Tell the operator" in now) == (True, False)
    (id_,) = spool.waiting()
    _answer(spool, id=id_, state=State.TAKEN, plan=None, digest="")
    assert 'data-state="taken"' in client.get(there).content.decode()
    assert client.get(address).content.decode().count("testsite.Tag:5</td>") == 1
    _answer(spool, id=id_, state=State.FAILED, plan=None, message="the server does not answer")
    failed = client.get(there).content.decode()
    assert ('data-state="failed"' in failed, "the server does not answer" in failed) == (True, True)
