"""Media that are mounted read-only, that belong to another user, or that are full: each plan sees it, and asks nothing."""

import os
import shutil
import subprocess

import pytest

ROOT = os.geteuid() == 0
SCHEMA = """
CREATE TABLE page (id serial PRIMARY KEY, image text);
INSERT INTO page (image) SELECT 'pages/' || n || '.png' FROM generate_series(1, 3) n;
"""


@pytest.fixture
def library(make_site):
    """A site with a restore to go back to, a lost file and a lost row with its file."""
    made = make_site(schema=SCHEMA)
    (made.home / "korrigo-backup.toml").write_text('[media]\ncolumns = ["page.image"]\nstore = true\n')
    for n in range(1, 4):
        made.write(f"pages/{n}.png", f"page {n}".encode() * 20000)
    made.korrigo("backup", "full")
    made.stored, made.dump = (made.one(name).name for name in ("media_backup_*.files.gz", "db_backup_*.sql.gz"))
    made.korrigo("restore", "latest-media", "--yes")
    made.sql("DELETE FROM page WHERE id = 3")
    (made.media / "pages/3.png").unlink()
    return made


def mounted(*words):
    if not (ROOT and shutil.which("mount")) or subprocess.run(["mount", *words], check=False).returncode:
        pytest.skip("this user may not mount")


def refused(site, cause):
    """Try each verb that writes among the media; return what was said."""
    rows = site.rows()
    for words in (
        ("restore", "--file", "*"),
        ("restore", "latest-media"),
        ("restore", "latest-point"),
        ("undelete", "page:3"),
        ("rollback",),
    ):
        done = site.korrigo(*words, stdin="", code=4)
        assert cause in done.err, words
        assert "nothing was changed" in done.err, words
        assert "yes/no" not in done.out + done.err, words
    assert site.rows() == rows


@pytest.mark.promise("P2")
def test_media_that_are_mounted_read_only_are_seen_before_the_question(library):
    mounted("--bind", library.media, library.media)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", library.media], check=True)
        refused(library, "mounted read-only")
        assert "findmnt -T" in library.korrigo("undelete", "page:3", "--yes", code=4).err
        library.korrigo("undelete", "page:3", "--no-files", "--yes")
        library.korrigo("rollback", "--yes")
        subprocess.run(["mount", "-o", "remount,rw,bind", library.media], check=True)
        for words in (("restore", "--file", "*"), ("rollback",), ("undelete", "page:3")):
            library.korrigo(*words, "--yes")
        subprocess.run(["mount", "-o", "remount,ro,bind", library.media], check=True)
        done = library.korrigo("rollback", code=4)
        assert "mounted read-only" in done.err
        assert library.sql("SELECT count(*) FROM page") == [(3,)]
    finally:
        subprocess.run(["umount", library.media], check=True)


@pytest.mark.promise("P2")
def test_media_without_room_for_the_files_are_seen_before_the_question(library):
    kept = library.tree()
    (library.home / "korrigo-backup.toml").write_text('[media]\ncolumns = ["page.image"]\nstore = false\n')
    library.korrigo("backup", "full")
    other = library.home / "other"
    library.media.rename(other)
    library.media.mkdir()
    mounted("-t", "tmpfs", "-o", "size=80k", "none", library.media)
    try:
        done = library.korrigo("restore", "--file", "pages/*", library.stored, stdin="", code=4)
        assert "free" in done.err
        assert "nothing was changed" in done.err
        library.sql("DELETE FROM page")
        done = library.korrigo("undelete", "page:1", "--from", library.dump, "--yes", code=4)
        assert "--no-files" in done.err
        assert library.sql("SELECT count(*) FROM page") == [(0,)]
        for words in (("restore", "--file", "pages/*", "latest-media"), ("undelete", "page:1", "--from", "latest")):
            done = library.korrigo(*words, "--yes", code=1)  # the listing of an archive names no sizes
            assert "cannot stage the files beside the media: No space left on device" in done.err
            assert "make room" in done.err
        assert library.sql("SELECT count(*) FROM page") == [(0,)]
        assert os.listdir(library.media) == []
    finally:
        subprocess.run(["umount", library.media], check=True)
    library.media.rmdir()
    other.rename(library.media)
    assert library.tree() == kept


@pytest.mark.promise("P2")
def test_files_below_a_mount_point_are_seen_before_the_question(library):
    (library.media / "pages").mkdir(exist_ok=True)
    mounted("-t", "tmpfs", "none", library.media / "pages")
    try:
        for words in (("restore", "--file", "pages/*"), ("undelete", "page:3")):
            done = library.korrigo(*words, stdin="", code=4)
            assert "pages/" in done.err
            assert "a file system of its own" in done.err
            assert "umount" in done.err
            assert "yes/no" not in done.out + done.err
        library.korrigo("undelete", "page:3", "--no-files", "--yes")
        assert os.listdir(library.media / "pages") == []
    finally:
        subprocess.run(["umount", library.media / "pages"], check=True)
    library.korrigo("restore", "--file", "pages/*", "--yes")
    assert (library.media / "pages/3.png").read_bytes() == b"page 3" * 20000
