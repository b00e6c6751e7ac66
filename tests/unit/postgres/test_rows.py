"""The rows of a dump come out as they went in, table by table, whatever the size of the pieces."""

import pytest

from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.dump.rows import tables
from property_testing import given, st

END = b"\n--\n-- PostgreSQL database dump complete\n--\n\n"
DUMP = (
    rb'''SET client_encoding = 'LATIN1';
SET standard_conforming_strings = on;
COPY public.skipped (id) FROM stdin;
1
\.

COPY public."Odd "" (name)" (id, "a, ""b""", "c d") FROM stdin;
1	one	\N
2	\\.	tab\there
\.

COPY public.void (id) FROM stdin;
\.

COPY public.hollow  FROM stdin;


\.

COPY public.last (id) FROM stdin;
7
\.
'''
    + END
)
WANTED = {'public."Odd "" (name)"', "public.void", "public.hollow", "public.last"}


def read(dump, size, wanted=WANTED):
    pieces = [dump[at : at + size] for at in range(0, len(dump), size)]
    return [(t.table, t.columns, t.encoding, list(t.lines)) for t in tables(pieces, "test", wanted)]


@given(st.integers(1, len(DUMP)))
def test_tables_come_in_order_with_their_columns_and_rows(size):
    assert read(DUMP, size) == [
        ('public."Odd "" (name)"', ("id", 'a, "b"', "c d"), "LATIN1", [b"1\tone\t\\N", b"2\t\\\\.\ttab\\there"]),
        ("public.void", ("id",), "LATIN1", []),
        ("public.hollow", (), "LATIN1", [b"", b""]),
        ("public.last", ("id",), "LATIN1", [b"7"]),
    ]


@given(
    st.lists(st.binary(max_size=30).map(lambda row: row.translate(None, b"\n\\")), max_size=40),
    st.integers(1, 500),
)
def test_rows_of_any_bytes_come_out_as_they_are(rows, size):
    dump = b"COPY public.t (a) FROM stdin;\n" + b"".join(row + b"\n" for row in rows) + b"\\.\n" + END
    assert read(dump, size, {"public.t"})[0][3] == rows


@pytest.mark.promise("P6")
@pytest.mark.parametrize("size", [4096, 1024 * 1024])
def test_a_row_longer_than_many_pieces_is_one_row(size):
    rows = [b"1\t" + b"x" * 3_000_000, b"2\tshort", b"3\t" + b"y" * 1_500_000]
    dump = b"COPY public.t (id, a) FROM stdin;\n" + b"".join(row + b"\n" for row in rows) + b"\\.\n" + END
    assert read(dump, size, {"public.t"})[0][3] == rows


def test_a_table_that_is_not_read_to_its_end_does_not_disturb_the_next():
    assert [table.table for table in tables([DUMP], "test", WANTED)][-1] == "public.last"


def test_a_dump_that_is_cut_is_not_taken_for_one_with_fewer_rows():
    with pytest.raises(ProofFailed):
        read(DUMP[: DUMP.index(b"2\t")], 100)
