"""`history --table`, `--changed` and `--file`: when a table changed, which rows, and how a file stood."""

import os

import pytest

from rescue_days import days, history


@pytest.mark.parametrize("named", ["exam", "public.exam"])
def test_a_table_is_shown_at_the_times_when_it_changed(site, named):
    first, second, third = days(site, "UPDATE exam SET name = 'a' WHERE id = 1", "INSERT INTO exam (name) VALUES ('b')")
    site.sql("TRUNCATE exam CASCADE")
    found = history(site, "--table", named)
    assert [(one["kind"], one["former"], one["source"]) for one in found["moments"]] == [
        ("changed", first, second),
        ("more rows", second, third),
        ("emptied", third, "live"),
    ]
    assert "emptied: 21 rows before" in site.korrigo("history", "-T", named).out


def test_no_dump_is_opened_to_find_when_a_table_changed(site):
    days(site, "UPDATE exam SET name = 'a' WHERE id = 1")
    for dump in site.backups.glob("db_backup_2*.sql.gz"):
        dump.write_bytes(b"")
    assert len(history(site, "--table", "exam")["moments"]) == 1


def test_the_changed_rows_of_a_table_are_shown_with_their_values(site):
    first, second = days(
        site,
        "UPDATE exam SET name = 'a' WHERE id = 1; DELETE FROM copy WHERE false; INSERT INTO exam (name) VALUES ('b')",
    )
    site.sql("UPDATE exam SET held = NULL WHERE id = 2")
    found = history(site, "--table", "exam", "--changed", "--between", first, second)
    assert [(one["kind"], one["key"]) for one in found["rows"]] == [("changed", {"id": "1"}), ("added", {"id": "21"})]
    assert found["rows"][0]["fields"] == [{"field": "name", "old": "exam 1", "new": "a"}]
    live = history(site, "--table", "exam", "--changed")
    assert [(one["key"]["id"], one["fields"][0]["field"]) for one in live["rows"]] == [("2", "held")]
    out = site.korrigo("history", "--table", "exam", "--changed", "--between", first, "now").out
    assert "2 changed, 0 removed, 1 added" in out
    assert "~ id=1  name: exam 1 → a" in out


def test_rows_of_a_large_table_and_of_one_without_a_key(site):
    site.sql("CREATE TABLE large (id int PRIMARY KEY, word text); CREATE TABLE bare (word text)")
    site.sql("INSERT INTO large SELECT n, md5(n::text) FROM generate_series(1, 60000) n; INSERT INTO bare VALUES ('a')")
    days(site)
    site.sql("DELETE FROM large WHERE id = 7; UPDATE large SET word = 'x' WHERE id = 8; INSERT INTO bare VALUES ('b')")
    found = history(site, "--table", "large", "--changed")
    assert [(one["kind"], one["key"]["id"]) for one in found["rows"]] == [("changed", "8"), ("removed", "7")]
    bare = history(site, "--table", "bare", "--changed")
    assert bare["rows"] == [{"kind": "added", "key": {}, "fields": [{"field": "word", "new": "b"}]}]


def test_only_so_many_rows_are_shown_and_all_are_counted(site):
    days(site)
    site.sql("UPDATE exam SET name = name || '!'")
    found = history(site, "--table", "exam", "--changed", "--rows", "3")
    assert (found["change"]["changed"], len(found["rows"])) == (20, 3)


@pytest.mark.parametrize("stored", [False, True])
def test_a_file_is_shown_where_its_content_changes(site, stored):
    (site.home / "korrigo-backup.toml").write_text(f"[media]\nstore = {str(stored).lower()}\n")
    made = []
    for number, content in enumerate([b"one", b"one", b"two"]):
        path = site.write("copies/a b.pdf", content)
        os.utime(path, (1e9 + number, 1e9 + number))
        new = site.backup_media()
        made.append(site.aged(new, 5 - number))
        for suffix in ("", ".manifest.json", ".sha256"):
            new.with_name(new.name + suffix).unlink(missing_ok=True)
    (site.media / "copies/a b.pdf").unlink()
    found = history(site, "--file", "copies/a b.pdf")
    assert [(one["kind"], one["source"]) for one in found["events"]] == [
        ("first seen", made[0].name),
        ("changed", made[2].name),
        ("gone", "live"),
    ]
    fields = [one["field"] for one in found["events"][1]["fields"]]
    assert fields == (["sha256", "modified"] if stored else ["sha256"])
    assert history(site, "--file", str(site.media / "pages/p1.jpg"))["is_live"] is True
    assert history(site, "--file", "copies/none.pdf", code=6)["error"]["id"] == "rescue.no_file"


@pytest.mark.parametrize(
    "arguments",
    [[], ["exam:1", "--file", "x"], ["exam:1", "--changed"], ["--table", "exam", "--field", "name"]],
)
def test_options_that_do_not_go_together_are_refused(site, arguments):
    assert history(site, *arguments, code=2)["error"]["code"] == 2
