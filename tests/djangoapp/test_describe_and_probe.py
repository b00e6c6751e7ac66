"""What a site says of itself, and the probe that leaves nothing behind."""

import io
import json
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest
from django.conf import settings
from django.contrib.auth import hashers
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.files.storage import FileSystemStorage, Storage
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, connections, models
from django.db.models.signals import post_save, pre_delete
from django.test import override_settings
from django.test.utils import isolate_apps

from korrigo_backup.djangoapp.fixture.path_columns import configured_columns, file_columns
from korrigo_backup.djangoapp.probe.new_user import new_user
from korrigo_backup.djangoapp.probe.probe import probe
from testsite import content
from testsite import models as m

pytestmark = pytest.mark.contract("R6")


@pytest.fixture
def people(databases, settings_media, change):
    """The site on PostgreSQL, with users."""
    change(MEDIA_ROOT=str(settings_media))
    databases("default")
    User.objects.create_superuser("chief", password="pw")


@pytest.fixture
def change():
    """Change settings for one test, as Django's own tests do: what was made from the old ones is made anew."""
    with ExitStack() as stack:
        yield lambda **values: stack.enter_context(override_settings(**values))


def run(command, *options, code=0):
    printed = io.StringIO()
    found = 0
    try:
        call_command(command, *options, stdout=printed)
    except CommandError as problem:
        found = problem.returncode
    assert found == code
    return json.loads(printed.getvalue().splitlines()[-1])


def test_the_probe_describes_the_site_as_the_other_command_does(people):
    described = run("korrigo_describe")
    del described["schema"]
    assert run("korrigo_probe", "--verbosity", "2")["described"] == described
    assert run("korrigo_probe")["described"] is None


def checks(code=0):
    return {check["id"]: check for check in run("korrigo_probe", code=code)["checks"]}


@contextmanager
def on_save(handler):
    post_save.connect(handler, sender=User, weak=False)
    try:
        yield
    finally:
        post_save.disconnect(handler, sender=User)


# korrigo_describe


def test_a_description_needs_no_database(change, settings_media, monkeypatch):
    monkeypatch.setattr(connection, "connect", lambda: pytest.fail("the database was asked"))
    connection.close()
    output = run("korrigo_describe")
    assert output["schema"] == "korrigo-backup/describe-1"
    assert output["media_root"] == str(settings_media)
    assert output["users"] == {"table": "auth_user", "schema": None}
    assert output["python"].startswith(f"{sys.version_info[0]}.{sys.version_info[1]}.")
    assert output["tables"]["testsite.grandchild"]["table"] == "GRAND_child"


def test_the_revision_is_read_from_a_setting_or_the_environment_or_git(change, monkeypatch, tmp_path):
    assert len(run("korrigo_describe")["revision"]) == 40
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)  # no commit, and no work tree around it counts
    change(BASE_DIR=tmp_path)
    assert run("korrigo_describe")["revision"] is None
    change(BASE_DIR=tmp_path / "not there")
    assert run("korrigo_describe")["revision"] is None
    monkeypatch.setenv("KORRIGO_BACKUP_REVISION", "of the image")
    assert run("korrigo_describe")["revision"] == "of the image"
    change(KORRIGO_BACKUP_REVISION="v1.2")
    assert run("korrigo_describe")["revision"] == "v1.2"


@pytest.mark.parametrize("prefix", ["", "private/x"])
def test_file_fields_are_known_with_their_place_below_the_media_root(settings_media, monkeypatch, prefix):
    storage = FileSystemStorage(settings_media / prefix) if prefix else FileSystemStorage()
    monkeypatch.setattr(m.Everything._meta.get_field("file"), "storage", storage)
    ((column,), elsewhere) = file_columns("default")
    assert (column.table, column.column, column.kind, column.prefix) == ("testsite_everything", "file", "file", prefix)
    assert elsewhere == ()


@pytest.mark.parametrize("outside", ["dir", "cloud"])
def test_a_file_field_that_stores_elsewhere_is_named_apart(settings_media, monkeypatch, outside):
    storage = FileSystemStorage(f"{settings_media}-other") if outside == "dir" else Storage()
    monkeypatch.setattr(m.Everything._meta.get_field("file"), "storage", storage)
    assert file_columns("default") == ((), ("testsite_everything.file",))


def test_path_columns_are_text_json_or_arrays(change):
    change(
        KORRIGO_BACKUP_PATH_COLUMNS=[
            "testsite_everything.text",
            "testsite_everything.data:$.pages[*]",
            "testsite_onlypostgres.numbers",
            "archive.of_no_model.path",
        ]
    )
    found = [(c.table, c.column, c.kind, c.path) for c in configured_columns("default")]
    assert found[0] == ("testsite_everything", "text", "text", "")
    assert found[1] == ("testsite_everything", "data", "json", "$.pages[*]")
    assert found[2][2] == "json"
    assert configured_columns("default")[3].schema == "archive"


@pytest.mark.parametrize(
    ("entry", "words"),
    [("nodot", "is not"), ("testsite_everything.typo", "has no column typo"), (".x", "is not"), ("x.:$", "is not")],
)
def test_a_mistyped_path_column_is_refused_with_its_text(change, entry, words):
    change(KORRIGO_BACKUP_PATH_COLUMNS=[entry])
    with pytest.raises(ImproperlyConfigured, match=words):
        configured_columns("default")
    with pytest.raises(CommandError, match="KORRIGO_BACKUP_PATH_COLUMNS") as caught:
        call_command("korrigo_describe")
    assert caught.value.returncode == 2


# korrigo_probe


def test_a_probe_of_a_healthy_site_passes_and_leaves_no_rows_or_files(people, settings_media):
    rows, files = content.read_all("default"), sorted(settings_media.rglob("*"))
    found = checks()
    assert list(found) == [
        "users", "superusers", "create", "login", "session", "update", "delete", "rollback", "upload",
    ]  # fmt: skip
    assert found["superusers"]["message"] == "1 superusers"
    assert content.read_all("default") == rows
    assert sorted(settings_media.rglob("*")) == files
    assert not User.objects.filter(username__startswith="korrigo-probe").exists()
    assert not Session.objects.exists()


@pytest.mark.parametrize(("hasher", "rounds"), [("PBKDF2PasswordHasher", {1000}), ("PBKDF2SHA1PasswordHasher", {7})])
def test_the_password_of_the_probe_has_few_rounds_where_the_site_hashes_by_djangos_default(
    people, change, monkeypatch, hasher, rounds
):
    made, encode = set(), hashers.PBKDF2PasswordHasher.encode

    def noted(self, password, salt, iterations=None):
        made.add(iterations or self.iterations)
        return encode(self, password, salt, iterations)

    monkeypatch.setattr(hashers.PBKDF2PasswordHasher, "encode", noted)
    monkeypatch.setattr(hashers.PBKDF2SHA1PasswordHasher, "iterations", 7)
    change(PASSWORD_HASHERS=[f"django.contrib.auth.hashers.{hasher}"])
    assert all(check.ok for check in probe().checks)
    assert made == rounds
    assert hashers.get_hasher("default").iterations == getattr(hashers, hasher).iterations  # as before the probe


def test_a_probe_rolls_back_the_rows_that_signal_handlers_write(people):
    def also(instance, **_):
        m.Tag.objects.update_or_create(code="made by a handler")
        m.Tag.objects.using("lite").update_or_create(code="made by a handler")

    with on_save(also):
        checks()
    for alias in ("default", "lite"):
        assert not m.Tag.objects.using(alias).filter(code="made by a handler").exists()


def positions():
    with connection.cursor() as cursor:
        cursor.execute("SELECT schemaname || '.' || sequencename, last_value FROM pg_sequences ORDER BY 1")
        return cursor.fetchall()


HISTORY = """
CREATE TABLE history (id serial PRIMARY KEY, who int);
CREATE TABLE "Odd name" (id serial PRIMARY KEY, number int GENERATED BY DEFAULT AS IDENTITY, word text);
CREATE FUNCTION remember() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO history (who) VALUES (NEW.id); RETURN NEW; END $$;
CREATE FUNCTION by_another_way() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN PERFORM next_invoice(); RETURN NEW; END $$;
CREATE SEQUENCE invoice;
CREATE FUNCTION next_invoice() RETURNS bigint LANGUAGE sql AS $$ SELECT nextval('invoice') $$;
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN NEW.last_name := lower(NEW.last_name); RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON auth_user FOR EACH ROW EXECUTE FUNCTION stamp();
"""
TRIGGER = "CREATE TRIGGER t AFTER INSERT ON auth_user FOR EACH ROW EXECUTE FUNCTION {}()"


def execute(*statements):
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


WRITES = {
    "get_or_create": lambda: m.Tag.objects.get_or_create(code="a tag"),
    "rows of its own": m.Left.objects.create,
    "bulk": lambda: m.Left.objects.bulk_create([m.Left(), m.Left()]),
    "raw, with the number": lambda: execute('INSERT INTO "Odd name" (id, number) VALUES (7, 7)'),
}
REFUSED = {
    "raw": lambda: execute("""INSERT INTO "Odd name" (word) VALUES ('INSERT')"""),
    "default": lambda: execute("INSERT INTO history (id, who) VALUES (DEFAULT, 1)"),
    "select": lambda: execute("SELECT next_invoice()"),
    "with": lambda: execute("WITH made AS (INSERT INTO history (who) VALUES (1) RETURNING id) SELECT * FROM made"),
}


@pytest.mark.parametrize("write", WRITES)
def test_no_sequence_moves_and_handlers_write_all_the_same(people, write):
    execute(HISTORY)
    before, ran = positions(), []
    with on_save(lambda created, **_: ran.append(WRITES[write]()) if created else None):
        found = checks()
    assert positions() == before
    assert all(check["tried"] for check in found.values())
    assert ran


@pytest.mark.parametrize("way", [*REFUSED, "remember", "by_another_way"])
def test_what_would_move_a_sequence_is_not_run_and_is_named(people, way):
    execute(HISTORY, *([] if way in REFUSED else [TRIGGER.format(way)]))
    before = positions()
    with on_save(lambda created, **_: REFUSED[way]() if created and way in REFUSED else None):
        found = checks()
    assert positions() == before
    assert not found["create"]["tried"]
    assert "create was not tried: " in found["create"]["message"]
    assert "login" not in found


def test_no_mail_leaves_while_the_probe_runs(people, change, tmp_path):
    change(EMAIL_BACKEND="django.core.mail.backends.filebased.EmailBackend", EMAIL_FILE_PATH=str(tmp_path / "mail"))

    def write(instance, **_):
        mail.send_mail("welcome", "text", "a@example.invalid", ["b@example.invalid"])

    with on_save(write):
        checks()
        assert not (tmp_path / "mail").exists()
        User.objects.create_user("real")
        assert list((tmp_path / "mail").iterdir())


def test_a_handler_that_fails_is_a_finding_and_the_rest_goes_on(people):
    def fail(instance, **_):
        raise ZeroDivisionError("of the site")

    with on_save(fail):
        found = checks(code=9)
    assert found["create"] == {
        "id": "create",
        "ok": False,
        "tried": True,
        "message": "create: ZeroDivisionError: of the site",
    }
    assert found["rollback"]["ok"]
    assert found["upload"]["ok"]


def test_a_probe_skips_backends_with_outside_effects_and_names_them(people, change):
    change(AUTHENTICATION_BACKENDS=["axes.backends.AxesStandaloneBackend", "django.contrib.auth.backends.ModelBackend"])
    found = checks()
    assert found["login"]["ok"]
    assert "not asked, because they reach further: axes.backends.AxesStandaloneBackend" in found["login"]["message"]


def test_a_probe_fails_if_no_backend_accepts_a_password(people, change):
    change(AUTHENTICATION_BACKENDS=["django.contrib.auth.backends.RemoteUserBackend"])
    assert checks(code=9)["login"]["message"] == "a new user cannot log in with its password"


@pytest.mark.parametrize("engine", ["cache", "cached_db", "file", "signed_cookies"])
def test_sessions_of_every_engine_are_removed_again(people, change, tmp_path, engine):
    change(
        SESSION_ENGINE=f"django.contrib.sessions.backends.{engine}",
        SESSION_FILE_PATH=str(tmp_path),
        CACHES={
            "default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": str(tmp_path)}
        },
    )
    assert checks()["session"]["message"] == "a session begins and is known again"
    assert list(tmp_path.glob("*.djcache")) == list(tmp_path.glob("sessionid*")) == []


def test_a_probe_fails_if_no_user_is_active(people):
    User.objects.update(is_active=False, is_superuser=False)
    found = checks(code=9)
    assert (found["users"]["message"], found["superusers"]["ok"]) == ("0 active users", False)


def test_a_user_whom_the_site_protects_counts_as_its_own_rule(people):
    def refuse(instance, **_):
        raise models.ProtectedError("it is in the audit log", {instance})

    pre_delete.connect(refuse, sender=User, weak=False)
    try:
        found = checks()
    finally:
        pre_delete.disconnect(refuse, sender=User)
    assert "refused by the site's own models" in found["delete"]["message"]
    assert not User.objects.filter(username__startswith="korrigo-probe").exists()


def test_a_media_root_that_takes_no_file_is_found(people, change, tmp_path):
    (tmp_path / "a file").write_bytes(b"")
    for name in ("a file", "not mounted"):
        change(MEDIA_ROOT=str(tmp_path / name))
        assert f"the media directory {tmp_path / name} does not exist" in checks(code=9)["upload"]["message"]
    assert not (tmp_path / "not mounted").exists()


def test_a_directory_that_the_first_upload_makes_is_no_fault_and_is_removed_again(people, change, tmp_path):
    """As the storage of django-tenants does: each tenant has a directory of its own below MEDIA_ROOT."""
    place = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": f"{tmp_path}/of/public"}}
    before = list(tmp_path.iterdir())
    change(MEDIA_ROOT=str(tmp_path), STORAGES={**settings.STORAGES, "default": place})
    assert checks()["upload"]["ok"]
    assert list(tmp_path.iterdir()) == before


def test_an_upload_that_fails_is_a_finding(people, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(FileSystemStorage, "_save", full)
    assert "a file cannot be uploaded: [Errno 28]" in checks(code=9)["upload"]["message"]


def test_an_unreachable_second_database_does_not_stop_the_probe(people, monkeypatch):
    def down():
        raise OperationalError("no route")

    monkeypatch.setattr(connections["lite"], "ensure_connection", down)
    assert all(check.ok for check in probe().checks)


@isolate_apps("testsite")
def test_a_user_of_any_model_can_be_made_up(people):
    class Strange(models.Model):
        USERNAME_FIELD = "email"
        REQUIRED_FIELDS = ("name", "kind")
        email = models.EmailField(unique=True)
        name = models.CharField(max_length=5)
        kind = models.CharField(max_length=3, choices=[("Staff", [("a", "A")]), ("b", "B")])
        number = models.PositiveIntegerField(unique=True)
        key = models.UUIDField()
        born = models.DateField()
        made = models.DateTimeField(auto_now_add=True)
        right = models.ForeignKey(Permission, models.CASCADE)
        optional = models.CharField(max_length=5, blank=True)
        password = models.CharField(max_length=128)

        class Meta:
            app_label = "testsite"

        def __str__(self):
            return self.email

        def set_password(self, raw):
            self.password = raw

    user = new_user(Strange, "pw", "default")
    assert user.email.endswith("@example.invalid")
    assert (len(user.name), user.kind, user.optional) == (5, "a", "")
    assert Permission.objects.filter(pk=user.right_id).exists()
    user.clean_fields()
