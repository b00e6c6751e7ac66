"""`restore --file`: single files of the media come back, a live file is overwritten only if that is typed."""

import os
import shlex
import shutil
from pathlib import Path

import pytest

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.errors import Refused
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.recovery.put_files import file_records, undo_files
from korrigo_backup.recovery.undelete import DONE
from korrigo_backup.rescue.media_files.plan import FilesOptions
from korrigo_backup.rescue.media_files.restore import restore_files
from rescue_days import days

LOST = ("scans/2.pdf", "deep/er/é 1.png")


@pytest.fixture(params=["archive", "store"])
def library(site, request):
    """A site with a media backup, and two of its files gone."""
    store = str(request.param == "store").lower()
    (site.home / "korrigo-backup.toml").write_text(f"[media]\nstore = {store}\n")
    for n in range(1, 5):
        site.write(f"scans/{n}.pdf", f"scan {n}".encode())
    site.write("deep/er/é 1.png", b"image" * 100)
    site.first = site.backup_media().name
    site.whole = site.tree()
    (site.media / "scans/2.pdf").unlink()
    (site.media / "deep/er/é 1.png").unlink()
    (site.media / "deep/er").rmdir()
    (site.media / "deep").rmdir()
    site.lost = site.tree()
    return site


def options(*names):
    return [word for name in names for word in ("--file", name)]


def left_over(site):
    left = [name for name in os.listdir(site.media) if name.startswith(".")]
    return left + [path.name for path in site.backups.iterdir() if path.name.endswith((".pending", ".undoing"))]


def test_missing_files_come_back_as_they_were_and_rollback_takes_them_away(library):
    plan = library.json("restore", *options(*LOST), "--yes")["plan"]
    assert (plan["put"], plan["put_count"], plan["same"], plan["conflicts"]) == (sorted(LOST), 2, 0, [])
    assert library.tree() == library.whole
    assert "2 files removed again" in library.korrigo("rollback", "--dry-run").out
    assert library.tree() == library.whole
    library.korrigo("rollback", "--yes")
    assert library.tree() == library.lost
    assert left_over(library) == []
    assert "no restore has left" in library.korrigo("rollback", "--yes", code=6).err


def test_no_database_is_needed(library):
    away = {"POSTGRES_PORT": "1"}
    library.korrigo("restore", *options(*LOST), "--yes", env=away)
    assert library.tree() == library.whole
    library.korrigo("rollback", "--yes", env=away)
    assert library.tree() == library.lost


def test_the_plan_names_the_files_and_changes_nothing(library):
    out = library.korrigo("restore", *options(*LOST, "scans/1.pdf"), "--dry-run").out
    assert "+ deep/er/é 1.png" in out
    assert "+ scans/2.pdf" in out
    assert "1 file live as in the backup" in out
    assert library.tree() == library.lost


def test_any_other_answer_than_yes_changes_nothing(library):
    library.korrigo("restore", *options(*LOST), stdin="no\n", code=5)
    assert library.tree() == library.lost


def test_a_pattern_and_a_directory_bring_back_what_is_missing_below_them(library):
    assert library.json("restore", "--file", "*.p?f", "--yes")["plan"]["put"] == ["scans/2.pdf"]
    assert library.json("restore", "--file", "deep/", "--yes")["plan"]["put"] == ["deep/er/é 1.png"]
    assert library.tree() == library.whole
    assert "nothing to bring back" in library.korrigo("restore", "--file", "*", "--yes").out


def test_a_live_file_with_other_content_stays_and_is_named(library):
    library.write("scans/1.pdf", b"annotated")
    err = library.korrigo("restore", *options(*LOST, "scans/1.pdf"), "--yes", code=3).err
    assert "scans/1.pdf" in err
    assert (library.media / "scans/1.pdf").read_bytes() == b"annotated"
    assert (library.media / "scans/2.pdf").read_bytes() == b"scan 2"
    assert "scans/1.pdf" in library.korrigo("restore", "--file", "scans/1.pdf", "--yes", code=3).err


def test_an_overwritten_file_comes_back_with_the_rollback(library):
    library.write("scans/1.pdf", b"annotated")
    before, inode = library.tree(), (library.media / "scans/1.pdf").stat().st_ino
    plan = library.json("restore", *options("scans/1.pdf", *LOST), "--overwrite", "--yes")["plan"]
    assert (plan["overwrite"], plan["put_count"]) == (["scans/1.pdf"], 2)
    assert {name: one for name, one in library.tree().items() if not name.startswith(b".")} == library.whole
    library.korrigo("rollback", "--yes")
    assert library.tree() == before
    assert (library.media / "scans/1.pdf").stat().st_ino == inode
    assert left_over(library) == []


def test_a_rollback_refuses_files_that_were_changed_since(library):
    library.write("scans/1.pdf", b"annotated")
    library.korrigo("restore", *options("scans/1.pdf", *LOST), "--overwrite", "--yes")
    library.write("scans/2.pdf", b"new work")
    whole = library.tree()
    assert "scans/2.pdf" in library.korrigo("rollback", "--yes", code=4).err
    assert library.tree() == whole
    (library.media / "scans/2.pdf").unlink()
    library.korrigo("rollback", "--yes")
    assert (library.media / "scans/1.pdf").read_bytes() == b"annotated"


def test_each_file_comes_from_the_newest_backup_that_has_it(library):
    newest = library.backup_media()
    library.write("scans/3.pdf", b"changed after")
    plan = library.json("restore", *options("scans/3.pdf", "scans/2.pdf"), "--overwrite", "--yes")["plan"]
    assert plan["sources"] == {newest.name: 1, library.first: 1}
    assert (library.media / "scans/3.pdf").read_bytes() == b"scan 3"
    assert library.korrigo("restore", "--file", "scans/2.pdf", newest.name, "--yes", code=6)


def test_what_no_backup_has_is_named_with_near_names(library):
    err = library.korrigo("restore", "--file", "scan/2.pdf", "--yes", code=6).err
    assert "did you mean scans/2.pdf" in err
    library.korrigo("restore", "--file", "/etc/passwd", "--yes", code=2)
    library.korrigo("restore", "--file", "../x", "--yes", code=2)
    library.korrigo("restore", "--overwrite", code=2)
    library.korrigo("restore", "--file", "x", "--in-place", code=2)


def lose_links(library, *links):
    """Back links up and remove them; return the tree of before."""
    for path, target in links:
        (library.media / path).symlink_to(target)
    library.backup_media()
    before = library.tree()
    for path, _ in links:
        (library.media / path).unlink()
    return before


def test_lost_links_are_counted_known_and_come_back_as_they_were(library):
    library.backup()
    before = lose_links(library, ("scans/link é", "1.pdf"), ("out", "/nowhere/at all"))
    newest = max(library.backups.glob("media_backup_*.gz")).name
    lost = library.tree()
    assert library.json("compare", newest, code=9)["files"]["removed"] == {"count": 2, "first": ["out", "scans/link é"]}
    found = library.json("rescue", "--only-data")
    assert found["losses"]["files"]["change"]["removed"]["count"] == 2
    assert "target" in library.korrigo("history", "--file", "scans/link é").out
    events = library.json("history", "--file", "out")["events"]
    assert [one["kind"] for one in events] == ["first seen", "gone"]
    plan = library.json("restore", "--file", "scans/l*", "--file", "out", "--yes")["plan"]
    assert plan["put"] == ["out", "scans/link é"]
    assert [(one["id"], "out -> /nowhere/at all" in one["message"]) for one in plan["findings"]] == [
        ("media.links", True)
    ]
    assert library.tree() == before
    assert library.json("compare", newest)["files"]["removed"]["count"] == 0
    assert "2 files live as in the backup" in library.korrigo("restore", *options("out", "scans/link é")).out
    library.korrigo("rollback", "--yes")
    assert (library.tree(), left_over(library)) == (lost, [])


def test_a_link_that_leads_elsewhere_now_is_changed_and_stays(library):
    before = lose_links(library, ("scans/link", "1.pdf"))
    (library.media / "scans/link").symlink_to("3.pdf")
    newest = max(library.backups.glob("media_backup_*.gz")).name
    assert library.json("compare", newest, code=9)["files"]["changed"] == {"count": 1, "first": ["scans/link"]}
    library.korrigo("restore", "--file", "scans/link", "--overwrite", "--yes", code=3)
    assert (library.media / "scans/link").readlink().name == "3.pdf"
    (library.media / "scans/link").unlink()
    library.korrigo("restore", "--file", "scans/link", "--yes")
    (library.media / "scans/link").unlink()
    (library.media / "scans/link").symlink_to("4.pdf")
    assert "changed since" in library.korrigo("rollback", "--yes", code=4).err
    (library.media / "scans/link").unlink()
    library.korrigo("rollback", "--yes")
    assert library.tree() == {path: one for path, one in before.items() if path != b"scans/link"}


def test_nothing_is_put_through_a_link(library, tmp_path):
    library.korrigo("restore", "--file", "deep", "--yes")
    (library.media / "deep/er/é 1.png").unlink()
    (library.media / "deep/er").rmdir()
    (library.media / "deep/er").symlink_to(tmp_path)
    assert "is a link" in library.korrigo("restore", "--file", "deep", "--yes", code=4).err
    assert list(tmp_path.glob("*.png")) == []


def test_the_whole_media_directory_comes_back(library):
    for path in sorted(library.media.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    library.korrigo("restore", "--file", "*", "--yes")
    names = {name for name, one in library.whole.items()}
    assert names <= set(library.tree())
    assert (library.media / "deep/er/é 1.png").read_bytes() == b"image" * 100


def test_a_damaged_file_of_a_backup_changes_nothing(library):
    for stored in (library.backups / "media-store").rglob("*"):
        if stored.is_file() and stored.read_bytes() == b"scan 2":
            stored.chmod(0o600)
            stored.write_bytes(b"scan X")
    for archive in library.backups.glob("*.tar.gz"):
        archive.write_bytes(archive.read_bytes()[:-20] + b"\0" * 20)
    library.korrigo("restore", *options(*LOST), "--yes", code=9)
    assert library.tree() == library.lost
    assert left_over(library) == []


def test_the_offer_of_rescue_brings_missing_files_back(site):
    days(site)
    site.backup_media()
    whole = site.tree()
    (site.media / "copies/2026/scan 1.pdf").unlink()
    offers = site.json("rescue", "--only-data")["offers"]
    command = next(one["command"] for one in offers if "--file" in one["command"])
    site.korrigo(*shlex.split(command)[1:], "--yes")
    assert site.tree() == whole


def test_the_status_and_the_list_name_what_can_be_taken_back(library):
    library.korrigo("restore", "--file", "scans/2.pdf", "--yes")
    library.korrigo("restore", "--file", "deep", "--yes")
    (newest, former) = library.json("status", code=(0, 10))["undoable"]
    assert (newest["verb"], newest["asked"], former["asked"]) == ("restore files", ["deep"], ["scans/2.pdf"])
    assert "restore of the files deep at" in library.korrigo("status", code=(0, 10)).out
    assert "takes it back, then 1 earlier" in library.korrigo("list").out
    library.korrigo("rollback", "--yes")
    assert [one["asked"] for one in library.json("list")["undoable"]] == [["scans/2.pdf"]]
    library.sql("DELETE FROM annotation WHERE id = 5")
    library.backup()
    library.sql("DELETE FROM annotation WHERE id = 6")
    library.korrigo("undelete", "--table", "annotation", "--where", "id = 6", "--yes")
    assert "undelete of public.annotation at" in library.korrigo("list").out
    assert " id = 6" not in str(library.json("list")["undoable"])


def test_second_names_of_a_file_come_back_without_their_first(library):
    for name in ("scans/same.pdf", "scans/too.pdf"):
        os.link(library.media / "scans/1.pdf", library.media / name)
    library.backup_media()
    whole = library.tree()
    for name in ("scans/same.pdf", "scans/too.pdf"):
        (library.media / name).unlink()
    library.korrigo("restore", *options("scans/same.pdf", "scans/too.pdf"), "--yes")
    assert {name: one for name, one in library.tree().items() if b"." in name} == {
        name: one for name, one in whole.items() if b"." in name
    }
    assert (library.media / "scans/too.pdf").read_bytes() == b"scan 1"
    library.korrigo("rollback", "--yes")
    assert not (library.media / "scans/too.pdf").exists()


def test_a_file_with_the_size_and_time_of_the_backup_is_read_only_if_it_is_named(library):
    path = library.media / "scans/1.pdf"
    info = path.stat()
    path.write_bytes(b"scan X")
    os.utime(path, ns=(info.st_atime_ns, info.st_mtime_ns))
    stored = bool(list(library.backups.glob("*.files.gz")))
    for asked, conflicts in (("scans", not stored), ("scans/1.pdf", True)):
        plan = library.json("restore", "--file", asked, "--dry-run")["plan"]
        assert plan["conflicts"] == (["scans/1.pdf"] if conflicts else [])


def test_a_file_that_an_older_backup_alone_has_is_named_with_it(library):
    newer = library.backup_media().name
    error = library.json("restore", newer, *options("scans/2.pdf"), code=6)["error"]
    command = shlex.split(error["hint"].partition("korrigo-backup ")[2])
    assert command == ["restore", "--file", "scans/2.pdf", library.first]
    library.korrigo(*command, "--yes")
    assert (library.media / "scans/2.pdf").read_bytes() == b"scan 2"


def test_a_path_with_the_name_of_the_media_directory_has_the_file_below_it_as_the_first_suggestion(library):
    for folder in ("a", "b", "c", "d", "e/deep"):
        library.write(f"{folder}/page.jpg", folder.encode())
    library.backup_media()
    hint = library.json("restore", *options("media/e/deep/page.jpg"), code=6)["error"]["hint"]
    assert hint.startswith("did you mean e/deep/page.jpg")


def test_what_overwrite_leaves_is_named_with_what_was_done_and_the_plan_is_in_the_document(library):
    library.write("scans/1.pdf", b"other")
    (library.media / "scans/3.pdf").unlink()
    (library.media / "scans/3.pdf").symlink_to("4.pdf")
    document = library.json("restore", *options("scans"), "--overwrite", "--yes", code=3)
    error = document["error"]
    assert "move these away" in error["hint"]
    assert "2 files brought back, 1 of them over live files" in error["state"]
    assert (document["applied"], document["plan"]["conflicts"]) == (True, ["scans/3.pdf"])
    assert (library.media / "scans/1.pdf").read_bytes() == b"scan 1"


def test_the_hint_of_a_conflict_names_the_file(library):
    library.write("scans/1.pdf", b"other")
    document = library.json("restore", *options("scans/1.pdf"), "--yes", code=3)
    assert "history --file scans/1.pdf shows" in document["error"]["hint"]
    assert document["plan"]["conflict_count"] == 1


def test_the_directory_of_an_overwritten_file_is_made_again_by_the_rollback(library):
    library.write("scans/1.pdf", b"annotated")
    (library.media / "scans").chmod(0o750)
    library.korrigo("restore", "--file", "scans/1.pdf", "--overwrite", "--yes")
    shutil.rmtree(library.media / "scans")
    library.korrigo("rollback", "--yes")
    assert (library.media / "scans/1.pdf").read_bytes() == b"annotated"
    assert left_over(library) == []


def test_a_link_in_the_place_of_a_file_that_was_put_stays_and_is_named(library):
    library.korrigo("restore", *options(*LOST), "--yes")
    site, catalog = library.wired().site(), library.wired().catalog
    [head] = file_records(catalog.directory, site.name, DONE)
    (library.media / "scans/2.pdf").unlink()
    (library.media / "scans/2.pdf").symlink_to("1.pdf")
    assert undo_files(site, catalog.directory, head) == ["scans/2.pdf"]
    assert (library.media / "scans/2.pdf").is_symlink()


def test_a_file_behind_a_link_is_named_as_that_with_a_true_next_step(library, tmp_path):
    (library.media / "scans").rename(tmp_path / "else")
    (library.media / "scans").symlink_to(tmp_path / "else")
    for choice in ([], ["--overwrite"]):
        err = library.korrigo("restore", "--file", "scans/1.pdf", *choice, "--yes", code=3).err
        assert "behind a link" in err
        assert "move these away" in err


def test_a_half_done_undelete_of_another_site_does_not_concern_this_one(library):
    fields = '"site":"neighbour","database":"n","stamp":"20260101_000000","artifact":"a","asked":[]'
    of_neighbour = library.backups / ".undelete-20260101_000000.pending"
    of_neighbour.write_text(f'{{{fields},"created":"2026-01-01T00:00:00Z"}}\n')
    library.korrigo("restore", *options(*LOST), "--yes")
    assert library.tree() == library.whole
    assert of_neighbour.exists()


def test_a_name_that_is_not_utf8_comes_back_and_is_taken_away_again(site):
    name = "sc ans/caf\udce9.pdf"
    site.write(name, b"coffee")
    site.write("sc ans/1.pdf", b"one")
    site.backup_media()
    whole = site.tree()
    shutil.rmtree(site.media / "sc ans")
    lost = site.tree()
    assert site.json("restore", "--file", "sc ans", "--yes")["plan"]["put_count"] == 2
    assert site.tree() == whole
    site.korrigo("rollback", "--yes")
    assert site.tree() == lost
    site.korrigo("restore", "--file", name, "--yes")
    assert (site.media / name).read_bytes() == b"coffee"
    site.korrigo("rollback", "--yes")


def test_a_directory_that_has_become_a_link_comes_back_as_the_link(site):
    site.write("up/docs/f.pdf", b"one")
    site.write("x/f.pdf", b"other")
    site.backup_media()
    shutil.rmtree(site.media / "up/docs")
    (site.media / "up/docs").symlink_to("../x")
    site.backup_media()
    shutil.rmtree(site.media / "up")
    refused = site.korrigo("restore", *options("up/docs", "up/docs/f.pdf"), "--yes", code=2)
    assert "cannot come back with up/docs of" in refused.err
    assert not (site.media / "up").exists()
    site.korrigo("restore", "--file", "up", "--yes")
    assert (site.media / "up/docs").readlink() == Path("../x")
    assert os.listdir(site.media / "up") == ["docs"]


def test_where_nothing_is_to_do_no_right_to_write_is_needed(site, monkeypatch):
    site.write("a.pdf", b"a")
    site.backup_media()

    def refuse(*_, **__):
        raise Refused("read-only", hint="")

    monkeypatch.setattr(MediaTree, "require_writable", refuse)
    wired, asked = site.wired(), FilesOptions(("a.pdf",))
    plan = restore_files(wired.site(), wired.catalog, asked, now=local_now(), confirm=lambda _: False)
    assert (plan.count, plan.same) == (0, 1)
