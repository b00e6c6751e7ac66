"""A restored site is validated: every fault is named, none hides another, and nothing is changed by looking.

The site is the reference site, really migrated and seeded, and its own Django is asked through manage.py.
"""

import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress

import pytest

from demosite import MANAGE
from sandbox import nothing_changes, quoted, until

pytestmark = pytest.mark.contract("R6")


@contextmanager
def serving(demo):
    """The reference site itself, answering on a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api/health/"
    argv = [*shlex.split(MANAGE), "runserver", "--noreload", f"127.0.0.1:{port}"]
    with subprocess.Popen(argv, env=demo.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        try:
            until(lambda: answers(url))
            yield url
        finally:
            child.kill()


def answers(url):
    with suppress(urllib.error.URLError):
        return urllib.request.urlopen(url, timeout=5).status  # noqa: S310 - our own server
    return None


def only(found, level):
    return {id_: message for id_, its, message in found if its == level}


def test_a_sound_site_passes_every_check_with_the_runbooks_lines(demo):
    saved = demo.backup()
    with serving(demo) as url:
        demo.toml(f'[services]\nhealth_url = "{url}"\n')
        out = demo.script("validate_restore.sh", saved).out
        assert only(demo.validate(saved, "--strict"), "warning") == {}
    for lines in (
        "🔍 Validating restore...\n1. Testing health endpoint...\n✅ Health check OK\n2. Checking database tables...\n",
        "\n✅ Database tables OK (19 tables)\n",
        "\n3. Checking users...\n✅ Users OK (41 users)\n4. Checking media files...\n✅ Media files OK (14 files)\n",
        "\n✅ Migrations OK (20 applied, none missing)\n",
        "\n✅ all 12 files that rows name are there\n",
        "\n✅ All validation checks passed!\n⚠️  Manual testing still recommended\n",
    ):
        assert lines in out
    assert "❌" not in out


@pytest.mark.promise("P4")
def test_looking_changes_nothing(demo):
    before = demo.sequences()
    with nothing_changes(demo):  # every row of every table, every file
        demo.validate()
    assert demo.sequences() == before


def lose_a_scan(demo):
    demo.any_file("copies/*/*.pdf").unlink()


def lose_a_page(demo):
    demo.any_file("booklets/*/page_1.jpg").unlink()


def point_outside(demo):
    demo.sql("UPDATE exams_copy SET pdf = '../../etc/passwd' WHERE id = (SELECT min(id::text)::uuid FROM exams_copy)")


def replace_a_scan_by_a_link(demo):
    scan = demo.any_file("copies/*/*.pdf")
    scan.rename(demo.home / "elsewhere.pdf")
    scan.symlink_to(demo.home / "elsewhere.pdf")


def lose_a_table(demo):
    demo.sql("DROP TABLE exams_gradingevent")


def forget_a_migration(demo):
    demo.sql("DELETE FROM django_migrations WHERE (app, name) = ('exams', '0002_groups')")


def come_from_newer_code(demo):
    demo.sql("INSERT INTO django_migrations (app, name, applied) VALUES ('exams', '0099_newer', now())")


def lose_all_users(demo):
    demo.sql("TRUNCATE auth_user CASCADE")


def lose_the_users_table(demo):
    demo.sql("ALTER TABLE auth_user RENAME TO auth_user_lost")


def set_a_sequence_back(demo):
    demo.sql("SELECT setval('exams_student_id_seq', (SELECT min(id) FROM exams_student), false)")


def lose_the_media(demo):
    demo.media.rename(demo.home / "moved")


def empty_the_media(demo):
    shutil.rmtree(demo.media)
    demo.media.mkdir()


def break_user_rows(demo):
    demo.sql(
        "ALTER TABLE auth_user ADD COLUMN pin int NOT NULL DEFAULT 0; ALTER TABLE auth_user ALTER pin DROP DEFAULT"
    )


def bar_everybody(demo):
    demo.sql("UPDATE auth_user SET is_active = false")


FAULTS = {
    "files": {
        lose_a_scan: ("media.missing", r"3 of 12 files .* missing: .*copies/\S+\.pdf of exams_copy.pdf"),
        lose_a_page: ("media.missing", r"booklets/\S+/page_1.jpg of exams_booklet.pages_images"),
        replace_a_scan_by_a_link: ("media.missing", r"(copies/\S+\.pdf of exams_copy.pdf.*){2}"),
    },
    "rows": {
        forget_a_migration: ("validate.migrations", r"1 migration .* not applied: exams.0002_groups"),
        come_from_newer_code: ("validate.migrations", r"ahead of the code: exams.0099_newer"),
        set_a_sequence_back: ("validate.sequences", r"public.exams_student_id_seq \(public.exams_student.id\)"),
        bar_everybody: ("validate.users", r"0 active users"),
        point_outside: ("media.missing", r"1 of 12 .* missing: \.\./\.\./etc/passwd of exams_copy.pdf"),
    },
    "nobody": {
        lose_all_users: ("validate.users", r"No users found in auth_user"),
        lose_the_media: ("validate.media", r"the media directory .* does not exist"),
    },
    "tables": {
        lose_the_users_table: ("validate.users", r"auth_user is missing"),
        empty_the_media: ("media.missing", r"12 of 12 files"),
    },
    "columns": {
        lose_a_table: ("validate.tables", r"1 table of the backup is missing: public.exams_gradingevent"),
        break_user_rows: ("validate.probe", r"create: IntegrityError: .*pin"),
    },
}
"""Faults that can be had together, with the finding that must name each."""


@pytest.mark.parametrize("world", FAULTS)
def test_each_fault_is_named(demo, world):
    saved = demo.backup()
    for fault in FAULTS[world]:
        fault(demo)
    found = [(id_, message) for id_, level, message in demo.validate(saved, code=9) if level == "error"]
    for fault, (wanted, words) in FAULTS[world].items():
        named = [message for id_, message in found if id_ == wanted and re.search(words, message)]
        assert named, f"{fault.__name__} is not among {found}"
    assert demo.media.exists() is (lose_the_media not in FAULTS[world])


def test_one_failing_check_hides_no_other_and_the_script_exits_1(demo):
    saved = demo.backup()
    lose_a_table(demo)
    lose_a_scan(demo)
    forget_a_migration(demo)
    demo.toml('[services]\nhealth_url = "http://127.0.0.1:9/api/health/"\nhealth_timeout = 0.1\n')
    found = only(demo.validate(saved, code=9), "error")
    assert found.keys() >= {"validate.health", "validate.tables", "media.missing", "validate.migrations"}
    done = demo.script("validate_restore.sh", saved, code=1)
    assert "❌ Health check failed: http://127.0.0.1:9/api/health/" in done.out
    assert "8. Checking database properties...\n✅" in done.out
    assert "All validation checks passed" not in done.out
    assert "error: 5 of " in done.err
    assert "failed: validate.health, validate.tables, validate.migrations, media.missing" in done.err


def test_validate_with_an_unreachable_database_still_checks_the_media(demo):
    found = demo.validate(code=9, env={"POSTGRES_PORT": "1"})
    assert ("validate.media", "ok", "Media files OK (14 files)") in found
    failed = only(found, "error")
    assert failed["validate.users"].startswith("not checked: cannot use database")
    assert "Connection refused" in failed["validate.probe"] or "No such file" in failed["validate.probe"]


def test_rows_written_since_are_a_warning_and_with_strict_an_error(demo):
    saved = demo.backup()
    demo.sql("UPDATE exams_student SET first_name = 'Other' WHERE id = (SELECT min(id) FROM exams_student)")
    demo.sql("DELETE FROM exams_note WHERE id = (SELECT min(id) FROM exams_note)")
    changed = only(demo.validate(saved), "warning")["validate.rows"]
    assert "2 tables differ" in changed
    assert "public.exams_student (other content)" in changed
    assert "public.exams_note (" in changed
    demo.sql("DROP INDEX annotation_copy_page_idx")
    missing = only(demo.validate(saved, "--strict", code=9), "error")
    assert missing.keys() == {"validate.rows", "validate.schema"}
    assert "1 object of" in missing["validate.schema"]
    assert "index public.annotation_copy_page_idx" in missing["validate.schema"]


def test_empty_files_tables_made_since_and_migrations_of_old_apps_are_warnings(demo):
    saved = demo.backup()
    demo.any_file("copies/*/*.pdf").write_bytes(b"")
    demo.sql("CREATE TABLE made_since (id int)")
    demo.sql("INSERT INTO django_migrations (app, name, applied) VALUES ('removed', '0001_initial', now())")
    found = only(demo.validate(saved), "warning")
    assert "1 file that rows name is empty: copies/" in found["media.empty"]
    assert "made_since" in found["validate.tables"]
    assert "removed.0001_initial" in found["validate.migrations"]


def test_a_media_backup_is_compared_by_its_files(demo):
    saved = demo.backup_media()
    assert ("validate.files", "ok", f"Files OK (14 files as in {saved.name})") in demo.validate(saved)
    lose_a_scan(demo)
    assert "1 of 14 files" in only(demo.validate(saved, code=9), "error")["validate.files"]
    saved.with_name(f"{saved.name}.sha256").unlink()
    assert "cannot be compared" in only(demo.validate(saved, code=9), "warning")["validate.files"]


def test_a_django_backup_is_compared_by_its_counts(demo):
    demo.run([*shlex.split(MANAGE), "backup", "--output-dir", str(demo.backups)])
    saved = demo.one("korrigo_backup_*")
    assert "counts as saved" in only(demo.validate(saved), "ok")["validate.rows"]
    demo.sql("DELETE FROM exams_note WHERE id = (SELECT min(id) FROM exams_note)")
    assert "exams_note" in only(demo.validate(saved, "--strict", code=9), "error")["validate.rows"]


def test_properties_are_held_against_the_replaced_database(demo):
    name = quoted(demo.database)
    demo.sql(f"ALTER DATABASE {name} SET work_mem = '5MB'; REVOKE TEMP ON DATABASE {name} FROM PUBLIC", superuser=True)
    demo.restore(demo.backup())
    assert "OK (owner viatique_user, UTF8" in only(demo.validate(), "ok")["validate.database"]
    demo.sql(f"ALTER DATABASE {name} RESET work_mem; ALTER DATABASE {name} OWNER TO postgres", superuser=True)
    found = only(demo.validate(), "warning")["validate.database"]
    assert "owner (viatique_user then, postgres now)" in found
    assert "settings (['all: work_mem=5MB'] then, [] now)" in found
    assert "validate.database" in only(demo.validate("--strict", code=9), "error")


def test_users_of_tenants_are_counted_in_their_schemas_and_a_restore_is_whole(demo):
    """As django-tenants has them: nobody in `public`, or not even the table."""
    for name in ("north", "south"):
        demo.sql(f"CREATE SCHEMA {name}; CREATE TABLE {name}.auth_user (LIKE public.auth_user INCLUDING ALL)")
        demo.sql(f"INSERT INTO {name}.auth_user SELECT * FROM public.auth_user")
        demo.sql(f"SELECT setval(pg_get_serial_sequence('{name}.auth_user', 'id'), 1000)")
    demo.sql("TRUNCATE public.auth_user CASCADE")
    found = only(demo.validate(), "ok")
    assert found["validate.users"] == "Users OK (82 users in 2 other schemas)"
    assert found["validate.probe"].startswith("Login, create, update, delete OK")
    demo.sql("DROP TABLE public.auth_user CASCADE")
    done = demo.korrigo("restore", demo.backup(), "--yes")
    assert "not tried: the table auth_user stands in the schemas of tenants alone" in done.out
    demo.sql("UPDATE north.auth_user SET is_active = false; UPDATE south.auth_user SET is_active = false")
    assert only(demo.validate(code=9), "error")["validate.users"] == "0 active users in 2 schemas"


def test_tries_that_need_tables_of_tenants_alone_are_left_out_and_named(demo):
    """As django-tenants has them: users in `public`, their sessions and the rows that refer to them in each tenant."""
    demo.sql("CREATE SCHEMA north; ALTER TABLE django_session SET SCHEMA north")
    found = only(demo.validate(), "warning")
    assert found["validate.probe"] == (
        "session was not tried: tables of the site stand in the schemas of tenants alone (django_session)"
    )
    demo.sql("DROP TABLE north.django_session")
    assert "session" in only(demo.validate(code=9), "error")["validate.probe"]


def test_validate_without_django_warns_and_still_runs_the_other_checks(demo):
    demo.extra = {}
    found = demo.validate()
    assert only(found, "warning").keys() >= {"validate.django", "media.unreferenced", "validate.probe"}
    assert ("validate.users", "ok", "Users OK (41 users)") in found


def test_a_site_that_is_not_djangos_is_validated_too(site):
    found = json.loads(site.korrigo("validate", "--json").out)["findings"]
    levels = {finding["id"]: finding["level"] for finding in found}
    assert levels["validate.users"] == levels["validate.migrations"] == levels["validate.tables"] == "warning"


def test_an_empty_media_tree_is_an_error_where_the_newest_restore_point_has_files(site):
    def media():
        found = json.loads(site.korrigo("validate", "--json", code=(0, 9)).out)["findings"]
        return next((one["level"], one["message"]) for one in found if one["id"] == "validate.media")

    away = site.home / "kept"
    site.media.rename(away)
    site.media.mkdir()
    site.korrigo("backup", "full")
    assert media()[0] == "warning"
    site.media.rmdir()
    away.rename(site.media)
    site.korrigo("backup", "full")
    empty_the_media(site)
    assert media() == (
        "error",
        f"No media files in {site.media}, 4 in {max(site.backups.glob('restore_point_*.json')).name}",
    )


def test_a_manage_py_that_does_not_run_is_an_error_with_its_own_words(demo):
    for manage, words in {"nothing-like-it manage.py": "cannot run nothing-like-it", "false": "ended with"}.items():
        found = only(demo.validate(code=9, env={"KORRIGO_BACKUP_MANAGE": manage}), "error")
        assert words in found["validate.django"]
        assert words in found["validate.probe"]


def test_validate_passes_a_site_without_the_app_and_names_the_missing_setting(demo):
    demo.settings('INSTALLED_APPS.remove("korrigo_backup.djangoapp")')
    done = demo.korrigo("validate")
    assert "⚠️ not configured, so the site's Django was not asked" in done.out
    assert "korrigo_probe: the site does not have this command" in done.out
    assert 'INSTALLED_APPS needs "korrigo_backup.djangoapp"' in done.out
    assert "❌" not in done.out


def test_where_no_manage_py_stands_django_is_not_configured(demo):
    found = demo.validate(env={"KORRIGO_BACKUP_MANAGE": shlex.join([sys.executable, "nowhere/manage.py"])})
    assert "there is no such program or file" in only(found, "warning")["validate.django"]


SINGLETON = "CREATE TABLE settings (id serial PRIMARY KEY, word text); INSERT INTO settings VALUES (1, 'one')"
KINDS = "CREATE TABLE kind (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY); INSERT INTO kind VALUES (1), (2)"
SHARED = (
    "CREATE SEQUENCE shared; CREATE TABLE a (id int PRIMARY KEY DEFAULT nextval('shared'));"
    "CREATE TABLE b (id int PRIMARY KEY DEFAULT nextval('shared')); INSERT INTO a DEFAULT VALUES"
)
DOWN = (
    "CREATE SEQUENCE down INCREMENT -1 START -1;"
    "CREATE TABLE below (id int PRIMARY KEY DEFAULT nextval('down')); INSERT INTO below DEFAULT VALUES"
)


def sequences(site, *arguments, code=0):
    found = json.loads(site.korrigo("validate", *arguments, "--json", code=code).out)["findings"]
    return [(one["level"], one["message"]) for one in found if one["id"] == "validate.sequences"]


def test_a_row_with_a_number_of_its_own_is_no_fault_of_its_unused_sequence(site):
    """A Django model that is saved with pk=1 leaves its sequence where it was made."""
    site.sql(SINGLETON)
    ((level, message),) = sequences(site)
    assert level == "ok"
    assert "rows have the next number of: public.settings_id_seq (public.settings.id)" in message
    site.sql(KINDS)
    ((level, message),) = sequences(site)
    assert (level, "never used" in message) == ("warning", True)
    site.backup()
    assert [level for level, _ in sequences(site)] == ["ok"]


def test_a_sequence_that_was_never_used_may_not_be_one_that_was_used_when_it_was_saved(site):
    site.sql(f"{SINGLETON}; SELECT setval('settings_id_seq', 5)")
    site.backup()
    site.sql("ALTER SEQUENCE settings_id_seq RESTART")
    ((level, message),) = sequences(site, code=9)
    assert level == "error"
    assert "stand before where db_backup_" in message


@pytest.mark.parametrize(
    ("made", "table", "number"), [(SHARED, "b", 2), (DOWN, "below", -2), (SINGLETON, "settings", 2)]
)
def test_a_used_sequence_whose_next_number_is_taken_is_an_error_until_it_was_saved_so(site, made, table, number):
    site.sql(made)
    if made == SINGLETON:
        site.sql("SELECT nextval('settings_id_seq')")
    site.sql(f"INSERT INTO {table} (id) VALUES ({number})")
    assert sequences(site, code=9)[0][0] == "error"
    site.backup()
    assert sequences(site)[0][0] == "ok"
    site.sql(f"INSERT INTO {table} (id) VALUES ({number * 2})")
    assert sequences(site, code=9)[0][0] == "error"


def test_numbers_that_belong_to_no_unique_column_are_compared_with_the_backup_alone(site):
    site.sql("CREATE TABLE line (place serial); INSERT INTO line VALUES (1), (1), (2); CREATE SEQUENCE invoice START 9")
    assert sequences(site)[0][0] == "ok"
    site.sql("SELECT nextval('invoice')")
    site.backup()
    site.sql("ALTER SEQUENCE invoice RESTART")
    assert sequences(site)[0] == (
        "warning", f"1 sequences stand before where {site.one('db_backup_*.gz').name} has them: public.invoice",
    )  # fmt: skip
    assert sequences(site, "--strict", code=9)[0][0] == "error"


@pytest.mark.parametrize("method", ["sql", "django"])
def test_what_was_saved_without_users_and_before_a_migration_stays_no_error(demo, method):
    demo.extra["KORRIGO_BACKUP_REVISION"] = "of the image"
    forget_a_migration(demo)
    demo.sql("TRUNCATE auth_user CASCADE")
    assert only(demo.validate(code=9), "error").keys() == {"validate.users", "validate.migrations"}
    demo.korrigo("backup", "full", "--method", method)
    found = only(demo.validate(), "warning")
    assert "exams.0002_groups (as in " in found["validate.migrations"]
    assert "as in " in found["validate.users"]
    demo.extra["KORRIGO_BACKUP_REVISION"] = "newer"
    assert only(demo.validate(code=9), "error").keys() == {"validate.migrations"}


def test_an_accepted_finding_is_shown_with_its_reason_and_a_mistyped_one_is_named(demo):
    bar_everybody(demo)
    demo.toml('[validate.accept]\n"validate.users" = "closed for the summer"\n"validate.user" = "mistyped"\n')
    done = demo.korrigo("validate")
    assert "⚠️ 0 active users\n   accepted: closed for the summer\n" in done.out
    assert "[validate] accept names 'validate.user', which is no finding" in done.out
    assert "did you mean 'validate.users'?" in done.out
    demo.toml('[validate.accept]\n"validate.users" = " "\n')
    assert "validate.accept.validate.users" in demo.korrigo("validate", code=2).err


def test_settings_that_print_do_not_hide_the_answer(demo):
    demo.settings('print("loading settings")')
    demo.validate()


def test_validate_warns_about_a_site_that_uses_another_database(demo):
    demo.settings('DATABASES["default"]["NAME"] = "another"')
    found = only(demo.validate(code=9), "warning")
    assert "name the database 'another'" in found["validate.django"]


@pytest.mark.promise("P7")
def test_the_password_reaches_manage_py_and_is_masked_in_the_output(demo):
    demo.settings('import os\nraise SystemExit("it is " + os.environ["POSTGRES_PASSWORD"])')
    done = demo.korrigo("validate", code=9)
    assert "it is ***" in done.out
    assert demo.env["POSTGRES_PASSWORD"] not in done.output


def test_variables_of_the_env_file_reach_manage_py(demo):
    demo.settings('import os\nraise SystemExit("told " + os.environ["ONLY_THERE"])')
    (demo.home / ".env").write_text("ONLY_THERE=by the file\n")
    assert "told by the file" in demo.korrigo("validate", code=9).out


def test_path_columns_may_lie_deep_in_json_in_plain_text_and_absolute(demo):
    page = demo.any_file("booklets/*/page_1.jpg").relative_to(demo.media)
    demo.sql(
        "CREATE TABLE legacy (data jsonb, j text, words text);"
        f""" INSERT INTO legacy VALUES ('{{"pages": [{{"image": "{page}", "label": "no path"}}]}}', '{page}', NULL),"""
        f" (NULL, '{demo.media}/{page}', '[\"gone.jpg\"]')"
    )
    entries = ["legacy.data:$.pages[*].image", "legacy.j", "legacy.words:$[*]", "legacy.nothing"]
    demo.settings(f"KORRIGO_BACKUP_PATH_COLUMNS += {entries}")
    found = only(demo.validate(code=9), "error")
    assert found["media.columns"] == "the database does not have the path columns legacy.nothing"
    assert found["media.missing"] == "1 of 13 files that rows name are missing: gone.jpg of legacy.words"


@pytest.mark.parametrize("method", ["sql", "django"])
def test_files_that_were_missing_at_the_backup_are_no_fault_of_a_restore(demo, method):
    """Sites lose files over the years: what was saved comes back, and the loss from before is told as a warning."""
    lose_a_scan(demo)
    demo.korrigo("backup", "full", "--method", method)
    made = next(demo.backups.glob({"sql": "db_backup_*.sql.gz", "django": "korrigo_backup_*"}[method]))
    bar_everybody(demo)
    done = demo.korrigo("restore", made, "--yes")
    assert re.search(r"⚠️ \d of 12 files that rows name are missing", done.out)
    if method == "sql":
        assert "of 12 files" in only(demo.validate(), "warning")["media.missing"]
        demo.any_file("copies/*/*.pdf").unlink()
        assert "failed: media.missing" in demo.korrigo("restore", made, "--yes", code=3).err


def test_rows_without_an_active_user_are_proven_content(demo):
    bar_everybody(demo)
    made = demo.backup()
    assert "⚠️ 0 active users" in demo.korrigo("restore", made, "--yes").out
