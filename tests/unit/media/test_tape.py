"""The file that tarfile reads an archive from."""

import gzip
import os
import subprocess
import tarfile

import pytest

from korrigo_backup.errors import ProofFailed
from korrigo_backup.media import archive as media
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.system.tape import Tape


def test_pieces_of_any_size_are_one_file():
    tape = Tape(iter([b"a", b"bcd", b"efghij"]))
    assert tape.read(5) == b"abcde"
    tape.seek(8)
    assert (tape.tell(), tape.read(10), tape.read(1)) == (8, b"ij", b"")


def test_there_is_no_way_back():
    tape = Tape(iter([b"abc"]))
    tape.read(2)
    with pytest.raises(tarfile.ReadError):
        tape.seek(1)


def test_content_reads_the_padding_of_its_last_block_and_refuses_a_truncated_tape():
    tape = Tape(iter([b"x" * 700, b"y" * 400]))
    assert b"".join(tape.content(600)) == b"x" * 600
    assert tape.tell() == 1024
    with pytest.raises(tarfile.ReadError):
        list(tape.content(100))


@pytest.fixture
def holes(tmp_path):
    """An archive by GNU tar with --sparse: what it stores of the file is not the file's size."""
    place = tmp_path / "app" / "media"
    place.mkdir(parents=True)
    with (place / "holes").open("wb") as file:
        file.write(b"begin")
        file.seek(3_000_000)
        file.write(b"end")
    (place / "plain").write_bytes(os.urandom(5000))
    archive = tmp_path / "media.tar.gz"
    subprocess.run(["tar", "--sparse", "-czf", archive, "-C", tmp_path, "app/media"], check=True)
    return place, archive


def test_files_with_holes_are_restored_with_their_holes_filled(tmp_path, holes):
    place, archive = holes
    target = tmp_path / "restored"
    target.mkdir()
    tree = MediaTree(target)
    staging = tree.stage("20260101_000000")
    with archive.open("rb") as file:
        checked = media.load(file, None, "media", reading=media.Reading("app/media"), staging=staging)
    staging.finish()
    tree.swap("20260101_000000")
    assert checked.files == 2
    for name in ("holes", "plain"):
        assert (target / name).read_bytes() == (place / name).read_bytes()


def test_an_archive_that_is_cut_inside_a_file_is_refused(tmp_path, holes):
    _, archive = holes
    plain = subprocess.run(["zcat", archive], check=True, capture_output=True).stdout
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(subprocess.run(["gzip", "-c"], input=plain[:2900], check=True, capture_output=True).stdout)
    with cut.open("rb") as file, pytest.raises(ProofFailed, match="not a complete tar archive"):
        media.check(file, None, "cut", root=None)


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path):
    """A bomb: a few kilobytes of gzip that hold a header of gigabytes."""
    huge = tarfile.TarInfo("././@PaxHeader")
    huge.type, huge.size = tarfile.XHDTYPE, 1 << 32
    archive = tmp_path / "bomb.tar.gz"
    archive.write_bytes(gzip.compress(huge.tobuf() + bytes(100_000)))
    with archive.open("rb") as file, pytest.raises(ProofFailed, match="a header of"):
        media.check(file, None, "bomb", root=None)
