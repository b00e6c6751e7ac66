"""Whatever is wrong with a backup or a site: a clear message, the exit code of the situation, nothing changed."""

import errno
import hashlib
import io
import json
import os
import random
import stat
import struct
import zipfile
from contextlib import suppress
from types import SimpleNamespace

import pytest
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core import serializers
from django.core.management import CommandError, call_command
from django.db import OperationalError, connections, transaction

from korrigo_backup.djangoapp import backup, restore
from korrigo_backup.djangoapp.fixture import sequences
from korrigo_backup.errors import ProofFailed
from korrigo_backup.media import zip_archive as media_zip
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.verify import django_artifact as artifact
from testsite import models as m


def fixture_of(path):
    return next(path.glob("db_*.json"))


def forge(path):
    """Make the manifest agree with the files, as someone who altered a backup on purpose would."""
    manifest = json.loads((path / "manifest.json").read_text())
    for member in manifest["members"]:
        content = (path / member["name"]).read_bytes()
        member.update(size=len(content), sha256=hashlib.sha256(content).hexdigest())
    (path / "manifest.json").write_text(json.dumps(manifest))


def former(path):
    """Make of a backup what Korrigo's former command left: five keys, no checksums."""
    keys = ("timestamp", "includes_media", "database_backup", "media_backup", "backup_dir")
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({key: manifest[key] for key in keys}))
    for listing in path.glob("*.sha256"):
        listing.unlink()


def archive(path, entries):
    """Replace the media archive by one with the given (name, content, mode) entries."""
    with zipfile.ZipFile(next(path.glob("*.zip")), "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content, mode in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            opened.writestr(info, content)


def edit(path, change):
    objects = json.loads(fixture_of(path).read_text())
    change(objects)
    fixture_of(path).write_text("[\n" + ",\n".join(json.dumps(one, separators=(",", ":")) for one in objects) + "\n]\n")


def first(objects, model):
    return next(one for one in objects if one["model"] == model)


@pytest.mark.contract("R2")
def test_a_directory_without_manifest_is_named(refused, tmp_path, site):
    site.out.mkdir()
    found = refused(site.out)
    assert "Manifest file not found in backup directory" in found.text
    assert found.code == 6
    assert refused(tmp_path / "nowhere").code == 6


@pytest.mark.promise("P5")
@pytest.mark.parametrize("name", ["../elsewhere.json", "/etc/passwd", "a\\b", ""])
def test_a_manifest_cannot_name_files_elsewhere(refused, site, copy, name):
    path = copy(site.backup().path)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "database_backup": name}))
    assert refused(path).code == 9


@pytest.mark.promise("P5")
def test_a_link_in_the_place_of_a_member_is_refused(refused, site, copy):
    path = copy(site.backup().path)
    target = fixture_of(path).rename(path.parent / "moved.json")
    (path / next(site.out.iterdir()).joinpath(target).name).exists()
    (path / fixture_of(next(site.out.iterdir())).name).symlink_to(target)
    assert refused(path).code == 9


@pytest.mark.promise("P5")
@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("pattern", ["db_*.json", "*.zip", "*.sha256"])
def test_a_changed_byte_is_found_before_anything_is_touched(refused, site, copy, pattern, dry_run):
    path = copy(site.backup().path)
    member = next(path.glob(pattern))
    content = bytearray(member.read_bytes())
    content[len(content) // 2] ^= 1
    member.write_bytes(content)
    assert refused(path, dry_run=dry_run).code == 9
    with pytest.raises(ProofFailed):
        artifact.verify(path)


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("pattern", ["db_*.json", "*.zip"])
def test_a_cut_file_is_found_with_and_without_checksums(refused, site, copy, pattern, old):
    path = copy(site.backup().path)
    if old:
        former(path)
    member = next(path.glob(pattern))
    member.write_bytes(member.read_bytes()[:-40])
    assert refused(path).code == 9
    with pytest.raises(ProofFailed):
        artifact.verify(path)


@pytest.mark.parametrize(
    "text", ["", "{}", "[", "nonsense", "[\n{}\n]\n", '[{"model": 1}]', "[" * 100_000, "[1]", "\xff"]
)
def test_a_fixture_that_is_none_is_refused(refused, site, copy, text):
    path = copy(site.backup().path)
    former(path)
    fixture_of(path).write_text(text, encoding="latin-1")
    assert refused(path).code == 9


@pytest.mark.promise("P8")
def test_whatever_is_done_to_a_fixture_there_is_a_message_and_never_a_traceback(site, copy):
    path = copy(site.backup(include_media=False).path)
    former(path)
    good, rng, refusals = fixture_of(path).read_bytes(), random.Random(4), 0
    for _ in range(150):
        bad, at = bytearray(good), rng.randrange(len(good))
        piece = rng.choice(
            [b"", b"\xff", b"null", b"[", b"}", b'"', b"1e999", b"9" * 5000, b"\x00", b"\\u0000", b"[" * 5000]
        )
        bad[at : at + rng.choice([0, 1, 8])] = piece
        fixture_of(path).write_bytes(bad)
        with suppress(CommandError):
            site.restore(path, dry_run=True)
            continue
        refusals += 1
    assert refusals > 50


BASE = "testsite.base"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda o: first(o, BASE).update(model="exams.unknown"), "exams.unknown"),
        (lambda o: first(o, BASE).update(model="sessions.session"), "sessions.session"),
        (lambda o: first(o, BASE)["fields"].update(height=1), "unknown field height"),
        (lambda o: first(o, BASE)["fields"].pop("name"), "required field name"),
        (lambda o: first(o, BASE)["fields"].update(name=None), "name may not be null"),
        (lambda o: first(o, "testsite.child")["fields"].update(age="old"), "age"),
        (lambda o: first(o, "testsite.everything")["fields"].update(day="2026-02-30"), "day"),
        (lambda o: first(o, "testsite.everything")["fields"].update(blob="%%%"), "blob"),
        (lambda o: first(o, "testsite.everything")["fields"].update(span="long"), "span"),
        (lambda o: first(o, "testsite.note")["fields"].update(content_type=["a", "b", "c"]), "content_type"),
    ],
)
def test_an_object_that_does_not_fit_the_models_is_named_with_its_line(refused, site, copy, change, words):
    path = copy(site.backup().path)
    edit(path, change)
    forge(path)
    found = refused(path)
    assert found.code == 9
    assert words in found.text
    assert "line " in found.text
    assert refused(path, dry_run=True).text == found.text


@pytest.mark.contract("T8")
def test_rows_with_a_missing_foreign_key_target_are_named_and_the_restore_is_rolled_back(refused, site, copy):
    path = copy(site.backup().path)
    edit(path, lambda o: first(o, "testsite.membership")["fields"].update(club=424242))
    forge(path)
    found = refused(path)
    assert found.code == 9
    assert "testsite.membership pk=77 club=424242" in found.text
    assert "state: the restore was rolled back" in found.text


@pytest.mark.contract("T8")
def test_all_rows_whose_target_is_missing_are_named_up_to_a_limit(refused, site, copy):
    path = copy(site.backup(include_media=False).path)

    def many(objects):
        one = first(objects, "testsite.membership")
        for pk in range(100, 130):
            objects.append({**one, "pk": pk, "fields": {**one["fields"], "club": 1000 + pk}})

    edit(path, many)
    forge(path)
    former(path)
    found = refused(path)
    assert all(f"testsite.membership pk={pk} club={1000 + pk}" in found.text for pk in range(100, 120))
    assert "and 10 more" in found.text


def test_a_row_that_the_database_does_not_take_is_named(refused, site, copy):
    path = copy(site.backup().path)
    edit(path, lambda o: o.append(dict(first(o, "testsite.tag"))))
    forge(path)
    former(path)
    found = refused(path)
    assert found.code == 9
    assert "does not take testsite.tag pk=" in found.text


@pytest.mark.promise("P1")
def test_rows_that_differ_from_the_manifest_fail_the_restore(refused, site, copy):
    path = copy(site.backup().path)
    edit(path, lambda o: first(o, BASE)["fields"].update(name="another"))
    forge(path)
    found = refused(path)
    assert "after the load testsite.base" in found.text
    assert "differed from the backup" in found.text


@pytest.mark.promise("P5")
@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    "entries",
    [
        [("../outside", b"x", stat.S_IFREG | 0o644)],
        [("a/../../outside", b"x", 0)],
        [("/etc/outside", b"x", stat.S_IFREG | 0o644)],
        [("a//b", b"x", 0)],
        [(".before-20260101_000000/x", b"x", 0)],
        [("link", b"/etc/passwd", stat.S_IFLNK | 0o777)],
        [("pipe", b"", stat.S_IFIFO | 0o644)],
        [("a", b"x", 0), ("a/b", b"x", 0)],
        [("x" * 300, b"x", 0)],
    ],
)
def test_an_archive_cannot_write_elsewhere(refused, site, copy, entries, dry_run, tmp_path):
    path = copy(site.backup().path)
    former(path)
    archive(path, entries)
    assert refused(path, dry_run=dry_run).code in {4, 9}
    assert not list(tmp_path.rglob("outside"))


@pytest.mark.promise("P6")
def test_a_zip_entry_larger_than_its_declared_size_is_refused(refused, site, copy):
    path = copy(site.backup().path)
    former(path)
    archive(path, [("bomb", bytes(50_000_000), 0)])
    zipped = next(path.glob("*.zip"))
    content = zipped.read_bytes().replace(struct.pack("<I", 50_000_000), struct.pack("<I", 10))
    zipped.write_bytes(content)
    assert refused(path).code == 9


@pytest.mark.promise("P6")
def test_an_archive_larger_than_the_disk_is_refused_before_it_is_unpacked(refused, site, monkeypatch):
    made = site.backup()
    monkeypatch.setattr(restore, "free_bytes", lambda _path: restore.RESERVE + 100)
    assert refused(made.path).code == 4


@pytest.mark.promise("P2")
@pytest.mark.parametrize("place", ["swap", "commit", "sequences"])
def test_an_error_in_the_middle_leaves_rows_and_files_as_they_were(refused, site, monkeypatch, place):
    made = site.backup()
    m.Base.objects.using(site.alias).create(name="newer than the backup")
    (site.media / "newer").write_bytes(b"x")
    connection = connections[site.alias]

    def fail(*arguments):
        raise OperationalError("the server went away")

    def swap_half(tree, stamp):
        tree._partial(tree.beside("before", stamp)).mkdir()
        next(iter(sorted(site.media.glob("a")))).rename(tree._partial(tree.beside("before", stamp)) / "a")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if place == "swap":
            patch.setattr(MediaTree, "swap", swap_half)
        elif place == "commit":
            patch.setattr(type(connection), "_commit", fail)
        else:
            patch.setattr(sequences, "move_up", fail)
        found = refused(made.path)
    assert found.code == (1 if place == "swap" else 8)


def test_the_database_and_the_media_that_are_not_there(site, monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "MEDIA_ROOT", str(tmp_path / "unmounted"))
    with pytest.raises(CommandError, match=r"media directory .* does not exist") as caught:
        site.backup()
    assert caught.value.returncode == 6
    assert list(site.out.iterdir()) == []


@pytest.mark.parametrize("alias", ["default"], indirect=True)
def test_a_server_that_does_not_answer(site, monkeypatch):
    connection = connections["default"]
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "HOST", "/nonexistent")
    with pytest.raises(CommandError) as caught:
        site.backup()
    assert caught.value.returncode == 8
    assert "hint: see whether the database runs" in str(caught.value)
    assert not list(site.out.iterdir()) if site.out.exists() else True


@pytest.mark.parametrize("alias", ["default"], indirect=True)
def test_a_second_restore_is_refused_while_another_run_holds_the_lock(site, refused):
    made = site.backup()
    other = connections["default"].copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [0x6B6F7272])
            assert refused(made.path).code == 7
    finally:
        other.close()


def test_a_restore_inside_a_transaction_is_refused(site):
    made = site.backup()
    with transaction.atomic(using=site.alias), pytest.raises(CommandError) as caught:
        site.restore(made.path)
    assert caught.value.returncode == 4


def test_an_unknown_exclusion_or_database_is_a_usage_error(site):
    for options in ({"exclude": ["nothing"]}, {"exclude": ["testsite.Nothing"]}, {"database": "nowhere"}):
        with pytest.raises(CommandError) as caught:
            call_command(
                "backup", output_dir=str(site.out), stdout=io.StringIO(), **{"database": site.alias, **options}
            )
        assert caught.value.returncode == 2
    assert list(site.out.iterdir()) == []


@pytest.mark.promise("P3")
def test_a_backup_that_fails_leaves_nothing(site, monkeypatch):
    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(media_zip, "create", full)
    with pytest.raises(CommandError, match="No space left on device") as caught:
        site.backup()
    assert caught.value.returncode == 1
    assert list(site.out.iterdir()) == []


@pytest.mark.promise("P3")
@pytest.mark.parametrize("member", ["media_backup_*.zip", "db_backup_*.json"])
def test_a_backup_damaged_before_its_verification_is_not_published(site, monkeypatch, member):
    inner = artifact.verify

    def spoil(draft, count):
        with next(draft.glob(member)).open("r+b") as file:
            file.write(b"rot")
        return inner(draft, count)

    monkeypatch.setattr(backup, "artifact", SimpleNamespace(verify=spoil))
    with pytest.raises(CommandError) as caught:
        site.backup()
    assert caught.value.returncode == 9
    assert list(site.out.iterdir()) == []


@pytest.mark.contract("R2")
def test_a_backup_of_the_former_command_is_restored_with_a_warning_about_missing_checksums(site, tmp_path):
    rows, files = site.rows(), site.files()
    path = site.backup().path
    former(path)
    objects = [json.loads(line.removesuffix(",")) for line in fixture_of(path).read_text().split("\n")[1:-2]]
    links = ("auth.user_groups", "auth.user_user_permissions", "auth.group_permissions", "testsite.everything_tags")
    selected = [one for one in objects if one["model"] not in links and not one["model"].startswith("auth.")]
    for model in (Group, User):
        queryset = model._base_manager.using(site.alias)
        selected += json.loads(serializers.serialize("json", queryset))
    for one in selected:
        if one["model"] == "testsite.everything":
            one["fields"]["tags"] = list(
                m.Everything.tags.through.objects.using(site.alias)
                .filter(everything_id=one["pk"])
                .values_list("tag_id", flat=True)
            )
    fixture_of(path).write_text(json.dumps(selected, indent=2))
    site.clear()
    output = site.restore(path)
    assert "warning: an old backup without checksums" in output.errors
    found = site.rows()
    assert {table: len(lines) for table, lines in found.items()} == {table: len(lines) for table, lines in rows.items()}
    assert found["testsite_note"] == rows["testsite_note"]
    assert site.files() == files
    assert [finding.id for finding in artifact.verify(path)[1]][1] == "django.no-checksums"


@pytest.mark.promise("P1")
@pytest.mark.parametrize("alias", ["default"], indirect=True)
def test_a_commit_whose_answer_is_lost_is_found_out_and_never_guessed(site, monkeypatch):
    made = site.backup()
    m.Base.objects.create(name="newer than the backup")
    (site.media / "newer").write_bytes(b"x")
    kind, inner = type(connections["default"]), type(connections["default"])._commit

    def lose(connection):
        inner(connection)
        raise OperationalError("server closed the connection")

    with monkeypatch.context() as patch:
        patch.setattr(kind, "_commit", lose)
        printed = site.restore(made.path).printed
    assert "Restore completed successfully" in printed
    assert not m.Base.objects.filter(name="newer than the backup").exists()
    assert not (site.media / "newer").exists()

    def vanish(connection):
        connection.settings_dict["HOST"] = "/nonexistent"
        connection.close()
        raise OperationalError("server closed the connection")

    host = connections["default"].settings_dict["HOST"]
    try:
        monkeypatch.setattr(kind, "_commit", vanish)
        with pytest.raises(CommandError, match="is not known"):
            site.restore(made.path)
    finally:
        connections["default"].settings_dict["HOST"] = host
        connections["default"].close()
