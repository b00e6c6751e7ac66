"""The site's own rules of deletion decide what an erasure takes with it, and Method 2 erases, too."""

import pytest
from msgspec.structs import replace

from korrigo_backup.erasure.entry import Subject
from korrigo_backup.run.record import Verb
from sandbox import connect

COUNTS = """
SELECT (SELECT count(*) FROM exams_copy WHERE id = '{0}'), (SELECT count(*) FROM exams_booklet WHERE copy_id = '{0}'),
       (SELECT count(*) FROM exams_exam)
"""


@pytest.fixture
def copied(demo):
    """The reference site with its Django backup, and the key of an exam's copy with booklets."""
    demo.key = demo.sql("SELECT copy_id FROM exams_booklet ORDER BY copy_id LIMIT 1")[0][0]
    demo.exams = demo.sql("SELECT count(*) FROM exams_exam")[0][0]
    return demo


def test_the_rules_of_the_models_are_recorded_once(copied):
    copied.korrigo("forget", f"exams.Copy:{copied.key}")
    copied.korrigo("forget", f"exams.Exam:{copied.sql('SELECT min(id::text) FROM exams_exam')[0][0]}")
    entries = copied.wired().ledger().read()
    assert [one.subject for one in entries if one.subject != "file"] == ["rules", "row", "row"]
    assert {one.of_row for one in entries if one.subject == "file"} == {True}
    assert {f"{one.table}.{one.column}" for one in entries[0].paths} >= {"exams_copy.pdf", "exams_booklet.pages_images"}
    rules = {(link.table, *link.columns): link.rule for link in entries[0].links}
    assert rules["public.exams_booklet", "copy_id"] == "CASCADE"
    assert "PROTECT" in rules.values()
    assert "SET_NULL" in rules.values()


def test_a_restore_by_django_erases(copied):
    copied.korrigo("backup", "full", "--method", "django")
    made = copied.one("korrigo_backup_*")
    copied.korrigo("forget", f"exams.Copy:{copied.key}")
    assert "exams_copy 1" in copied.korrigo("restore", made, "--yes").out
    assert copied.sql(COUNTS.format(copied.key)) == [(0, 0, copied.exams)]


def test_a_restore_by_django_stops_where_the_key_of_an_erased_row_has_another_name_now(copied):
    copied.korrigo("backup", "full", "--method", "django")
    made = copied.one("korrigo_backup_*")
    copied.korrigo("forget", f"exams.Copy:{copied.key}")
    ledger = copied.wired().ledger()
    entry = next(one for one in ledger.read() if one.subject is Subject.ROW)
    ledger.append([replace(entry, columns=("former",), hash="ab" * 32)])
    failed = copied.json("restore", made, "--yes", code=4)
    assert failed["error"]["id"] == "erasure.not_applicable"
    copied.korrigo("restore", made, "--yes", "--accept", "erasure.not_applicable")
    assert copied.sql(COUNTS.format(copied.key)) == [(0, 0, copied.exams)]


@pytest.mark.parametrize("in_place", [False, True])
def test_a_restore_by_django_erases_the_files_of_the_row_and_no_other(copied, in_place):
    copied.korrigo("backup", "full", "--method", "django")
    made = copied.one("korrigo_backup_*")
    before = {path for path in copied.media.rglob("*") if path.is_file()}
    pdf = copied.sql(f"SELECT pdf FROM exams_copy WHERE id = '{copied.key}'")[0][0]
    rows = copied.sql(f"SELECT pages_images::text FROM exams_booklet WHERE copy_id = '{copied.key}'")
    pages = "".join(row[0] for row in rows)
    copied.korrigo("forget", f"exams.Copy:{copied.key}")
    with connect(copied.server) as admin:
        try:
            admin.execute(f"ALTER ROLE {copied.user} {'NOCREATEDB' if in_place else 'CREATEDB'}")
            done = copied.korrigo("restore", made, "--yes")
        finally:
            admin.execute(f"ALTER ROLE {copied.user} CREATEDB")
    verb = next(one["verb"] for one in reversed(copied.journal()) if one["verb"].startswith("restore"))
    assert (verb == Verb.RESTORE_BY_DJANGO) is in_place
    gone = {str(path.relative_to(copied.media)) for path in before if not path.exists()}
    assert pdf in gone
    assert gone - {pdf}
    assert all(path in pages for path in gone - {pdf})
    assert f"taken out again: {len(gone)} files" in done.out


def test_a_restore_of_a_dump_stops_at_a_protected_row_and_goes_on_when_it_is_forgotten_too(copied):
    made = copied.backup()
    exam = copied.sql(f"SELECT exam_id FROM exams_copy WHERE id = '{copied.key}'")[0][0]
    copied.korrigo("forget", f"exams.Exam:{exam}")
    failed = copied.korrigo("restore", made, "--yes", code=4)
    assert "exams_copy" in failed.err
    keys = [row[0] for row in copied.sql(f"SELECT id FROM exams_copy WHERE exam_id = '{exam}'")]
    copied.korrigo("forget", *(f"exams.Copy:{key}" for key in keys))
    copied.korrigo("restore", made, "--yes")
    assert copied.sql("SELECT count(*) FROM exams_exam") == [(copied.exams - 1,)]
