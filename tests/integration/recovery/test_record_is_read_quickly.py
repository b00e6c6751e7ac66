"""The record of an undelete may have a line for each of many rows."""

import io
import os

from korrigo_backup.recovery import undelete
from korrigo_backup.recovery.undelete import read_rows


class _Counted(io.FileIO):
    reads = 0

    def readinto(self, buffer):
        _Counted.reads += 1
        return super().readinto(buffer)

    def read(self, size=-1):
        _Counted.reads += 1
        return super().read(size)


def test_a_record_of_many_rows_is_read_in_blocks(tmp_path, monkeypatch):
    path = tmp_path / "record"
    path.write_text("{}\n" + "".join(f'{{"table": 0, "key": ["{n}"], "hash": "{n}"}}\n' for n in range(5000)))
    monkeypatch.setattr(undelete, "open_plain", lambda name: _Counted(os.fspath(name)))
    assert sum(1 for _ in read_rows(path)) == 5000
    assert _Counted.reads < 100
