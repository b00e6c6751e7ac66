"""Records of undeletes: of any length, and compared in little memory."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from korrigo_backup.media.single_files import PutFile
from korrigo_backup.recovery import undoable
from korrigo_backup.recovery.undelete import (
    DONE,
    PENDING,
    RecordedRow,
    RecordedTable,
    UndeleteHead,
    read_rows,
    record_path,
    records,
    write_record,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def write(
    directory: Path, second: int, keys: Iterable[tuple[str | None, ...]], *files: PutFile, state: str = DONE
) -> str:
    stamp = f"20260204_0300{second:02}"
    head = UndeleteHead(
        site="s",
        database="d",
        stamp=stamp,
        artifact="a",
        asked=(),
        created=datetime(2026, 2, 4, 3, 0, second, tzinfo=UTC),
        tables=(RecordedTable("public", "other", ("id",), ("id",)), RecordedTable("public", "t", ("id",), ("id",))),
        files=files,
    )
    write_record(directory, head, (msgspec.json.encode(RecordedRow(1, key, "1")) for key in keys), state=state)
    return stamp


def later(directory: Path, stamp: str) -> str | None:
    (of,) = [one for one in undoable.undoable(directory, "s") if one.stamp == stamp]
    found = undoable.touched_since(directory, "s", of)
    return found.stamp if found else None


def test_a_head_of_any_length_is_read(tmp_path):
    long = PutFile("scans/" + "a" * (64 * 1024 * 1024), "0" * 64, 1)
    stamp = write(tmp_path, 1, [("1",)], long, state=PENDING)
    (head,) = records(tmp_path, "s", PENDING)
    assert head.files == (long,)
    assert [row.key for row in read_rows(record_path(tmp_path, stamp, PENDING))] == [("1",)]


@pytest.mark.parametrize("bits", [8, 2**26])
def test_the_newest_later_operation_on_the_same_row_is_found_also_where_bits_meet_by_chance(
    tmp_path, monkeypatch, bits
):
    monkeypatch.setattr(undoable, "_BITS", bits)
    monkeypatch.setattr(undoable, "_COMPARED", 3)
    first = write(tmp_path, 1, [(str(n), None) for n in range(40)])
    second = write(tmp_path, 2, [(str(n), None) for n in range(39, 90)])
    third = write(tmp_path, 3, [(str(n), None) for n in range(100, 150)])
    assert later(tmp_path, first) == second
    assert later(tmp_path, second) is None
    assert later(tmp_path, third) is None


def test_many_rows_are_compared_in_little_memory(tmp_path):
    first = write(tmp_path, 1, ((f"key {n:060}",) for n in range(40_000)))
    write(tmp_path, 2, ((f"key {n:060}",) for n in range(40_000, 80_000)))
    tracemalloc.start()
    try:
        assert later(tmp_path, first) is None
        assert tracemalloc.get_traced_memory()[1] < 12_000_000
    finally:
        tracemalloc.stop()
