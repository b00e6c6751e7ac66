"""The admin's page of one backup: who sees it, its content, receipts, holds, runs and commands."""

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings
from django.contrib.auth.models import Permission, User
from django.http import Http404
from django.test import Client
from msgspec.structs import replace

from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.djangoapp.status.detail import commands, detail
from korrigo_backup.djangoapp.status.page import page
from korrigo_backup.djangoapp.status.wording import attention, pieces
from korrigo_backup.retention import holds
from korrigo_backup.retention.hold import Hold
from korrigo_backup.run.record import Outcome
from korrigo_backup.status.attention import attention as findings_of
from korrigo_backup.status.evaluate import evaluate
from korrigo_backup.status.model import ArtifactCopy, Goals, TargetCopies
from korrigo_backup.status.published import encode
from korrigo_backup.targets.ledger import Ledger, LedgerLine
from standings import NOW, backup, facts, ran

PAGE = "/admin/korrigo_backup/backups/"

only_lite = pytest.mark.parametrize("alias", ["lite"], indirect=True)


@pytest.fixture
def backups(tmp_path, monkeypatch):
    """The directory that the settings name."""
    monkeypatch.setattr(settings, "KORRIGO_BACKUP_DIR", tmp_path / "out", raising=False)
    (tmp_path / "out").mkdir(mode=0o700)
    return tmp_path / "out"


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """Put facts in the place of the host's document."""

    def write(seen):
        (tmp_path / "seen.json").write_bytes(encode(seen, Goals()))
        monkeypatch.setattr(settings, "KORRIGO_BACKUP_DIR", tmp_path / "seen.json", raising=False)

    return write


@pytest.fixture
def client(databases):
    """A member of staff with the permission to view."""
    databases("default")  # the tests before may have left anything
    user = User.objects.create_user("detailed", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_backups"))
    found = Client()
    found.force_login(user)
    return found


@only_lite
def test_the_page_of_a_backup_shows_content_proof_receipts_holds_runs_and_commands(site, backups, client):
    made = site.backup().path
    now = datetime.now(UTC)
    holds.add(backups, Hold(name=made.name, reason="an appeal", holder="the head", since=now))
    Ledger(backups, "nas").write(
        LedgerLine(object="o", artifact=made.name, size=1, sha256="0" * 64, sent=now, read=now, whole=True, sealed=True)
    )
    line = {
        "id": "1",
        "verb": "verify",
        "subject": made.name,
        "site": "s",
        "by": "root@host",
        "started": now.isoformat(),
    }
    (backups / ".journal.jsonl").write_text(
        json.dumps(line | {"outcome": "done", "exit_code": 0, "seconds": 2.5}) + "\n"
    )
    answer = client.get(f"{PAGE}backup/{made.name}/")
    seen = answer.content.decode()
    assert answer.status_code == 200
    assert f"<code>korrigo-backup restore {made.name} --allow-unsigned</code>" in seen  # the site has no key
    assert f"<code>korrigo-backup verify {made.name}</code>" in seen
    assert f"<code>korrigo-backup browse {made.name}</code>" in seen
    assert "an appeal" in seen
    assert re.search(r'id="korrigo-copies".*>nas<.*sealed', seen, re.DOTALL)
    assert re.search(r'id="korrigo-runs".*verify ' + made.name + ".*2.5.*root@host", seen, re.DOTALL)
    assert re.search(r'id="korrigo-tables".*testsite\.', seen, re.DOTALL)
    assert f'href="{PAGE}backup/{made.name}/"' in client.get(PAGE).content.decode()


def test_it_needs_the_permission_and_a_backup_of_that_name(backups, client):
    (backups / "notes.txt").write_text("no backup")
    address = f"{PAGE}backup/notes.txt/"
    assert client.get(address).status_code == 404
    assert client.post(address).status_code == 405
    assert client.get(f"{PAGE}backup/..%2F..%2Fetc%2Fpasswd/").status_code == 404
    User.objects.get(username="detailed").user_permissions.clear()
    assert client.get(address).status_code == 403
    assert Client().get(address).headers["Location"] == f"/admin/login/?next={address}"


def test_a_published_point_names_its_components_and_a_component_its_point(publish, client):
    point, dump, media = binding_point()
    publish(facts(point, dump, media))
    assert detail(point.name)["components"] == [(dump.name, True), (media.name, True)]
    assert detail(media.name)["points"] == [point.name]
    assert {command.text for command in detail(media.name)["commands"] if command.purpose == "browse"} == {
        f"korrigo-backup browse {point.name}"
    }
    seen = client.get(f"{PAGE}backup/{dump.name}/").content.decode()
    assert f"korrigo-backup show {dump.name}" in seen  # the host alone has the manifest
    assert f'href="{PAGE}backup/{point.name}/"' in seen
    publish(facts(point, media))
    assert detail(point.name)["components"] == [(dump.name, False), (media.name, True)]


def test_the_receipts_of_a_published_backup_say_what_was_read_back(publish):
    one = backup(3)
    copy = ArtifactCopy(name=one.name, sent=NOW, read=NOW, locked_until=NOW + timedelta(days=3650), lock_read=NOW)
    damaged = ArtifactCopy(name=one.name, sent=NOW, read=NOW, bad="bytes differ")
    publish(facts(one, targets=(TargetCopies(name="s3", copies=(copy,)), TargetCopies(name="nas", copies=(damaged,)))))
    first, second = detail(one.name)["copies"]
    assert (first["target"], first["bad"], first["locked_until"]) == ("s3", "", NOW + timedelta(days=3650))
    assert (second["target"], second["bad"], second["locked_until"]) == ("nas", "bytes differ", None)


def test_a_bad_backup_has_no_command_that_restores_it():
    good, forged = backup(3), backup(5, authenticity=Authenticity.FORGED)
    unsigned = backup(7, authenticity=Authenticity.UNSIGNED)
    seen = facts(good, forged, unsigned)
    assert [one.purpose for one in commands(forged, seen, is_bad=True)] == ["verify", "hold"]
    assert f"korrigo-backup restore {good.name}" in [one.text for one in commands(good, seen, is_bad=False)]
    assert f"korrigo-backup restore {unsigned.name} --allow-unsigned" in [
        one.text for one in commands(unsigned, seen, is_bad=False)
    ]


def test_the_runs_are_those_that_made_it_or_name_it(publish):
    one, other = backup(3), backup(27)
    made_it = ran(3, seconds=60.0)
    names_it = ran(2, Outcome.FAILED, verb="canary", subject="", message=f"{one.name} lost rows")
    publish(facts(one, other, records=(ran(27, seconds=60.0), made_it, names_it)))
    assert [(run.what, run.began) for run in detail(one.name)["runs"]] == [
        ("canary", names_it.started),
        ("backup db", made_it.started),
    ]


def test_a_backup_that_is_not_there_is_not_found(publish):
    publish(facts(backup(3)))
    with pytest.raises(Http404):
        detail("db_backup_20000101_000000.sql.gz")


def test_no_backup_is_forecast_where_no_schedule_is(publish, client):
    past = [backup(hours) for hours in range(3, 300, 24)]
    publish(facts(*past, scheduled=False))
    seen = client.get(PAGE).content.decode()
    assert "no schedule is installed" in seen
    assert page({})["forecast"] == ""
    publish(facts(*past))  # the host could not read its schedule
    assert "not seen from here" in client.get(PAGE).content.decode()
    publish(facts(*past, scheduled=True, next_run=NOW + timedelta(hours=9)))
    assert page({})["next_run"] == NOW + timedelta(hours=9)
    assert page({})["forecast"] != ""


def test_the_proof_of_a_restore_point_is_one_of_its_database(publish):
    point, dump, media = binding_point()
    publish(facts(point, dump, media, records=(ran(1, verb="drill", subject=point.name),)))
    proven = {name: detail(name)["backup"].restored is not None for name in (point.name, dump.name, media.name)}
    assert proven == {point.name: True, dump.name: True, media.name: False}


def test_a_hint_is_taken_apart_into_words_and_commands():
    hint = "see why: korrigo-backup show NAME; a lost key: korrigo-backup adopt --new-key, or chmod 700 /b"
    assert [piece.text for piece in pieces(hint) if piece.is_command] == [
        "korrigo-backup show NAME",
        "korrigo-backup adopt --new-key",
        "chmod 700 /b",
    ]
    assert "".join(piece.text for piece in pieces(hint)) == hint
    (accept,) = (one.text for one in pieces('korrigo-backup canary accept x_1.json --reason "…"') if one.is_command)
    assert accept == 'korrigo-backup canary accept x_1.json --reason "…"'


def test_each_line_of_attention_names_a_command():
    """A hint without one is completed by `korrigo-backup explain ID`; the template does it where `has_command` is False."""
    forged = backup(200, authenticity=Authenticity.FORGED)
    seen = facts(forged, backup(300, authenticity=Authenticity.UNSIGNED), shared_disk=True, open_mode=0o755, free=1)
    lines = [attention(finding) for finding in findings_of(evaluate(seen, Goals(), now=NOW))]
    assert {line.id for line in lines if not line.has_command} == {"status.forged"}
    assert {line.id for line in lines} >= {"status.overdue", "status.mode", "status.one_disk", "status.little"}


def binding_point():
    """A restore point and its two components, as the host's document has them."""
    dump, media = backup(3), backup(3, kind=Kind.MEDIA)
    point = backup(3, kind=Kind.POINT)
    head = point.header
    assert head
    named = replace(head, database_backup=dump.name, media_backup=media.name)
    return replace(point, head=named), dump, media
