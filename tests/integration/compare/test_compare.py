"""A saved state against the present one: every changed byte is named by its table and its row."""

import gzip
import hashlib
import json
import subprocess
from typing import Any

import pytest

from korrigo_backup.cli.printed.comparison import changes
from korrigo_backup.compare.compare import Present, compare_artifact
from korrigo_backup.compare.present import LiveRows
from korrigo_backup.compare.rows import dump_rows, narrow
from korrigo_backup.postgres.digest import snapshot
from korrigo_backup.verify.dump_source import open_sql
from rowkinds import ODD, ONE_BYTE, SETTINGS
from sandbox import PROJECT, Sandbox, connect, nothing_changes


@pytest.fixture(scope="module")
def kinds(server, tmp_path_factory):
    """A site with rows of many types, and its backup; it is not changed."""
    made: Any = Sandbox(server, "viatique_kinds", tmp_path_factory.mktemp("kinds") / "site")
    made.create(ODD)
    made.sql(SETTINGS.format("viatique_kinds"))
    made.made = made.backup()
    yield made
    with connect(server) as connection:
        connection.execute("DROP DATABASE viatique_kinds WITH (FORCE)")


@pytest.fixture
def twin(kinds):
    """Return a function that makes a copy of that site's database, changed by SQL; it is dropped at the end."""
    name = "viatique_kinds_twin"

    def make(sql, *, superuser=False):
        kinds.sql(f"CREATE DATABASE {name} TEMPLATE {kinds.database}", "postgres")
        kinds.sql(sql, name, superuser=superuser)
        return name

    yield make
    kinds.sql(f"DROP DATABASE IF EXISTS {name}", "postgres")


def compared(site, database, **options):
    wired = site.wired()
    return compare_artifact(Present(wired.site(), database, **options), wired.catalog.find(str(site.made)))


def rows(found):
    return {table.name: table.rows for table in found.tables}


@pytest.mark.contract("D5")
def test_a_database_is_as_its_backup_says(kinds, twin):
    found = compared(kinds, twin("SELECT 1"))
    assert found.differences == ()
    assert found.same == 10


@pytest.mark.contract("D5")
@pytest.mark.parametrize(("change", "table", "key"), ONE_BYTE.values(), ids=ONE_BYTE)
def test_one_changed_value_names_its_table_and_its_row_alone(kinds, twin, change, table, key):
    found = compared(kinds, twin(change))
    assert found.differences == ("1 table",)
    changed = rows(found)[table]
    assert (changed.added, changed.changed, changed.removed) == (0, 1, 0)
    assert changed.changed_keys == (key,)


def test_compare_separates_added_and_removed_and_changed_rows(kinds, twin):
    change = "DELETE FROM late WHERE a IN (-1, -2); UPDATE late SET b = 0 WHERE a = -9; INSERT INTO late VALUES (1, 1)"
    found = rows(compared(kinds, twin(change)))["public.late"]
    assert (found.added_keys, found.changed_keys, found.removed_keys) == (("a=1",), ("a=-9",), ("a=-1", "a=-2"))
    assert found.exact
    assert found.key == ("a",)


def test_a_change_of_the_key_is_a_row_removed_and_a_row_added(kinds, twin):
    found = rows(compared(kinds, twin("UPDATE late SET a = 100 WHERE a = -30")))["public.late"]
    assert (found.added_keys, found.changed_keys, found.removed_keys) == (("a=100",), (), ("a=-30",))


def test_without_a_key_rows_are_compared_as_often_as_they_are_there(kinds, twin):
    change = "DELETE FROM keyless WHERE ctid = (SELECT min(ctid) FROM keyless WHERE a = 1); INSERT INTO keyless VALUES (7, 'x'), (7, 'x')"
    found = rows(compared(kinds, twin(change)))["public.keyless"]
    assert (found.added, found.changed, found.removed, found.key) == (2, 0, 1, ())
    assert found.removed_keys == ("a=1, b=same",)
    assert found.added_keys == ("a=7, b=x", "a=7, b=x")


def test_a_child_without_a_key_of_its_own_and_a_table_without_columns(kinds, twin):
    found = rows(compared(kinds, twin("UPDATE child SET body = 'd' WHERE id = 2; DELETE FROM hollow")))
    assert set(found) == {"public.child", "public.hollow"}
    assert (found["public.child"].added, found["public.child"].removed) == (1, 1)
    assert found["public.child"].removed_keys == ("id=2, body=c, more=m",)
    assert (found["public.hollow"].added, found["public.hollow"].removed) == (0, 1)


def test_rows_are_the_same_whatever_the_settings_of_database_and_role_are(kinds, twin):
    name = twin(
        "ALTER DATABASE viatique_kinds_twin SET timezone = 'Asia/Tokyo'; UPDATE kinds SET body = 'new' WHERE id = 2"
    )
    assert rows(compared(kinds, name))["public.kinds"].changed_keys == ("id=2",)
    assert compared(kinds, None).differences == ()


def test_another_set_of_columns_is_named_and_the_rest_still_compared(kinds, twin):
    found = compared(kinds, twin("ALTER TABLE late ADD d int DEFAULT 4, DROP b; UPDATE late SET c = '' WHERE a = -3"))
    late = rows(found)["public.late"]
    assert (late.new_columns, late.lost_columns) == (("d",), ("b",))
    assert (late.changed, late.changed_keys) == (1, ("a=-3",))
    assert {"column public.late.d"} == set(found.new_objects)
    assert {"column public.late.b"} == set(found.lost_objects)


def test_tables_that_came_or_went_and_views_made_of_others(kinds, twin):
    found = compared(kinds, twin("DROP TABLE part_a; CREATE TABLE fresh (id int); INSERT INTO keyless VALUES (0, 'same');"
                                 "REFRESH MATERIALIZED VIEW total"))  # fmt: skip
    counts = {table.name: (table.saved, table.now, table.rows is None) for table in found.tables}
    assert counts == {
        "public.part_a": (31, None, True),
        "public.fresh": (None, 0, True),
        "public.keyless": (12, 13, False),
        "public.total": (1, 1, True),
    }
    assert rows(found)["public.keyless"].added == 1


def test_a_dump_without_a_manifest_is_compared_by_its_rows_alone(kinds, twin, tmp_path):
    foreign = tmp_path / "copied.sql.gz"
    with foreign.open("wb") as target:
        access = kinds.server.access()
        dump = subprocess.run(
            [access.client_dir / "pg_dump"], check=True, capture_output=True,
            env={"PGHOST": access.host, "PGUSER": access.user, "PGPASSWORD": access.password.reveal(),
                 "PGDATABASE": kinds.database, "PGOPTIONS": "-c client_encoding=LATIN1"},
        )  # fmt: skip
        assert b"SET client_encoding = 'LATIN1'" in dump.stdout
        target.write(gzip.compress(dump.stdout))
    wired = kinds.wired()
    artifact = wired.catalog.find(str(foreign))
    assert compare_artifact(Present(wired.site()), artifact).differences == ()
    name = twin(SETTINGS.format("viatique_kinds_twin") + "UPDATE kinds SET body = 'new' WHERE id = 2")
    found = compare_artifact(Present(wired.site(), name), artifact)
    assert rows(found)["public.kinds"].changed_keys == ("id=2",)
    assert found.differences == ("1 table",)


def test_a_dump_that_lost_its_manifest_is_compared_by_its_rows_alone(kinds, tmp_path):
    lost = tmp_path / "copied.sql.gz"
    lost.write_bytes(kinds.made.read_bytes())
    wired = kinds.wired()
    assert compare_artifact(Present(wired.site()), wired.catalog.find(str(lost))).differences == ()


@pytest.mark.promise("P6")
def test_a_large_table_is_narrowed_by_buckets_to_the_same_answer(kinds, twin):
    name = twin("DELETE FROM late WHERE a IN (-1, -2); UPDATE late SET b = 0 WHERE a = -9; INSERT INTO late VALUES (1, 1);"
                "DELETE FROM keyless WHERE a = 1; INSERT INTO keyless VALUES (5, 'five')")  # fmt: skip
    wired, wanted = kinds.wired(), {"public.late": 30, "public.keyless": 12}
    with open_sql(wired.catalog.find(str(kinds.made))) as source, snapshot(wired.site().postgres, database=name) as now:
        at_once = narrow(dump_rows(source.file, "dump"), LiveRows(now), wanted)
        by_buckets = narrow(dump_rows(source.file, "dump"), LiveRows(now), wanted, small=0)
    assert at_once["public.late"].changed_keys == ("a=-9",)
    for table in wanted:
        for kind in ("added", "changed", "removed", "exact"):
            assert getattr(at_once[table], kind) == getattr(by_buckets[table], kind)


def test_when_more_differs_than_is_held_the_counts_are_said_to_be_the_least(kinds, twin, monkeypatch):
    monkeypatch.setattr("korrigo_backup.compare.rows.HELD", 10)
    wired = kinds.wired()
    name = twin("UPDATE late SET b = 0")
    with open_sql(wired.catalog.find(str(kinds.made))) as source, snapshot(wired.site().postgres, database=name) as now:
        found = narrow(dump_rows(source.file, "dump"), LiveRows(now), {"public.late": 30}, small=0)["public.late"]
    assert not found.exact
    assert 1 <= found.changed <= 10
    assert changes(found)[1] == f"≥{found.changed}"


# The verb


@pytest.mark.contract("D5")
def test_compare_prints_the_differences_as_text_and_as_json(site):
    site.backup()
    with nothing_changes(site):
        assert "✅ Identical" in site.korrigo("compare").out
    site.wreck()
    with nothing_changes(site):
        done = site.korrigo("compare", "--rows", 2, code=9)
        found = json.loads(site.korrigo("compare", "--json", code=9).out)
    lines = [line.split() for line in done.out.splitlines()]
    assert ["public.exam", "20", "21", "1", "0", "0"] in lines
    assert ["public.copy", "300", "300", "0", "300", "0"] in lines
    assert ["public.annotation", "300", "-", "-", "-", "-"] in lines
    assert "  + id=21" in done.out
    assert "  ~ … 298 more" in done.out
    assert "public.exam_id_seq stands at 9000, not 20" in done.out
    assert "- function touch()" in done.out or "- function public.touch()" in done.out
    assert "4 tables, 1 sequence, " in done.err
    assert found["schema"] == "korrigo-backup/compare-1"
    by_name = {table["name"]: table for table in found["tables"]}
    assert by_name["public.exam"]["rows"]["added_keys"] == ["id=21"]
    assert by_name["public.copy"]["rows"]["changed"] == 300


def test_compare_reads_only_the_tables_given_on_the_command_line(site):
    site.backup()
    site.wreck()
    assert "public.copy" not in site.korrigo("compare", "-T", "exam", code=9).out
    assert "✅ Identical" in site.korrigo("compare", "--table", "public.nothing_yet").out
    assert "there is no table exams" in site.korrigo("compare", "-T", "exams", code=2).err


def test_compare_accepts_the_previous_database_that_a_restore_kept(site):
    made = site.backup()
    assert "no restore has kept a previous copy" in site.korrigo("compare", "before", code=6).err
    site.sql("UPDATE exam SET name = 'later' WHERE id = 4")
    site.restore(made)
    (replaced,) = site.previous_databases()
    for arguments in (("before",), ("--with-database", replaced)):
        assert "  ~ id=4" in site.korrigo("compare", *arguments, code=9).out
    assert "✅ Identical" in site.korrigo("compare", replaced and made).out
    assert "  ~ id=4" in site.korrigo("compare", made, "--database", replaced, code=9).out
    assert "there is no database nowhere" in site.korrigo("compare", "--with-database", "nowhere", code=6).err


def test_a_damaged_backup_is_not_compared(site):
    made = site.backup()
    made.write_bytes(made.read_bytes()[:-20])
    assert "is cut" in site.korrigo("compare", made, code=9).err


@pytest.mark.contract("D6")
def test_media_files_that_differ_are_named(site):
    made = site.backup_media()
    with nothing_changes(site):
        assert "✅ Identical" in site.korrigo("compare", made).out
    site.write("pages/p1.jpg", bytes(range(256)) * 39 + bytes(256))
    site.write("pages/a new\nfile.jpg", b"new")
    (site.media / "copies/2026/scan 1.pdf").unlink()
    out = site.korrigo("compare", made, code=9).out
    assert "  + pages/a new\\nfile.jpg" in out
    assert "  ~ pages/p1.jpg" in out
    assert "  - copies/2026/scan 1.pdf" in out
    found = json.loads(site.korrigo("compare", "latest", "--media", "--json", code=9).out)
    assert found["files"]["same"] == 2
    assert found["files"]["changed"] == {"count": 1, "first": ["pages/p1.jpg"]}
    (site.media / "link").symlink_to("pages/p1.jpg")
    site.restore(made)
    out = site.korrigo("compare", "before", "--media", code=9).out
    assert "  ~ pages/p1.jpg" in out
    assert "  - link" in out


# The scripts of runbook 6.5


@pytest.mark.contract("D5")
def test_the_script_compares_the_state_before_and_after(site):
    env = {"KORRIGO_STATE_DIR": str(site.home / "state")}
    site.sql("CREATE TABLE auth_user (id int PRIMARY KEY); INSERT INTO auth_user VALUES (1), (2)")
    made = site.backup()
    out = site.script("compare_db_state.sh", env=env).out
    for line in (
        "=== COMPARAISON DB PRE/POST RESTORE ===",
        "1. Capturing pre-restore state...",
        "2. Capturing post-restore state...",
        "3. Comparing states...",
        "✅ User count identical: 2",
        "✅ Table structure identical",
    ):
        assert line in out.splitlines()
    site.script("compare_db_state.sh", "before", env=env)
    site.sql("DELETE FROM auth_user WHERE id = 2; DROP TABLE nothing_yet")
    done = site.script("compare_db_state.sh", "after", env=env, code=9)
    assert "⚠️ User count differs: 2, now 1" in done.out
    assert "⚠️ Table structure differs: column public.nothing_yet.id, table public.nothing_yet" in done.out
    site.restore(made)
    assert "✅ Identical" in site.script("compare_db_state.sh", "after", env=env).out


@pytest.mark.contract("D5")
def test_the_script_runs_the_restore_between_the_two_states(site):
    env = {"KORRIGO_STATE_DIR": str(site.home / "state")}
    made = site.backup()
    restore = (PROJECT / "scripts" / "restore_db.sh", made, "--yes", "--no-safety-backup")
    assert "✅ Identical" in site.script("compare_db_state.sh", *restore, env=env).out
    site.sql("UPDATE copy SET mark = mark + 1")
    done = site.script("compare_db_state.sh", *restore, env=env, code=9)
    assert "public.copy" in done.out
    assert site.script("compare_db_state.sh", "false", env=env, code=1).out.count("Comparing") == 0


@pytest.mark.contract("D6")
def test_the_script_compares_the_checksums_of_all_media(site):
    env = {"KORRIGO_STATE_DIR": str(site.home / "state")}
    assert "✅ All media files integrity verified" in site.script("verify_media_integrity.sh", env=env).out
    site.script("verify_media_integrity.sh", "before", env=env)
    (before,) = (site.home / "state").glob("media_checksums_before*")
    assert before.stat().st_mode & 0o777 == 0o600
    listed = before.read_text().splitlines()
    assert len(listed) == 4
    assert f"{hashlib.sha256(b'').hexdigest()}  app/media/pages/empty.jpg" in listed
    site.write("pages/empty.jpg", b"not any more")
    done = site.script("verify_media_integrity.sh", "after", env=env, code=9)
    assert "⚠️ Some media files differ" in done.out
    assert "  ~ pages/empty.jpg" in done.out


def test_a_state_that_was_saved_is_never_replaced_and_another_file_is_no_state(site):
    site.korrigo("compare", "--save", "a.json")
    assert "a.json exists already" in site.korrigo("compare", "--save", "a.json", code=2).err
    assert "does not end in .sha256" in site.korrigo("compare", "--media", "--save", "b.json", code=2).err
    assert "--table go with a database" in site.korrigo("compare", "--media", "-T", "exam", code=2).err
    (site.home / "b.json").write_text('{"schema": "other"}')
    assert "is not a state file" in site.korrigo("compare", "b.json", code=9).err
    assert "there is no file c.json" in site.korrigo("compare", "c.json", code=6).err
    (site.home / "b.sha256").write_text(f"{'0' * 64}  app/media/b\n{'0' * 64}  app/media/a\n")
    assert "is not ordered by path at a" in site.korrigo("compare", "b.sha256", code=9).err
