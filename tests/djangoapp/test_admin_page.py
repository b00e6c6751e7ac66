"""The admin's page of backups: who sees it, what it says of what is there, and that it harms no one who does not look."""

import gettext
import io
import json
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.db.models import QuerySet
from django.test import Client, override_settings
from django.utils import timezone
from django.utils.translation import override
from msgspec.structs import replace

import korrigo_backup.djangoapp
from korrigo_backup.artifact.catalog import Catalog
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.signature import Key, sign
from korrigo_backup.djangoapp.status.charts import IN_A_CHART
from korrigo_backup.djangoapp.status.checks import check_backups
from korrigo_backup.djangoapp.status.page import page
from korrigo_backup.djangoapp.status.wording import run, verb_label
from korrigo_backup.retention import holds
from korrigo_backup.retention.hold import Hold
from korrigo_backup.run.record import Record, Verb
from korrigo_backup.status.collect import Sources, collect, known
from korrigo_backup.status.model import Goals
from korrigo_backup.status.published import encode
from testsite.models import Tag

PAGE = "/admin/korrigo_backup/backups/"
LOCALE = Path(korrigo_backup.djangoapp.__file__).parent / "locale" / "fr" / "LC_MESSAGES"

only_lite = pytest.mark.parametrize("alias", ["lite"], indirect=True)


@pytest.fixture
def backups(tmp_path, monkeypatch):
    """The directory that the settings name."""
    monkeypatch.setattr(settings, "KORRIGO_BACKUP_DIR", tmp_path / "out", raising=False)
    (tmp_path / "out").mkdir(mode=0o700)
    return tmp_path / "out"


@pytest.fixture
def member(databases):
    """Return a client that is logged in as staff with these permissions."""
    databases("default")  # the tests before may have left anything

    def make(*codenames):
        user = User.objects.create_user("staff" + "-".join(codenames), is_staff=True)
        user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
        assert user.user_permissions.count() == len(codenames)
        client = Client()
        client.force_login(user)
        return client

    yield make
    User.objects.filter(username__startswith="staff").delete()


def text(client, query="", **headers):
    answer = client.get(PAGE + query, **headers)
    assert answer.status_code == 200
    return re.sub("</?code>", "", answer.content.decode())


@only_lite
def test_staff_with_the_permission_sees_the_backups(site, backups, member):
    made = site.backup().path
    seen = text(member("view_backups"))
    assert made.name in seen
    assert "Last good backup" in seen
    assert "Nothing needs attention." not in seen  # there is no proof by a restore yet
    assert 'class="korrigo-charts"' not in seen  # one backup is no line


@only_lite
def test_holds_and_altered_manifests_are_marked(site, backups, member, tmp_path, monkeypatch):
    made = site.backup().path
    now = datetime.now(UTC)
    holds.add(backups, Hold(name=made.name, reason="an appeal", holder="the head", since=now))
    assert "held by the head: an appeal" in text(member("view_backups"))
    (backups / ".holds.json").write_text("{")
    key = Key(b"k" * 32)
    (tmp_path / "key").write_text(key.secret.hex())
    (tmp_path / "key").chmod(0o600)
    monkeypatch.setenv("KORRIGO_BACKUP_KEY_FILE", str(tmp_path / "key"))
    signed = json.loads(sign((made / "manifest.json").read_bytes(), key))
    (made / "manifest.json").write_text(json.dumps(signed | {"site": "another"}))
    User.objects.filter(username__startswith="staff").delete()
    seen = text(member("view_backups"))
    assert "the holds cannot be read" in seen
    assert "its manifest was altered" in seen


@only_lite
def test_the_findings_of_the_canary_are_shown_and_end_with_their_cause(site, backups, member):
    def backup():
        before = set(backups.iterdir())
        call_command("backup", output_dir=str(backups), database="lite", verbosity=0)
        (made,) = set(backups.iterdir()) - before
        return made

    tags = QuerySet(Tag, using="lite")
    tags.bulk_create(Tag(code=f"canary {number}") for number in range(50))
    made = [backup() for _ in range(3)]
    assert "is empty" not in text(member("view_backups"))
    tags.filter(code__startswith="canary").delete()
    made.append(backup())
    User.objects.filter(username__startswith="staff").delete()
    client = member("view_backups")
    assert f"restore it with: korrigo-backup restore {made[2].name}" in text(client)
    for setting, value in (
        ("KORRIGO_BACKUP_CANARY", False),
        ("KORRIGO_BACKUP_STATUS_ACCEPT", ["canary.emptied", "canary.rows"]),
    ):
        with override_settings(**{setting: value}):  # as the host's [nightly] canary and [status] accept
            assert "restore it with" not in text(client)
    assert "restore it with" in text(client)
    shutil.rmtree(made[3])
    assert "restore it with" not in text(client)


def test_nobody_else_sees_them(backups, member):
    for client in (member(), member("view_user", "change_user")):
        assert client.get(PAGE).status_code == 403
        assert PAGE not in client.get("/admin/", follow=True).content.decode()
    assert PAGE in member("view_backups").get("/admin/").content.decode()
    assert Client().get(PAGE).headers["Location"] == f"/admin/login/?next={PAGE}"


def test_the_page_only_answers(backups, member):
    client = member("view_backups")
    assert client.post(PAGE).status_code == 405
    for address in ("add/", "1/", "1/change/", "1/delete/", "1/history/"):
        assert client.get(PAGE + address).status_code == 404


def test_migrate_makes_the_permissions_and_no_table(member):
    made = Permission.objects.filter(content_type__app_label="korrigo_backup")
    assert {one.codename for one in made} == {
        "bring_back",
        "look_into_backups",
        "preview_files",
        "view_backups",
    }
    for arguments in (["korrigo_backup"], ["korrigo_backup", "--all"]):
        call_command("dumpdata", *arguments, stdout=(dumped := io.StringIO()))
        assert json.loads(dumped.getvalue()) == []
    call_command("makemigrations", "--check", "--dry-run", stdout=io.StringIO())


def test_what_it_cannot_see_it_says(backups, member, tmp_path):
    client = member("view_backups")
    assert "there is no good backup" in text(client)
    with override_settings(KORRIGO_BACKUP_DIR=tmp_path / "gone"):
        assert "does not exist" in text(client)
    (tmp_path / "file").write_text("")
    with override_settings(KORRIGO_BACKUP_DIR=tmp_path / "file"):
        assert "was not written by korrigo-backup status --publish" in text(client)
    with override_settings(KORRIGO_BACKUP_DIR="a\0b"):
        assert "it is no path" in text(client)
    with override_settings(KORRIGO_BACKUP_DIR=5):
        assert "is not known from here" in text(client)


@only_lite
def test_what_the_host_has_published_is_shown_instead_of_the_directory(site, backups, member, tmp_path):
    made = site.backup().path
    holds.add(backups, Hold(name=made.name, reason="an appeal", holder="the head", since=datetime.now(UTC)))
    now = datetime.now(UTC)
    catalog = Catalog(backups)
    given = replace(known(catalog, now=now), site="korrigo", next_run=now + timedelta(days=300))
    document = encode(collect(catalog, given, Sources()), Goals())
    (tmp_path / "seen.json").write_bytes(document)
    shutil.rmtree(backups)
    with override_settings(KORRIGO_BACKUP_DIR=tmp_path / "seen.json"):
        shown = text(member("view_backups"))
        assert made.name in shown
        assert "(seen by the host: " in shown
        assert f"{timezone.localtime(now + timedelta(days=300)):%Y}" in shown
        assert "held by the head: an appeal" in shown
        assert check_backups(None) == []
        (tmp_path / "seen.json").write_bytes(document[:-9])
        assert [warning.id for warning in check_backups(None)] == ["korrigo_backup.W002"]


def test_the_page_names_the_missing_setting_if_no_backup_directory_is_set(member, monkeypatch):
    for name in ("KORRIGO_BACKUP_DIR", "BACKUP_DIR"):
        monkeypatch.delenv(name, raising=False)
    assert "KORRIGO_BACKUP_DIR is not set" in text(member("view_backups"))


@only_lite
def test_the_page_escapes_html_in_journal_records_and_file_names(site, backups, member):
    site.backup()
    hostile = "</script><script>alert(1)</script>"
    record = {"id": "1", "verb": "backup", "subject": hostile, "site": "s", "by": hostile, "started": now_text()}
    record |= {"outcome": "failed", "message": hostile, "exit_code": 1}
    (backups / ".journal.jsonl").write_text(json.dumps(record) + "\n{]\n")
    (backups / hostile.replace("/", "_")).write_text("")
    seen = text(member("view_backups"), f"?kind={hostile}&p={hostile}")
    assert "<script>alert" not in seen
    assert "&lt;script&gt;alert(1)" in seen


@only_lite
def test_one_made_up_manifest_does_not_hide_the_others(site, backups, member):
    made = site.backup().path
    for number, moment in enumerate(("2026-01-01T00:00:00", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00")):
        copied(made, f"korrigo_backup_2026010{number + 1}_030000", moment)
    for name in ("db_backup_00010101_000000.sql.gz", "db_backup_99991231_235959.sql.gz"):
        (backups / name).write_bytes(b"")
    seen = text(member("view_backups"))
    assert made.name in seen
    assert "cannot be read" in seen
    assert {warning.id for warning in check_backups(None)} == set()


@only_lite
def test_the_table_has_pages_and_kinds(site, backups, member):
    made = site.backup().path
    for day in range(1, 30):
        copied(made, f"korrigo_backup_202601{day:02}_030000", datetime(2026, 1, day, 3, tzinfo=UTC).isoformat())
    client = member("view_backups")
    assert "1 / 2" in text(client)
    assert "korrigo_backup_20260101_030000" in text(client, "?p=2")
    assert "korrigo_backup_20260101_030000" in text(client, "?p=99&kind=nonsense")
    assert text(client, "?kind=sql").count("korrigo-made") == 0
    assert text(client, "?kind=django").count("korrigo-made") == 25
    seen = text(client)
    (raw,) = re.findall(r'<script id="korrigo-charts-data" type="application/json">(.*)</script>', seen)
    (chart,) = json.loads(raw)["charts"]
    assert [point["y"] > 0 for point in chart["points"]] == [True] * 30
    assert chart["points"][0]["x"] == datetime(2026, 1, 1, 3, tzinfo=UTC).timestamp() * 1000


def test_it_speaks_french(backups, member):
    seen = text(member("view_backups"), HTTP_ACCEPT_LANGUAGE="fr")
    assert "<h1>Sauvegardes</h1>" in seen
    assert "Dernière bonne sauvegarde" in seen


def test_the_last_operations_are_in_the_language_of_the_page():
    record = Record(id="1", verb="restore files", subject="2 files", site="x", by="x", started=datetime.now(UTC))
    with override("fr"):
        assert run(record).what == "restauration de fichiers\N{NO-BREAK SPACE}: 2 fichiers"
    with override("en"):
        assert run(record).what == "restore files 2 files"
    assert run(replace(record, verb="of another version", subject="")).what == "of another version"


def test_each_verb_of_the_journal_has_french_words():
    with override("fr"):
        assert [verb for verb in Verb if verb_label(verb) == verb] == []


def test_the_french_of_the_page_has_one_apostrophe_and_no_plain_space_before_a_colon():
    source = (LOCALE / "django.po").read_text(encoding="utf-8")
    texts = re.findall(r'^msgstr(?:\[\d\])? "(.+)"$', source, re.MULTILINE)
    assert [one for one in texts if "'" in one or re.search(r" [:;?!»](?:\s|$)", one)] == []


def test_every_french_message_is_compiled_and_has_our_context():
    source = (LOCALE / "django.po").read_text(encoding="utf-8")
    entries = re.findall(r'^msgctxt "(.*)"\nmsgid "(.+)"\nmsgstr "(.+)"$', source, re.MULTILINE)
    counted = re.findall(
        r'^msgctxt "(.*)"\nmsgid "(.+)"\nmsgid_plural "(.+)"\nmsgstr\[0\] "(.+)"\nmsgstr\[1\] "(.+)"$',
        source,
        re.MULTILINE,
    )
    assert len(entries) + len(counted) == source.count("\nmsgid ") - 1 == source.count("msgctxt ")
    with (LOCALE / "django.mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    assert {compiled.pgettext(context, plain) == words for context, plain, words in entries} == {True}
    for context, single, plural, one, several in counted:
        assert [compiled.npgettext(context, single, plural, number) for number in (1, 2)] == [one, several]
    assert {entry[0] for entry in (*entries, *counted)} == {"korrigo_backup"}


BLOCK = r"\{% blocktranslate trimmed[^%]*context 'korrigo_backup'[^%]*%\}(.*?)(?:\{% plural %\}.*?)?\{% endblocktranslate %\}"


def _as_message(block):
    """The text of a block as Django looks it up."""
    return re.sub(r"\{\{ (\w+) \}\}", r"%(\1)s", " ".join(line.strip() for line in block.strip().splitlines()))


def test_every_message_of_page_and_template_is_in_french():
    here = LOCALE.parents[2]
    source = "".join(path.read_text(encoding="utf-8") for path in [*here.glob("*.py"), *here.rglob("*.html")])
    used = set(re.findall(r'pgettext(?:_lazy)?\(\s*"korrigo_backup", "([^"]+)"', source))
    used |= {spec.label for spec in KINDS.values()}
    used |= set(re.findall(r"\{% translate '([^']+)' context 'korrigo_backup'", source))
    used |= {_as_message(one) for one in re.findall(BLOCK, source, re.DOTALL)}
    known = re.findall(r'^msgid "(.+)"$', (LOCALE / "django.po").read_text(encoding="utf-8"), re.MULTILINE)
    assert used - set(known) == set()


@only_lite
def test_a_chart_of_many_backups_stays_light_and_has_the_newest(site, backups):
    made = site.backup().path
    newest = json.loads((made / "manifest.json").read_text())["created"]
    for number in range(IN_A_CHART + 5):
        moment = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(hours=number)
        copied(made, f"korrigo_backup_{moment:%Y%m%d_%H%M%S}", moment.isoformat())
    (chart,) = page({})["charts"]
    assert len(chart["points"]) <= IN_A_CHART
    assert chart["points"][-1]["x"] == int(datetime.fromisoformat(newest).timestamp() * 1000)


def copied(made, name, created):
    """A backup of another time, with an empty body: the page reads manifests alone."""
    (made.parent / name).mkdir()
    manifest = json.loads((made / "manifest.json").read_text()) | {"created": created}
    (made.parent / name / "manifest.json").write_text(json.dumps(manifest))


def now_text():
    return datetime.now(UTC).isoformat()
