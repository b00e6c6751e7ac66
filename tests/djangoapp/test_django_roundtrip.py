"""A backup holds every row and file; a restore brings every one back, to the last digit."""

import ast
import datetime as dt
import io
import json
import os
import shutil
import stat
import time
import uuid
import zipfile
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.contenttypes.models import ContentType
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connections, transaction
from django.db.models import DurationField, FloatField, JSONField
from django.db.models.query import QuerySet
from django.db.models.signals import post_save

from korrigo_backup.djangoapp import backup
from korrigo_backup.djangoapp.fixture import dump as dumper
from korrigo_backup.djangoapp.fixture import pg_lines as pglines
from korrigo_backup.djangoapp.fixture.natural_keys import NaturalKeys
from korrigo_backup.djangoapp.fixture.rows import RowDecoder, RowEncoder
from korrigo_backup.djangoapp.fixture.tables import data_models, tables
from korrigo_backup.djangoapp.fixture.values import duration
from korrigo_backup.djangoapp.load import load as loader
from korrigo_backup.media import stable
from testsite import content
from testsite import models as m


@pytest.mark.contract("B2")
@pytest.mark.contract("R2")
def test_restored_rows_and_files_are_those_of_the_backup(site):
    rows, files = site.rows(), site.files()
    made = site.backup()
    site.clear()
    (site.media / "extra").write_bytes(b"not in the backup")
    (site.media / "a" / "b.pdf").write_bytes(b"corrupt")
    (site.media / "é ü.txt").unlink()
    site.restore(made.path)
    assert site.rows() == rows
    assert site.files() == files


@pytest.mark.contract("T6")
def test_a_restore_keeps_the_previous_media_and_names_their_directory(site):
    made = site.backup()
    (site.media / "extra").write_bytes(b"kept")
    done = site.restore(made.path)
    (before,) = site.media.glob(".before-*")
    assert (before / "extra").read_bytes() == b"kept"
    assert f"Previous media kept in: {before} (korrigo-backup prune removes it" in done.printed


@pytest.mark.promise("P3")
def test_no_backup_holds_the_media_that_a_restore_has_kept(site):
    site.restore(site.backup().path)
    shutil.rmtree(site.out)
    inner = site.media / "private" / ".before-20260204_030000"  # of a restore of a media root below this one
    inner.mkdir(parents=True)
    (inner / "old.pdf").write_bytes(b"previous")
    again = site.backup()
    (archive,) = again.path.glob("media_backup_*.zip")
    listing = archive.with_name(f"{archive.name}.sha256").read_bytes()
    assert b"b.pdf" in listing
    assert b".before-" not in listing
    assert b"old.pdf" not in listing
    assert not [name for name in zipfile.ZipFile(archive).namelist() if ".before-" in name]


@pytest.mark.promise("P2")
def test_two_restores_in_the_same_second_each_keep_the_previous_media(site):
    made = site.backup()
    for name in ("first", "second"):
        (site.media / name).write_bytes(b"x")
        site.restore(made.path)
    one, two = sorted(site.media.glob(".before-*"))
    assert (one / "first").exists()
    assert (two / "second").exists()


@pytest.mark.contract("B2")
def test_backup_prints_the_lines_of_the_runbook(site):
    made = site.backup()
    stamp = made.path.name.removeprefix("korrigo_backup_")
    head, tail = made.printed.split("Backup manifest: ")
    assert head.splitlines() == [
        f"Created temporary backup directory: {site.out}",
        "Backing up database...",
        "Backing up media files...",
        f"Successfully created backup at: {made.path}",
    ]
    assert ast.literal_eval(tail) == {
        "timestamp": stamp,
        "includes_media": True,
        "database_backup": f"db_backup_{stamp}.json",
        "media_backup": f"media_backup_{stamp}.zip",
        "backup_dir": str(made.path),
    }
    written = json.loads((made.path / "manifest.json").read_text())
    assert {key: written[key] for key in ast.literal_eval(tail)} == ast.literal_eval(tail)


@pytest.mark.contract("R2")
def test_restore_prints_the_lines_of_the_runbook(site):
    made = site.backup()
    objects = len(json.loads(next(made.path.glob("db_*.json")).read_text()))
    *lines, media_line, last = site.restore(made.path).printed.splitlines()
    assert media_line.startswith(f"Previous media kept in: {site.media}/.before-")
    assert [*lines, last] == [
        f"Restoring from backup: {made.path}",
        f"Backup timestamp: {made.path.name.removeprefix('korrigo_backup_')}",
        "Restoring database...",
        f"Starting restoration of {objects} objects...",
        f"Pass 1: Saved {objects} objects. 0 remaining.",
        "Database restored successfully",
        "Restoring media files...",
        f"Restored media from: {next(made.path.glob('*.zip'))}",
        "Restore completed successfully",
    ]


@pytest.mark.contract("R2")
def test_a_dry_run_prints_its_steps_and_makes_no_change(site):
    made = site.backup()
    (site.media / "extra").write_bytes(b"x")
    User.objects.using(site.alias).filter(username="bob").update(first_name="changed")
    before = site.rows(), site.files()
    assert site.restore(made.path, dry_run=True).printed.splitlines() == [
        "DRY RUN MODE - No changes will be made",
        f"Restoring from backup: {made.path}",
        f"Backup timestamp: {made.path.name.removeprefix('korrigo_backup_')}",
        "Would restore database...",
        "Would restore media files...",
        "Restore completed successfully",
    ]
    assert (site.rows(), site.files()) == before


@pytest.mark.contract("B2")
@pytest.mark.contract("B8")
@pytest.mark.promise("P7")
def test_a_backup_is_private_whatever_the_umask(site):
    before = os.umask(0)
    try:
        made = site.backup()
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (site.out, made.path)} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made.path.iterdir()} == {0o600}


@pytest.mark.contract("B2")
def test_two_backups_of_one_second_do_not_collide(site, monkeypatch):
    class Stopped(dt.datetime):
        @classmethod
        def now(cls, tz=None):
            return dt.datetime(2026, 2, 4, 3, tzinfo=tz)

    monkeypatch.setattr(backup, "datetime", Stopped)
    site.backup(include_media=False)
    call_command("backup", output_dir=str(site.out), database=site.alias, stdout=io.StringIO())
    first, second = sorted(path.name for path in site.out.iterdir())
    assert second == f"{first}_2"


@pytest.mark.contract("B3")
def test_the_fixture_is_one_json_array_with_one_object_a_line(site):
    text = next(site.backup().path.glob("db_*.json")).read_text()
    lines = text.split("\n")
    assert (lines[0], lines[-2], lines[-1]) == ("[", "]", "")
    assert [json.loads(line.removesuffix(",")) for line in lines[1:-2]] == json.loads(text)


@pytest.mark.contract("B3")
def test_loaddata_takes_the_fixture(site):
    m.Grant.objects.using(site.alias).update(settings=None)  # Django finds no key through a key that is a key itself
    if site.alias == "default":
        m.Beyond.objects.all().delete()  # Django cannot read them
    made = site.backup(include_media=False)
    rows = site.rows()
    site.clear()
    post_save.disconnect(sender=User, dispatch_uid="profile")
    try:
        call_command("loaddata", str(next(made.path.glob("db_*.json"))), database=site.alias, verbosity=0)
    finally:
        post_save.connect(m.make_profile, sender=User, dispatch_uid="profile")
    found = site.rows()
    for table in rows:
        if table != "testsite_everything":  # Django makes JSON null SQL NULL, and long numbers in JSON floats
            assert found[table] == rows[table]
    assert len(found["testsite_everything"]) == len(rows["testsite_everything"])
    one = QuerySet(m.Everything, using=site.alias).get(pk=uuid.UUID(int=1))
    assert one.moment.microsecond == 123457
    assert bytes(one.blob) == bytes(range(256))


@pytest.mark.contract("T8")
def test_numbers_that_were_given_once_are_not_given_again(site):
    last = m.Base.objects.using(site.alias).order_by("-pk").first().pk
    made = site.backup(include_media=False)
    site.clear()
    if site.alias == "default":
        with connections["default"].cursor() as cursor:
            cursor.execute("ALTER SEQUENCE testsite_base_id_seq RESTART")
    else:
        with connections["lite"].cursor() as cursor:
            cursor.execute("DELETE FROM sqlite_sequence")
    site.restore(made.path)
    assert m.Base.objects.using(site.alias).create(name="next").pk == last + 2  # last + 1 was deleted


@pytest.mark.contract("T8")
def test_links_find_their_content_type_and_permission_in_a_database_with_other_numbers(site):
    rows = site.rows()
    made = site.backup(include_media=False)
    site.clear()
    types = ContentType.objects.using(site.alias)
    Permission.objects.using(site.alias).all().delete()
    types.all().delete()
    for model in ("zebra", "tag"):
        made_type = types.create(app_label="testsite", model=model)
    ContentType.objects.clear_cache()
    site.restore(made.path)
    assert m.Note.objects.using(site.alias).get().content_type_id == made_type.pk
    assert site.rows() == rows
    assert Permission.objects.using(site.alias).get().codename == "add_note"


@pytest.mark.contract("T8")
def test_signals_do_not_fire_and_auto_now_does_not_move(site):
    made = site.backup(include_media=False)
    site.restore(made.path)
    assert sorted(m.Profile.objects.using(site.alias).values_list("bio", flat=True)) == ["edited", "made by a signal"]
    moved = QuerySet(m.Everything, using=site.alias).get(pk=uuid.UUID(int=1)).changed
    assert moved == dt.datetime(2001, 1, 1, 1, 1, 1, 1, tzinfo=dt.UTC)


@pytest.mark.contract("T8")
def test_sessions_are_neither_saved_nor_touched(site):
    sessions = Session.objects.using(site.alias)
    sessions.all().delete()
    sessions.create(session_key="k", session_data="d", expire_date=dt.datetime(2030, 1, 1, tzinfo=dt.UTC))
    made = site.backup(include_media=False)
    assert '"sessions.' not in next(made.path.glob("db_*.json")).read_text()
    site.restore(made.path)
    assert sessions.get().session_key == "k"


@pytest.mark.contract("T8")
def test_tables_that_something_else_made_are_data_and_views_are_not(site):
    made = site.backup(include_media=False)
    models = {one["model"] for one in json.loads(next(made.path.glob("db_*.json")).read_text())}
    assert "testsite.legacy" in models
    assert not models & {"testsite.overview", "testsite.mirror", "testsite.view", "testsite.proxy"}


@pytest.mark.parametrize("alias", ["default"], indirect=True)
def test_lines_of_postgresql_and_of_python_mean_the_same_rows(site):
    """Two writers, one reader: what SQL writes is read as what Python writes, for every table both can write."""
    connection, both = connections["default"], 0
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM testsite_beyond WHERE day IS NOT NULL")  # Python cannot read those
        found = tables(data_models("default"), "default", NaturalKeys("default"))
        for table in found:
            if select := pglines.statement(table, connection):
                decoder, encode = RowDecoder(table, frozenset()), RowEncoder(table).encode
                sql = [
                    decoder.decode(line, "sql")[0] for batch in pglines.batches(select, connection) for line in batch
                ]
                python = [decoder.decode(encode(row), "python")[0] for row in table.rows("default")]
                assert _values(table, sql) == _values(table, python), table.label
                both += bool(sql)
        transaction.set_rollback(True)
    assert both > 20
    assert {t.label for t in found if not pglines.statement(t, connection)} == {
        "testsite.custom", "testsite.lists", "testsite.onlypostgres",
    }  # fmt: skip


def _values(table, rows):
    plain: dict[type, Any] = {
        DurationField: duration,
        FloatField: lambda value: repr(float(value)),
        JSONField: bytes,
    }
    kinds = [plain.get(type(column.field), str) for column in table.columns]
    return sorted(
        repr([kind(value) if value is not None else None for kind, value in zip(kinds, row, strict=True)])
        for row in rows
    )


def test_an_excluded_model_is_left_as_it_is(site):
    made = site.backup(include_media=False, exclude=["testsite.Loose"])
    m.Loose.objects.using(site.alias).update(user_id=1)
    m.Custom.objects.using(site.alias).all().delete()
    site.restore(made.path)
    assert m.Loose.objects.using(site.alias).get().user_id == 1
    assert m.Custom.objects.using(site.alias).get().word == "hello"


@pytest.mark.contract("T9")
def test_database_triggers_do_not_fire_and_are_still_there(site):
    made = site.backup(include_media=False)
    with connections[site.alias].cursor() as cursor:
        if site.alias == "default":
            cursor.execute(
                "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN NEW.name := 'spoilt'; RETURN NEW; END $$"
            )
            cursor.execute("CREATE TRIGGER spoil BEFORE INSERT ON testsite_base FOR EACH ROW EXECUTE FUNCTION spoil()")
        else:
            cursor.execute(
                "CREATE TRIGGER spoil AFTER INSERT ON testsite_base BEGIN"
                " UPDATE testsite_base SET name = 'spoilt' WHERE id = NEW.id; END"
            )
    try:
        site.restore(made.path)
        names = m.Base.objects.using(site.alias)
        assert not names.filter(name="spoilt").exists()
        names.create(name="after")
        assert names.filter(name="spoilt").exists()
    finally:
        with connections[site.alias].cursor() as cursor:
            cursor.execute("DROP FUNCTION spoil CASCADE" if site.alias == "default" else "DROP TRIGGER spoil")


@pytest.mark.parametrize("alias", ["default"], indirect=True)
@pytest.mark.parametrize("what", ["restore", "backup"])
def test_the_limits_of_the_role_do_not_end_a_run(site, monkeypatch, what):
    """Korrigo's production settings, a thirtieth as long: statement, lock, and idle in the middle of a transaction."""
    made = site.backup(include_media=False)
    shutil.rmtree(made.path)
    connection = connections["default"]
    module, name = {"restore": (loader, "run"), "backup": (dumper, "tables")}[what]
    inner = getattr(module, name)

    def slowly(*arguments):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(1.2)")
        time.sleep(2.2)
        return inner(*arguments)

    path = site.backup(include_media=False).path
    monkeypatch.setattr(module, name, slowly)
    with connection.cursor() as cursor:
        for setting, value in LIMITS.items():
            cursor.execute(f"SET {setting} = '{value}'")
        if what == "restore":
            site.restore(path)
        else:
            shutil.rmtree(path)
            site.backup(include_media=False)
        for setting, value in LIMITS.items():
            cursor.execute(f"SHOW {setting}")
            assert cursor.fetchone() == (value,)


LIMITS = {"statement_timeout": "1s", "lock_timeout": "200ms", "idle_in_transaction_session_timeout": "2s"}


@pytest.mark.parametrize("alias", ["default"], indirect=True)
def test_constraints_are_as_before_down_to_their_comments(site):
    made = site.backup(include_media=False)
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "ALTER TABLE testsite_membership ADD CONSTRAINT once FOREIGN KEY (club_id) REFERENCES testsite_club NOT VALID"
        )
        cursor.execute("COMMENT ON CONSTRAINT once ON testsite_membership IS 'it''s ours'")
        try:
            before = constraints(cursor)
            site.restore(made.path)
            assert constraints(cursor) == before
        finally:
            cursor.execute("ALTER TABLE testsite_membership DROP CONSTRAINT once")


def constraints(cursor):
    cursor.execute(
        "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), convalidated, obj_description(oid)"
        " FROM pg_constraint WHERE contype IN ('f', 'p', 'u', 'c') ORDER BY 1, 2"
    )
    return cursor.fetchall()


def test_a_restore_keeps_excluded_rows_that_refer_to_restored_rows(site):
    made = site.backup(include_media=False, exclude=["testsite.Membership", "testsite.Town"])
    rows = site.rows()
    m.Base.objects.using(site.alias).create(name="newer")
    site.restore(made.path)
    assert site.rows() == rows


@pytest.mark.parametrize("alias", ["default"], indirect=True)
def test_a_backup_leaves_the_connection_as_it_was(site):
    connection = connections["default"]
    site.backup(include_media=False)
    with connection.cursor() as cursor:
        cursor.execute("SHOW transaction_isolation")
        assert cursor.fetchone() == ("read committed",)
        cursor.execute("SHOW transaction_read_only")
        assert cursor.fetchone() == ("off",)


@pytest.mark.parametrize("alias", ["default"], indirect=True)
def test_a_backup_shows_one_moment(site, monkeypatch):
    other = connections["default"].copy()
    inner = tables

    def and_meanwhile(*arguments):
        with other.cursor() as cursor:
            cursor.execute("INSERT INTO testsite_base (name) VALUES ('meanwhile')")
        return inner(*arguments)

    monkeypatch.setattr(dumper, "tables", and_meanwhile)
    try:
        made = site.backup(include_media=False)
    finally:
        other.close()
    assert "meanwhile" not in next(made.path.glob("db_*.json")).read_text()
    assert m.Base.objects.filter(name="meanwhile").exists()


def test_an_indented_backup_is_restored_too(site):
    rows = site.rows()
    made = site.backup(include_media=False, indent=2)
    site.clear()
    site.restore(made.path)
    assert site.rows() == rows


def test_a_backup_goes_from_one_engine_to_the_other(site):
    if site.alias == "default":
        with connections["default"].cursor() as cursor:
            cursor.execute("UPDATE testsite_everything SET ratio = 1.5")  # SQLite has no NaN
    only = ["testsite.OnlyPostgres", "testsite.Lists", "testsite.Beyond"]
    made = site.backup(include_media=False, exclude=only if site.alias == "default" else [])
    other = "lite" if site.alias == "default" else "default"
    content.clear(other)
    call_command("restore", str(made.path), database=other, stdout=io.StringIO())
    for model in (m.Everything, m.NoObjects, m.Child, m.Membership, m.Custom, User.groups.through):
        one, two = (content.values(model, a) for a in (site.alias, other))
        assert one == two


def test_the_archive_has_paths_below_media_root_and_a_list_that_sha256sum_takes(site):
    made = site.backup()
    archive = next(made.path.glob("*.zip"))
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        infos = {info.filename: info for info in opened.infolist()}
    assert infos["a/b.pdf"].compress_type == zipfile.ZIP_STORED
    assert infos["é ü.txt"].compress_type == zipfile.ZIP_DEFLATED
    assert infos["é ü.txt"].date_time == (1980, 1, 1, 0, 0, 0)
    assert infos["a/empty/"].is_dir()
    listed = (made.path / f"{archive.name}.sha256").read_bytes()
    assert b"  a/b.pdf\n" in listed


def test_a_large_file_that_begins_to_change_is_archived_once_more(site, monkeypatch):
    path, real = site.media / "a" / "b.pdf", stable.StableFile.read
    size = path.stat().st_size
    monkeypatch.setattr(stable, "WHOLE", 10)
    for file in site.media.rglob("*"):
        os.utime(file, (0, 0))

    def read(self, wanted=-1):
        if self.size == size and path.stat().st_mtime == 0:
            path.write_bytes(b"new" * size)
        return real(self, wanted)

    monkeypatch.setattr(stable.StableFile, "read", read)
    made = site.backup()
    assert "a/b.pdf was written to while it was read: archiving once more" in made.printed
    manifest = json.loads((made.path / "manifest.json").read_text())
    assert manifest["media"]["unstable"] == []
    with zipfile.ZipFile(next(made.path.glob("*.zip"))) as archive:
        assert archive.read("a/b.pdf") == b"new" * size
