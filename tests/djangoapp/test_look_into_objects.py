"""Looks into a Django backup: by the site itself, and on the host, which leaves out the erased rows."""

import json
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.test import Client
from django.test.utils import setup_test_environment, teardown_test_environment
from msgspec.structs import replace

from korrigo_backup.artifact.catalog import Catalog
from korrigo_backup.artifact.keyring import Keyring
from korrigo_backup.artifact.signature import Key
from korrigo_backup.core.secret import Secret
from korrigo_backup.erasure.entry import Entry, Link, Subject, row_hash
from korrigo_backup.erasure.ledger import ErasureLedger
from korrigo_backup.errors import Refused
from korrigo_backup.postgres.access import Direct
from korrigo_backup.postgres.client import Postgres
from korrigo_backup.requests.looks import look
from korrigo_backup.requests.model import LookRequest
from korrigo_backup.rescue.points import read_points, unread_of_django
from korrigo_backup.site.erasures import scope_of
from testsite.models import Child, Everything, Note, Tag

EXAM = uuid.UUID(int=5)
EVERYTHING, TAGS = "public.testsite_everything", 'public."Upper Case Tag"'

only_postgresql = pytest.mark.parametrize("alias", ["default"], indirect=True)


@pytest.fixture(autouse=True)
def _contexts():
    """Answers keep the values that their templates had."""
    setup_test_environment()
    yield
    teardown_test_environment()


@pytest.fixture
def backup(site, monkeypatch):
    """A Django backup of the test site, which the settings name."""
    Tag.objects.bulk_create(Tag(code=f"tag {number:03}") for number in range(120))
    kind = ContentType.objects.get_for_model(Tag)
    Note.objects.bulk_create(
        Note(content_type=kind, object_id=f"tag {one}", text=f"about {one}") for one in ("007", "008")
    )
    moment = datetime(2026, 5, 4, 12, tzinfo=UTC)
    Everything.objects.create(id=EXAM, text="back\\slash\tand\nline é", moment=moment, amount="12.5", data={"a": None})
    monkeypatch.setattr(settings, "KORRIGO_BACKUP_DIR", site.out, raising=False)
    return site.backup(include_media=False).path


@pytest.fixture
def staff(backup):
    """A member of staff who may look, and the address of the backup's page."""
    user = User.objects.create_user("looking", password="not to be seen", is_staff=True)
    names = ("view_backups", "look_into_backups", "bring_back", "view_tag", "view_everything", "view_note")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    found = Client()
    found.force_login(user)
    return SimpleNamespace(get=found.get, page=f"/admin/korrigo_backup/backups/backup/{backup.name}/")


@only_postgresql
def test_the_site_looks_into_a_django_backup_as_into_a_dump(staff):
    assert f'href="{staff.page}look/"' in staff.get(staff.page).content.decode()
    seen = staff.get(f"{staff.page}look/").content.decode()
    assert ("Upper Case Tag" in seen, "auth_user" in seen, "django_session" in seen) == (True, False, False)
    found = []
    for number in (1, 2, 3):
        found += staff.get(f"{staff.page}look/{quote(TAGS, safe='')}/?p={number}").context["rows"]
    keys = [row["key"] for row in found]
    assert len(keys) == len(set(keys)) == Tag.objects.count()
    assert len(staff.get(f"{staff.page}look/{EVERYTHING}/?q=LINE%20É").context["rows"]) == 1
    assert staff.get(f"{staff.page}look/public.auth_user/").status_code == 404
    assert "looked at rows of" in LogEntry.objects.latest("pk").change_message


@only_postgresql
def test_a_saved_object_stands_next_to_the_live_row(staff):
    page = f"{staff.page}look/{EVERYTHING}/row/?key={EXAM}"
    seen = staff.get(page)
    assert seen.context["is_compared"]
    assert [field["name"] for field in seen.context["fields"] if field["differs"]] == []
    Everything.objects.filter(pk=EXAM).update(text="other", moment=None)
    fields = {field["name"]: field for field in staff.get(page).context["fields"]}
    assert {name for name, field in fields.items() if field["differs"]} == {"text", "moment"}
    assert fields["text"]["saved"] == "back\\slash\tand\nline é"
    Everything.objects.filter(pk=EXAM).delete()
    seen = staff.get(page).content.decode()
    assert ("restored as a whole" in seen, "korrigo-bring-back" in seen) == (True, False)
    note = Note.objects.order_by("pk").first()
    assert note
    assert staff.get(f"{staff.page}look/public.testsite_note/row/?key={note.pk}").context["changed"] == 0


@only_postgresql
def test_a_backup_of_a_former_version_is_read_by_the_sites_models(staff, backup):
    manifest = backup / "manifest.json"
    former = json.loads(manifest.read_text())
    del former["django"]["tables"]
    manifest.chmod(0o600)
    manifest.write_text(json.dumps(former))
    assert len(staff.get(f"{staff.page}look/{EVERYTHING.removeprefix('public.')}/?q=LINE%20É").context["rows"]) == 1
    assert [one.name for one in read_points(Catalog(backup.parent)).of_django] == [backup.name]
    assert backup.name in unread_of_django(read_points(Catalog(backup.parent)))


@pytest.fixture
def host(backup, tmp_path, monkeypatch):
    """The host of the site: its ledger, and a function that looks as the site asks."""
    default = settings.DATABASES["default"]
    access = Direct(default["HOST"], default["PORT"], default["USER"], Secret(default["PASSWORD"]), 10)
    keys = Keyring(tmp_path / "keys" / "key", (Key(b"k" * 32),))
    ledger = ErasureLedger(tmp_path / "keys" / "erasures.jsonl", keys)
    monkeypatch.setattr(Keyring, "signing", lambda self: self.keys[0])
    site: Any = SimpleNamespace(
        name="", environment="production", postgres=Postgres(access, database="site", maintenance="postgres"),
        ledger=ledger,
    )  # fmt: skip

    def erase(table, column, cell, *links):
        key = keys.keys[0]
        head = Entry(
            time=datetime.now(UTC), scope=scope_of(site), subject=Subject.ROW, hash=row_hash(key, table, [(column, cell)]),
            key=key.id, table=table, columns=(column,), links=links,
        )  # fmt: skip
        ledger.append([head, replace(head, subject=Subject.RULES, hash=f"rules {len(links)}", table="", columns=())])

    def seen(table, **given):
        artifact = Catalog(backup.parent).find(backup.name)
        fields = {"by": "marie", "asked": datetime.now(UTC), "backup": backup.name, "table": table, **given}
        return look(site, artifact, LookRequest(**fields))

    return SimpleNamespace(erase=erase, look=seen)


@only_postgresql
def test_the_host_leaves_out_erased_objects_and_those_that_hang_on_them(host):
    child = Child.objects.order_by("pk").first()
    assert child
    total = host.look("testsite_child").total
    host.erase(TAGS, "code", b"tag 007")
    host.erase(EVERYTHING, "id", str(EXAM).encode())
    host.erase("public.testsite_base", "id", str(child.pk).encode())
    found = host.look("Upper Case Tag", column="code", words="tag 00")
    assert ("tag 007" in [row[0] for row in found.rows], found.withheld, len(found.rows)) == (False, 1, 9)
    assert host.look("testsite_everything", words="line é").rows == ()
    with pytest.raises(Refused, match="erased on request"):
        host.look("testsite_everything", column="id", key=str(EXAM))
    children = host.look("testsite_child")
    assert (children.withheld, children.total) == (1, total - 1)


@only_postgresql
def test_a_generic_relation_is_followed_by_the_names_of_content_types(host):
    link = Link(
        "public.testsite_note", ("object_id",), TAGS, ("code",), "CASCADE",
        type_column="content_type_id", content_type=("testsite", "tag"),
    )  # fmt: skip
    before = host.look("testsite_note", words="about").rows
    host.erase(TAGS, "code", b"tag 007", link)
    found = host.look("testsite_note", columns=("text",), words="about")
    assert (len(before), found.rows, found.withheld) == (2, (("about 008",),), 1)


@only_postgresql
def test_a_former_backup_is_not_shown_by_the_host_once_something_is_erased(host, backup):
    manifest = backup / "manifest.json"
    former = json.loads(manifest.read_text())
    del former["django"]["tables"]
    manifest.chmod(0o600)
    manifest.write_text(json.dumps(former))
    assert len(host.look("testsite_tag", model="testsite.tag", column="code", words="tag 00").rows) == 10
    host.erase(TAGS, "code", b"tag 007")
    with pytest.raises(Refused, match="of an earlier version"):
        host.look("testsite_tag", model="testsite.tag", column="code", words="tag 00")
