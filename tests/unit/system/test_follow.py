"""Reading back behind the writer: all of it, no more than it, and never for ever."""

import hashlib
from threading import Event

import pytest

from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.dump import create as sqldump
from korrigo_backup.system.blocks import Effort
from korrigo_backup.system.follow import followed
from korrigo_backup.system.streams import GzipWriter, HashingWriter


def read_all(file):
    digest, size = hashlib.sha256(), 0
    while piece := file.read(1000):
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size


@pytest.mark.promise("P3")
def test_a_file_that_is_written_while_it_is_read_is_read_whole(tmp_path):
    path = tmp_path / "growing"
    pieces = [bytes([number]) * (number * 7) for number in range(200)]
    with path.open("wb", buffering=0) as file, followed([path], read_all) as behind:
        target = HashingWriter(file, behind.grown)
        for piece in pieces:
            target.write(piece)
        assert behind.result() == (target.sha256, target.size)


def test_what_was_never_announced_is_read_all_the_same(tmp_path):
    path = tmp_path / "silent"
    with path.open("wb", buffering=0) as file, followed([path], read_all) as behind:
        file.write(b"x" * 5000)
        assert behind.result()[1] == 5000


def test_a_writer_that_fails_does_not_leave_the_reader_waiting(tmp_path):
    path = tmp_path / "broken"
    with pytest.raises(OSError, match="no more"), path.open("wb", buffering=0) as file, followed([path], read_all):
        file.write(b"begun")
        raise OSError("no more")


def test_bytes_that_change_on_the_disk_behind_the_writer_are_found(tmp_path):
    path, changed = tmp_path / "dump.sql.gz", Event()

    def read(one):
        assert changed.wait(60)  # a reader that is ahead of the change has nothing to find
        return sqldump.read_back(one, "dump")

    with path.open("wb", buffering=0) as file, followed([path], read) as behind:
        with GzipWriter(HashingWriter(file), Effort.QUICK) as gzip:
            gzip.write(bytes(range(256)) * 3000)
        with path.open("r+b") as again:
            again.seek(-30, 2)
            again.write(b"\xff" * 8)
        changed.set()
        with pytest.raises(ProofFailed, match="not a valid gzip file"):
            behind.result()
