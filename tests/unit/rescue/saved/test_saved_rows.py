"""A row is found by its key in the text of a dump, and its values are read."""

import pytest

from korrigo_backup.postgres.dump.rows import TableText
from korrigo_backup.rescue.saved.rows import cell_text, find_row
from property_testing import given, st

COLUMNS = ("id", "name", "seat")
ROWS = [(b"1", b"one", b"12"), (b"12", b"a\\tb", b"1"), (b"112", b"12", b"\\N"), (b"2", b"", b"112")]


def text(rows, columns=COLUMNS, size=1):
    lines = [b"\t".join(row) + b"\n" for row in rows]
    blocks = (b"".join(lines[at : at + size]) for at in range(0, len(lines), size))
    return TableText("public.seat", columns, "UTF8", blocks)


@pytest.mark.parametrize("size", [1, 2, 4])
@pytest.mark.parametrize(
    ("key", "row"),
    [
        ({"id": b"1"}, 0),
        ({"id": b"12"}, 1),
        ({"id": b"112"}, 2),
        ({"seat": b"112"}, 3),
        ({"name": b"12"}, 2),
        ({"id": b"12", "seat": b"1"}, 1),
        ({"id": b"1", "seat": b"112"}, None),
        ({"id": b"11"}, None),
        ({"other": b"1"}, None),
    ],
)
def test_a_row_is_found_by_its_whole_key(key, row, size):
    found = find_row(text(ROWS, size=size), key)
    assert (found and found.cells) == (None if row is None else ROWS[row])


cells = st.sampled_from([b"", b"1", b"11", b"a", b"\\N", b"1\\t1", b"\\\\"])


@given(st.lists(st.tuples(cells, cells, cells), max_size=6), cells, st.sampled_from(COLUMNS), st.integers(1, 6))
def test_the_first_row_with_the_cell_is_found_wherever_it_stands(rows, cell, column, size):
    place = COLUMNS.index(column)
    expected = next((row for row in rows if row[place] == cell), None)
    found = find_row(text(rows, size=size), {column: cell})
    assert (found and found.cells) == expected


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        (b"\\N", None),
        (b"", ""),
        (b"\\\\N", "\\N"),
        (b"a\\tb\\nc\\\\d", "a\tb\nc\\d"),
        (b"\\x41\\101\\q", "AAq"),
        ("é".encode(), "é"),
    ],
)
def test_a_value_is_read_as_copy_wrote_it(cell, value):
    assert cell_text(cell, "UTF8") == value


def test_a_value_is_read_in_the_encoding_of_the_dump():
    assert cell_text(b"\xe9", "LATIN1") == "é"
