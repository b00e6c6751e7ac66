"""What a restore believes: signatures, who becomes superuser, where files point, which migrations the code has."""

import io
import json

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connections
from django.db.models import QuerySet

from korrigo_backup.artifact.catalog import Catalog
from korrigo_backup.artifact.identity import SiteRecord
from korrigo_backup.artifact.keyring import read
from korrigo_backup.djangoapp.fixture.migration_state import CodeMigrations, compare
from korrigo_backup.djangoapp.load.suspicious import leads_out
from testsite import models as m


@pytest.fixture
def key(tmp_path, monkeypatch):
    """A site with a key file, which the first backup makes."""
    path = tmp_path / "keys" / "key"
    monkeypatch.setenv("KORRIGO_BACKUP_KEY_FILE", str(path))
    return path


def change(path, edit):
    manifest = json.loads((path / "manifest.json").read_text())
    edit(manifest)
    (path / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.promise("P5")
def test_a_backup_is_signed_when_there_is_a_key_and_restores_without_a_word(site, key):
    made = site.backup(include_media=False)
    assert key.stat().st_mode & 0o777 == 0o600
    assert set(json.loads((made.path / "manifest.json").read_text())["auth"]) == {"check", "hmac", "key"}
    assert site.restore(made.path).errors == ""


@pytest.mark.promise("P5")
@pytest.mark.parametrize("allow", [False, True])
def test_an_altered_manifest_is_refused_whatever_is_allowed(refused, site, key, copy, allow):
    path = copy(site.backup().path)
    change(path, lambda manifest: manifest.update(timestamp="20260101_000000"))
    found = refused(path, allow_unsigned=allow)
    assert found.code == 9
    assert "was altered" in found.text


@pytest.mark.promise("P5")
def test_an_unsigned_backup_is_refused_where_there_is_a_key_unless_it_is_allowed(refused, site, key, copy):
    path = copy(site.backup().path)
    change(path, lambda manifest: manifest.pop("auth"))
    found = refused(path)
    assert (found.code, "--allow-unsigned" in found.text) == (4, True)
    assert "warning: the backup is not signed" in site.restore(path, allow_unsigned=True).errors


@pytest.mark.promise("P5")
def test_a_backup_signed_with_a_key_that_is_not_here_is_refused(refused, site, key, monkeypatch, tmp_path):
    made = site.backup(include_media=False)
    other = tmp_path / "other"
    other.write_text("ab" * 32 + "\n")
    other.chmod(0o600)
    monkeypatch.setenv("KORRIGO_BACKUP_KEY_FILE", str(other))
    assert "a key that this site does not have" in refused(made.path).text


@pytest.mark.promise("P5")
def test_no_second_key_is_made_where_the_backups_are_signed_with_another(site, key, monkeypatch, tmp_path):
    site.backup(include_media=False)
    second = tmp_path / "second"
    monkeypatch.setenv("KORRIGO_BACKUP_KEY_FILE", str(second))
    with pytest.raises(CommandError, match=r"are signed with the key .*, and there is no key file") as caught:
        site.backup(include_media=False)
    assert caught.value.returncode == 4
    assert not second.exists()
    assert len(list(site.out.iterdir())) == 1


@pytest.mark.promise("P5")
def test_a_key_that_a_site_of_the_directory_has_adopted_signs(site, key, monkeypatch, tmp_path):
    first = site.backup(include_media=False).path
    first.rename(first.with_name("korrigo_backup_20260101_000000"))
    monkeypatch.setenv("KORRIGO_BACKUP_KEY_FILE", str(tmp_path / "second"))
    Catalog(site.out, read(tmp_path / "second")).site_records.note(
        SiteRecord(id="x", site="korrigo", environment="production")
    )
    call_command("backup", output_dir=str(site.out), database=site.alias, stdout=io.StringIO())
    assert len(list(site.out.glob("korrigo_backup_*"))) == 2


@pytest.mark.promise("P10")
def test_the_manifest_names_the_database_and_its_cluster(site):
    made = site.backup(include_media=False)
    found = json.loads((made.path / "manifest.json").read_text())["identity"]
    if site.alias == "lite":
        assert found is None
        return
    with connections[site.alias].cursor() as cursor:
        cursor.execute("SELECT system_identifier::text FROM pg_control_system()")
        (system,) = cursor.fetchone()
    assert found == {"id": "", "database": connections[site.alias].settings_dict["NAME"], "system": system}


@pytest.mark.contract("R2")
def test_without_a_key_the_flow_of_the_runbook_is_not_broken(site):
    output = site.restore(site.backup().path)
    assert output.errors.splitlines() == ["warning: the backup is not signed: its origin is not proven"]


def test_a_key_among_the_backups_is_refused(site, monkeypatch):
    monkeypatch.setenv("KORRIGO_BACKUP_KEY_FILE", str(site.out / "key"))
    with pytest.raises(Exception, match="lies in the backup directory"):
        site.backup(include_media=False)
    assert list(site.out.iterdir()) == []


@pytest.mark.promise("P5")
@pytest.mark.parametrize("dry_run", [False, True])
def test_new_superusers_are_listed(site, dry_run):
    User.objects.using(site.alias).filter(username="bob").update(is_superuser=True)
    made = site.backup(include_media=False)
    assert "superusers" not in site.restore(made.path, dry_run=dry_run).errors
    User.objects.using(site.alias).filter(username="bob").update(is_superuser=False)
    output = site.restore(made.path, dry_run=dry_run).errors
    assert "warning: superusers that this site does not have now: bob" in output


@pytest.mark.promise("P5")
def test_a_file_may_not_point_out_of_the_media_tree_unless_the_site_itself_said_so(
    refused, site, monkeypatch, tmp_path
):
    QuerySet(m.Everything, using=site.alias).filter(text="").update(file="../../etc/passwd")
    unsigned = site.backup(include_media=False).path.rename(tmp_path / "unsigned")
    found = refused(unsigned)
    assert (found.code, "testsite.everything.file = '../../etc/passwd' leads out" in found.text) == (9, True)
    assert "paths that lead out of the media tree" in site.restore(unsigned, allow_unsigned=True).errors
    monkeypatch.setenv("KORRIGO_BACKUP_KEY_FILE", str(tmp_path / "key"))
    assert "paths that lead out of the media tree" in site.restore(site.backup().path).errors


@pytest.mark.parametrize(
    ("path", "out"),
    [
        ("a/b.pdf", False),
        ("a..b/..c", False),
        ("", False),
        ("/a", True),
        ("a/../b", True),
        ("..\\a", True),
        ("a\0b", True),
    ],
)
def test_which_paths_lead_out(path, out):
    assert leads_out(path) is out


CODE = CodeMigrations(
    frozenset({"exams.0001", "exams.0002", "exams.0001_squashed"}), frozenset({"exams.0001", "exams.0001_squashed"})
)


@pytest.mark.parametrize(
    ("theirs", "database", "words"),
    [
        ({"exams.0001", "exams.0002"}, {"exams.0001", "exams.0002"}, []),
        ({"exams.0001_squashed", "exams.0002"}, {"exams.0001", "exams.0002"}, []),
        (
            {"exams.0001", "exams.0002", "exams.0003"},
            {"exams.0002"},
            ["the code is behind the backup, it has not exams.0003"],
        ),
        ({"exams.0001"}, {"exams.0002"}, ["the code is ahead of the backup by exams.0002"]),
        ({"exams.0002"}, set(), ["the database has not the migrations exams.0002 of the code: run manage.py migrate"]),
    ],
)
def test_migrations_that_differ_between_backup_and_code_and_database_are_reported(theirs, database, words):
    output = compare(theirs, CODE, database)
    assert len(output) == len(words)
    assert all(line.startswith(word) for line, word in zip(output, words, strict=True))
