"""Archives of uploads that another tool has made: where the media begin in them, and which links are taken."""

import bz2
import io
import lzma
import tarfile
import zipfile

import pytest

from korrigo_backup.artifact import dump_file as dumpfile
from korrigo_backup.core.paths import leads_out, stays_inside
from korrigo_backup.errors import ProofFailed, UsageError
from korrigo_backup.media import archive as media
from korrigo_backup.media import foreign_zip
from korrigo_backup.media.archive import Found
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.restore.foreign_media import find_dumps, find_root

STAMP = "20260204_030000"


def found(*paths):
    return [Found(path.rstrip("/") or ".", "directory" if path.endswith("/") else "file") for path in paths]


@pytest.mark.parametrize(
    ("paths", "live", "root"),
    [
        (["a.txt", "sub/b.txt"], [], "."),
        (["/", "a.txt", "sub/", "sub/b.txt"], [], "."),
        (["srv/www/shop/media/a.txt", "srv/www/shop/media/sub/b.txt"], ["a.txt"], "srv/www/shop/media"),
        (["srv/", "srv/www/", "srv/www/a.txt"], ["www/a.txt"], "srv"),
        (["app/media/", "app/media/a.txt"], [], "app/media"),
        (["data/a.txt", "data/b.txt"], [], "data"),
        (["backup/pictures/a.txt", "backup/pictures/sub/b.txt"], [], None),
        (["srv/site/media/2024/a.txt"], [], "srv/site/media"),
        (["/", "media/a.txt"], [], None),  # media of the media, or of the directory above
        (["/", "media/a.txt"], ["media/a.txt"], "."),
        (["x/a.txt", "x/x/a.txt"], ["a.txt", "x/a.txt"], "x"),
        (["x/y/a.txt"], ["a.txt", "y/a.txt"], None),
        (["media/a.txt", "__MACOSX/media/._a.txt", "media/.DS_Store"], ["a.txt"], "media"),
        (["media/a.txt", "other/"], [], "."),
    ],
)
def test_the_root_is_found_by_the_live_files_and_else_by_a_known_name(paths, live, root):
    assert find_root(found(*paths), live, "/srv/shop/files") == root


@pytest.mark.parametrize(
    ("paths", "live", "dumps"),
    [
        (["/", "toc.dat", "3346.dat.gz"], ["a.txt"], ["3346.dat.gz", "toc.dat"]),
        (["shop/toc.dat", "shop/3346.dat"], [], ["shop/3346.dat", "shop/toc.dat"]),
        (["a.sql", "b.SQL.gz"], [], ["a.sql", "b.SQL.gz"]),
        (["shop.dump"], ["a.txt"], ["shop.dump"]),
        (["shop.dump"], ["files/shop.dump"], []),  # somebody has uploaded it
        (["shop.dump", "a.txt"], [], []),
        (["toc.dat.txt"], [], []),
        (["/"], [], []),
    ],
)
def test_an_archive_of_dumps_alone_is_no_media(paths, live, dumps):
    assert find_dumps(found(*paths), live) == dumps


def test_a_dump_in_an_encrypted_zip_is_refused():
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("shop.sql", "x")
    encrypted = bytearray(packed.getvalue())
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        encrypted[encrypted.index(mark) + flags] |= 1
    with (
        pytest.raises(UsageError, match="holds an encrypted file"),
        dumpfile.unpacked(dumpfile.Form.ZIP, io.BytesIO(encrypted), "shop.zip"),
    ):
        pass


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    ("path", "target", "out", "inside"),
    [
        ("l", "a/b", False, True),
        ("d/l", "../a", False, True),
        ("d/l", "../../a", True, False),
        ("l", "/srv/media/a", True, False),
        ("l", "..", True, False),
        ("x/y/l", "m/../../../z", False, False),  # m may be a link to a directory that is less deep
        ("l", "./a", False, True),
    ],
)
def test_links_that_lead_out_are_reported_by_their_text(path, target, out, inside):
    assert leads_out(path, target) is out
    assert stays_inside(path, target) is inside


def tar(members, mode="w"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind == tarfile.REGTYPE:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
            else:
                info.linkname = content
                archive.addfile(info)
    return file.getvalue()


def taken(tmp_path, raw, **reading):
    tree = MediaTree(tmp_path / "media")
    staging = tree.stage(STAMP)
    media.load(io.BytesIO(raw), None, "a.tar", reading=media.Reading(".", **reading), staging=staging)
    staging.finish()
    tree.swap(STAMP)
    return tree.root


@pytest.mark.promise("P5")
def test_hard_links_repeated_names_and_links_are_taken_as_tar_takes_them(tmp_path):
    raw = tar(
        [
            ("./a", tarfile.REGTYPE, b"old"),
            ("./a", tarfile.REGTYPE, b"new"),
            ("./b", tarfile.LNKTYPE, "./a"),
            ("./in", tarfile.SYMTYPE, "a"),
            ("./out", tarfile.SYMTYPE, "/etc/passwd"),
            ("./pipe", tarfile.FIFOTYPE, ""),
        ]
    )
    checked = media.check(io.BytesIO(raw), None, "a.tar", root=None)
    assert [one.path for one in checked.found if one.kind == "link"] == ["in", "out"]
    assert checked.notes == (
        "link that leads out of the tree, left out: out",
        "not a file or directory, left out: pipe",
    )
    root = taken(tmp_path, raw, repeated={"a": 2})
    assert sorted(path.name for path in root.iterdir() if not path.name.startswith(".")) == ["a", "b", "in"]
    assert (root / "b").read_bytes() == b"new"
    assert (root / "a").stat().st_ino == (root / "b").stat().st_ino


def test_a_hard_link_to_a_missing_file_is_refused(tmp_path):
    with pytest.raises(ProofFailed, match="does not come before it"):
        taken(tmp_path, tar([("b", tarfile.LNKTYPE, "a")]))


@pytest.mark.parametrize("pack", [bz2.compress, lzma.compress, bytes], ids=["bz2", "xz", "plain"])
def test_archives_of_other_compressors_are_read_and_truncated_archives_are_refused(pack):
    raw = pack(tar([("a", tarfile.REGTYPE, bytes(100_000))]))
    assert media.check(io.BytesIO(raw), None, "a.tar", root=None).files == 1
    with pytest.raises(ProofFailed):
        media.check(io.BytesIO(raw[: len(raw) // 2]), None, "a.tar", root=None)


def test_zstd_is_refused_with_the_command_that_converts_it():
    with pytest.raises(UsageError, match="zstd") as caught:
        media.check(io.BytesIO(b"\x28\xb5\x2f\xfd" + bytes(600)), None, "/srv/a b.tar.zst", root=None)
    assert "zstd -dc '/srv/a b.tar.zst' | gzip" in caught.value.hint


def zipped(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for info, content in members:
            archive.writestr(info, content)
    file.seek(0)
    return file


def test_a_zip_of_windows_is_taken_and_one_that_is_not_clear_refused(tmp_path):
    windows = zipfile.ZipInfo("media\\sub\\b.txt")
    windows.create_system, windows.filename = 0, "media\\sub\\b.txt"
    archive = zipped([(windows, "two"), ("media/a.txt", "one"), ("__MACOSX/media/._a.txt", "")])
    assert {one.path for one in foreign_zip.check(archive, "a.zip").found} == {"media/sub/b.txt", "media/a.txt"}
    tree = MediaTree(tmp_path / "media")
    staging = tree.stage(STAMP)
    foreign_zip.load(archive, "a.zip", root="media", staging=staging)
    staging.finish()
    tree.swap(STAMP)
    assert (tree.root / "sub" / "b.txt").read_bytes() == b"two"
    unix = zipfile.ZipInfo("sub/x")
    unix.filename, unix.create_system = "sub\\x", 3
    with pytest.raises(UsageError, match="backslash"):
        foreign_zip.check(zipped([(unix, "")]), "a.zip")
