"""A file that changes while it is read is read again, or named; the archive keeps its shape in any case."""

import hashlib
import os
import time
from contextlib import closing

import pytest

from korrigo_backup.media import stable
from korrigo_backup.media.stable import StableFile, open_stable
from korrigo_backup.media.tree import MediaTree

pytestmark = pytest.mark.promise("P1")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(stable, "_PAUSE", 0.001)


@pytest.fixture
def large(monkeypatch):
    """Let a small file count as one that is streamed."""
    monkeypatch.setattr(stable, "WHOLE", 10)
    monkeypatch.setattr(stable, "RECENT", -1e9)


@pytest.fixture
def growing(monkeypatch):
    """Let a small file count as a large one that may still be growing."""
    monkeypatch.setattr(stable, "WHOLE", 10)


def entry_of(root, name):
    for entry in MediaTree(root).walk():
        if entry.path == name:
            yield entry


def read_all(file):
    parts = []
    while piece := file.read(7):
        parts.append(piece)
    return b"".join(parts)


@pytest.mark.parametrize("size", [0, 5, 1000])
def test_a_file_that_stays_is_read_as_it_is(tmp_path, size):
    path = tmp_path / "f"
    path.write_bytes(bytes(size))
    with path.open("rb", buffering=0) as raw:
        file = StableFile(raw)
        assert file.size == size
        assert read_all(file) == bytes(size)
        assert file.is_stable()
        assert file.sha256 == hashlib.sha256(bytes(size)).hexdigest()


def test_a_streamed_file_that_stays_is_stable(tmp_path, large):
    path = tmp_path / "f"
    path.write_bytes(b"streamed content")
    with path.open("rb", buffering=0) as raw:
        file = StableFile(raw)
        assert read_all(file) == b"streamed content"
        assert file.is_stable()


def test_a_small_file_that_changes_once_is_read_again_and_stable(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(b"first")
    real, changes = stable._read_up_to, iter([b"second, longer"])

    def read(file, limit):
        content = real(file, limit)
        if change := next(changes, None):
            path.write_bytes(change)
        return content

    monkeypatch.setattr(stable, "_read_up_to", read)
    with path.open("rb", buffering=0) as raw:
        file = StableFile(raw)
        assert read_all(file) == b"second, longer"
        assert file.size == len(b"second, longer")
        assert file.is_stable()


def test_a_small_file_that_never_rests_is_reported(tmp_path, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(b"x")
    real = stable._read_up_to

    def read(file, limit):
        content = real(file, limit)
        with path.open("ab") as more:
            more.write(b"more")
        return content

    monkeypatch.setattr(stable, "_read_up_to", read)
    with path.open("rb", buffering=0) as raw:
        file = StableFile(raw)
        assert len(read_all(file)) == file.size
        assert not file.is_stable()


def test_a_streamed_file_that_shrinks_is_filled_up_and_reported(tmp_path, large):
    path = tmp_path / "f"
    path.write_bytes(b"0123456789abcdefghij")
    with path.open("rb", buffering=0) as raw:
        file = StableFile(raw)
        assert file.read(5) == b"01234"
        os.truncate(path, 8)
        assert read_all(file) == b"567" + bytes(12)
        assert not file.is_stable()


@pytest.mark.parametrize("change", ["append", "overwrite", "touch"])
def test_a_streamed_file_that_changes_is_reported(tmp_path, large, change):
    path = tmp_path / "f"
    path.write_bytes(b"0123456789abcdefghij")
    with path.open("rb", buffering=0) as raw:
        file = StableFile(raw)
        file.read(5)
        time.sleep(0.02)
        if change == "touch":
            os.utime(path)
        else:
            with path.open("ab" if change == "append" else "r+b") as other:
                other.write(b"XX")
        assert len(read_all(file)) == 15
        assert not file.is_stable()


def test_a_large_file_that_is_still_growing_is_read_again_until_it_rests(tmp_path, growing, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(b"the first half of it")
    real, more = stable._copy, iter([b" and the second"])

    def copy(source, target, limit):
        size = real(source, target, limit)
        if piece := next(more, None):
            with path.open("ab") as upload:
                upload.write(piece)
        return size

    monkeypatch.setattr(stable, "_copy", copy)
    with path.open("rb", buffering=0) as raw, closing(StableFile(raw)) as file:
        path.write_bytes(b"changed after one state of it was copied")
        assert read_all(file) == b"the first half of it and the second"
        assert file.size == 35
        assert file.is_stable()


def test_a_large_file_that_never_stops_growing_is_reported(tmp_path, growing, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(b"0123456789abcdefghij")
    real = stable._copy

    def copy(source, target, limit):
        with path.open("ab") as upload:
            upload.write(b"more")
        return real(source, target, limit)

    monkeypatch.setattr(stable, "_copy", copy)
    with path.open("rb", buffering=0) as raw, closing(StableFile(raw)) as file:
        assert len(read_all(file)) == file.size
        assert not file.is_stable()


def test_without_room_for_a_copy_a_growing_file_is_streamed(tmp_path, growing, monkeypatch):
    path = tmp_path / "f"
    path.write_bytes(b"0123456789abcdefghij")

    def full(source, target, limit):
        source.read(5)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(stable, "_copy", full)
    with path.open("rb", buffering=0) as raw, closing(StableFile(raw)) as file:
        assert read_all(file) == b"0123456789abcdefghij"
        assert file.is_stable()


def test_a_file_that_is_gone_is_none_and_a_link_in_its_place_is_refused(tmp_path):
    (tmp_path / "f").write_bytes(b"x")
    for entry in entry_of(tmp_path, "f"):
        (tmp_path / "f").unlink()
        with open_stable(entry) as file:
            assert file is None
    (tmp_path / "f").write_bytes(b"x")
    for entry in entry_of(tmp_path, "f"):
        (tmp_path / "f").unlink()
        (tmp_path / "f").symlink_to("/etc/passwd")
        with pytest.raises(OSError, match="symbolic links"), open_stable(entry):
            pass
