"""The files of deleted rows come back with them, from a media backup; and both can be taken back."""

import pytest

DELETE = "DELETE FROM page WHERE exam_id = 3; DELETE FROM exam WHERE id = 3"
SCHEMA = """
CREATE TABLE exam (id serial PRIMARY KEY, name text UNIQUE, scan text);
CREATE TABLE page (id serial PRIMARY KEY, exam_id int REFERENCES exam, image text);
CREATE TABLE room (id serial PRIMARY KEY, exam_id int REFERENCES exam);
INSERT INTO exam (name, scan) SELECT 'exam ' || n, 'scans/' || n || '.pdf' FROM generate_series(1, 5) n;
INSERT INTO page (exam_id, image) SELECT 1 + n % 5, 'pages/deep/' || n || '.png' FROM generate_series(1, 20) n;
INSERT INTO room (exam_id) SELECT 3;
"""


@pytest.fixture(params=["archive", "store"])
def library(make_site, request):
    """A site whose rows name files, and a restore point of it."""
    made = make_site(schema=SCHEMA)
    store = "true" if request.param == "store" else "false"
    (made.home / "korrigo-backup.toml").write_text(f'[media]\ncolumns = ["exam.scan", "page.image"]\nstore = {store}\n')
    for n in range(1, 6):
        made.write(f"scans/{n}.pdf", f"scan {n}".encode())
    for n in range(1, 21):
        made.write(f"pages/deep/{n}.png", f"page {n}".encode() * 100)
    made.korrigo("backup", "full")
    return made


def lose(site):
    """Delete an exam with its pages, and their files; return the paths."""
    paths = [
        path
        for (path,) in site.sql("SELECT scan FROM exam WHERE id = 3 UNION SELECT image FROM page WHERE exam_id = 3")
    ]
    site.sql("UPDATE room SET exam_id = NULL;" + DELETE)
    for path in paths:
        (site.media / path).unlink()
    return paths


def test_files_come_back_with_their_rows(library):
    rows, tree = library.rows(), library.tree()
    lost = lose(library)
    plan = library.json("undelete", "exam:3", "--relink", "--yes")["plan"]
    assert plan["file_count"] == len(lost) == 5
    assert (library.rows(), library.tree()) == (rows, tree)
    assert not [name for name in library.hidden() if "pending" in name]


def test_a_lost_directory_comes_back_and_a_file_that_is_there_stays(library):
    rows, tree = library.rows(), library.tree()
    library.sql("UPDATE room SET exam_id = NULL; DELETE FROM page; DELETE FROM exam")
    for path in (library.media / "pages" / "deep").iterdir():
        path.unlink()
    (library.media / "pages" / "deep").rmdir()
    plan = library.json("undelete", "--table", "exam", "--relink", "--yes")["plan"]
    assert plan["file_count"] == 20
    assert (library.rows(), library.tree()) == (rows, tree)


def test_rollback_takes_rows_and_files_back(library):
    lose(library)
    rows, tree = library.rows(), library.tree()
    library.korrigo("undelete", "exam:3", "--relink", "--yes")
    assert library.rows() != rows
    assert "5 files removed again" in library.korrigo("rollback", "--dry-run").out
    library.korrigo("rollback", "--yes")
    assert (library.rows(), library.tree()) == (rows, tree)
    assert "no restore has left" in library.korrigo("rollback", "--yes", code=6).err


def test_a_rollback_is_refused_where_rows_were_changed_or_are_used(library):
    lose(library)
    library.korrigo("undelete", "exam:3", "--yes")
    library.sql("UPDATE room SET exam_id = 3")
    assert "refer to rows" in library.korrigo("rollback", "--yes", code=4).err
    library.sql("UPDATE room SET exam_id = NULL; UPDATE exam SET name = 'new' WHERE id = 3")
    rows, tree = library.rows(), library.tree()
    assert "changed or deleted since" in library.korrigo("rollback", "--yes", code=4).err
    assert (library.rows(), library.tree()) == (rows, tree)


def test_a_file_that_was_changed_since_stays_in_a_rollback(library):
    lose(library)
    library.korrigo("undelete", "exam:3", "--yes")
    library.write("scans/3.pdf", b"annotated")
    assert "scans/3.pdf" in library.korrigo("rollback", "--yes", code=3).err
    assert (library.media / "scans/3.pdf").read_bytes() == b"annotated"
    assert library.sql("SELECT count(*) FROM exam") == [(4,)]


def test_a_file_name_that_is_taken_is_a_conflict_with_choices(library):
    lose(library)
    library.write("scans/3.pdf", b"another")
    before = library.rows(), library.tree()
    refused = library.korrigo("undelete", "exam:3", "--yes", code=4)
    assert "❌ scans/3.pdf: the name scans/3.pdf is taken by a file with other content" in refused.out
    assert "--overwrite-file scans/3.pdf; or leave it as it is: --on-conflict skip" in refused.err
    assert (library.rows(), library.tree()) == before
    library.korrigo("undelete", "exam:3", "--yes", "--on-conflict", "skip")
    assert (library.media / "scans/3.pdf").read_bytes() == b"another"
    assert library.sql("SELECT count(*) FROM page WHERE exam_id = 3") == [(4,)]


def test_a_file_that_is_named_is_overwritten_and_kept_for_the_rollback(library):
    rows, tree = library.rows(), library.tree()
    lose(library)
    library.write("scans/3.pdf", b"another")
    before = library.rows(), library.tree()
    command = ("undelete", "exam:3", "--relink", "--overwrite-file", "scans/3.pdf")
    assert "overwrite scans/3.pdf" in library.korrigo(*command, "--dry-run").out
    assert (library.rows(), library.tree()) == before
    plan = library.json(*command, "--yes")["plan"]
    assert (plan["overwritten_files"], plan["file_count"]) == (["scans/3.pdf"], 5)
    kept = [path for path in library.media.iterdir() if path.name.startswith(".replaced-")]
    assert [(path / "scans/3.pdf").read_bytes() for path in kept] == [b"another"]
    back = {name: entry for name, entry in library.tree().items() if not name.startswith(b".replaced")}
    assert (library.rows(), back) == (rows, tree)
    assert "1 file with the former content again" in library.korrigo("rollback", "--dry-run").out
    library.korrigo("rollback", "--yes")
    assert (library.rows(), library.tree()) == before


def test_an_overwritten_file_that_was_changed_since_stays_in_a_rollback(library):
    lose(library)
    library.write("scans/3.pdf", b"another")
    library.korrigo("undelete", "exam:3", "--overwrite-file", "scans/3.pdf", "--yes")
    library.write("scans/3.pdf", b"annotated")
    err = library.korrigo("rollback", "--yes", code=3).err
    (kept,) = [path for path in library.media.iterdir() if path.name.startswith(".replaced-")]
    assert f"the former content is in {kept}" in err
    assert (kept / "scans/3.pdf").read_bytes() == b"another"
    assert (library.media / "scans/3.pdf").read_bytes() == b"annotated"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--overwrite-file", "scans/1.pdf"), "scans/1.pdf is no live file with other content that the rows name"),
        (("--overwrite-file", "scans/3.pdf", "--no-files"), "--no-files leaves them out"),
    ],
)
def test_a_file_that_is_in_the_way_of_no_row_is_refused(library, arguments, words):
    lose(library)
    before = library.rows(), library.tree()
    assert words in library.korrigo("undelete", "exam:3", *arguments, "--yes", code=2).err
    assert (library.rows(), library.tree()) == before


def test_a_link_in_the_place_of_a_file_is_not_overwritten(library):
    lose(library)
    (library.media / "scans/3.pdf").symlink_to("1.pdf")
    before = library.rows(), library.tree()
    err = library.korrigo("undelete", "exam:3", "--overwrite-file", "scans/3.pdf", "--yes", code=4).err
    assert "taken by a link or a directory" in err
    assert "--overwrite-file" not in err
    assert (library.rows(), library.tree()) == before


def test_a_directory_that_is_a_link_now_is_refused(library, tmp_path):
    lose(library)
    (library.media / "scans").rename(tmp_path / "elsewhere")
    (library.media / "scans").symlink_to(tmp_path / "elsewhere")
    rows = library.rows()
    assert "is a link" in library.korrigo("undelete", "exam:3", "--yes", code=4).err
    assert library.rows() == rows
    assert not (tmp_path / "elsewhere" / "3.pdf").exists()
    assert not [name for name in library.media.iterdir() if name.name.startswith(".stage")]


def test_files_of_rows_are_not_forgotten_in_silence_where_no_column_is_known(make_site):
    site = make_site(schema=SCHEMA)
    site.write("scans/3.pdf", b"scan")
    site.korrigo("backup", "full")
    lose_rows = "UPDATE room SET exam_id = NULL;" + DELETE
    site.sql(lose_rows)
    (site.media / "scans/3.pdf").unlink()
    assert "no column is known that names media files" in site.korrigo("undelete", "exam:3", "--yes").output
