"""The media ZIP: what does not shrink is stored, every tool reads it, what was left out is said."""

import io
import os
import random
import shutil
import subprocess
import zipfile
import zlib

import pytest

from korrigo_backup.errors import ProofFailed
from korrigo_backup.media import zip_archive as media_zip
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.system.streams import HashingWriter

TEXT = b"marks and remarks of a copy\n" * 3000
NOISE = random.Random(1).randbytes(70_000)


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "media"
    (root / "empty").mkdir(parents=True)
    for name, content in {"a.txt": TEXT, "text in a.pdf": TEXT, "b.bin": NOISE, "nothing": b"", "d/ü": b"x"}.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(content)
    return MediaTree(root)


def write(tree, tmp_path):
    target = tmp_path / "media.zip"
    with target.open("xb", buffering=0) as out, (tmp_path / "list").open("xb", buffering=0) as listing:
        return target, media_zip.create(tree, HashingWriter(out), HashingWriter(listing), members_name="list")


def test_compressible_content_is_deflated_and_other_content_is_stored_regardless_of_names(tree, tmp_path):
    target, proof = write(tree, tmp_path)
    with zipfile.ZipFile(target) as opened:
        kinds = {info.filename: info.compress_type for info in opened.infolist()}
        assert opened.read("text in a.pdf") == TEXT
    stored, deflated = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
    assert kinds == {
        "a.txt": deflated,
        "text in a.pdf": deflated,
        "b.bin": stored,
        "nothing": stored,
        "d/": stored,
        "d/ü": stored,
        "empty/": stored,
    }
    assert target.stat().st_size < (2 * len(zlib.compress(TEXT)) + len(NOISE)) * 1.03 + 2000
    assert (proof.files, proof.bytes) == (5, 2 * len(TEXT) + len(NOISE) + 1)


@pytest.mark.skipif(shutil.which("unzip") is None, reason="no unzip on this machine")
def test_unzip_reads_it(tree, tmp_path):
    target, _ = write(tree, tmp_path)
    assert subprocess.run(["unzip", "-tq", target], check=False, capture_output=True).returncode == 0


def test_large_archives_are_zip64(tree, tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 60_000)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    target, _ = write(tree, tmp_path)
    monkeypatch.undo()
    with target.open("rb", buffering=0) as archive, (tmp_path / "list").open("rb") as listing:
        assert media_zip.check(archive, listing, "it").files == 5
    assert b"PK\x06\x06" in target.read_bytes()  # the ZIP64 end of central directory


def test_links_pipes_and_files_that_vanish_are_named(tree, tmp_path, monkeypatch):
    (tree.root / "link").symlink_to("/etc/passwd")
    os.mkfifo(tree.root / "pipe")
    inner = MediaTree.walk

    def and_delete(self):
        for entry in inner(self):
            if entry.path == "b.bin":
                (self.root / "b.bin").unlink()
            yield entry

    monkeypatch.setattr(MediaTree, "walk", and_delete)
    _, proof = write(tree, tmp_path)
    assert sorted(proof.notes) == [
        "deleted while the backup ran: b.bin",
        "pipe left out: pipe",
        "symbolic link left out: link",
    ]
    assert proof.files == 4


@pytest.mark.parametrize("cut", [1, 30, 500])
def test_a_cut_archive_is_found(tree, tmp_path, cut):
    target, _ = write(tree, tmp_path)
    with pytest.raises(ProofFailed):
        media_zip.check(io.BytesIO(target.read_bytes()[:-cut]), None, "it")
