"""A dump is read as psql reads it: rows counted, programs refused, whatever the size of the pieces."""

import pytest

from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.dump.scan import DumpScanner
from property_testing import given, st

END = b"\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n"
DUMP = (
    rb"""--
-- PostgreSQL database dump
--

\restrict abc

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18

SET standard_conforming_strings = on;
/* a /* nested */ comment; with \! in it */
CREATE FUNCTION public.f() RETURNS text LANGUAGE sql AS $_$ SELECT $a$
COPY public.x (a) FROM stdin;
\! id
\.
$a$ $_$;
CREATE TABLE public."Odd "" name" (id integer, "a;b" text DEFAULT 'it''s; \'::text);
COMMENT ON TABLE public."Odd "" name" IS E'a \' quote \\; and \! more';
COPY public."Odd "" name" (id, "a;b") FROM stdin;
1	one
2	\\.
3	-- PostgreSQL database dump complete
\N	'unbalanced
\.


COPY public.none  FROM stdin;
\.

COPY public.one (a) FROM stdin;

\.
SELECT pg_catalog.setval('public."Odd '' seq"', 42, true);
"""
    + END
)


def scan(data, size=None):
    scanner = DumpScanner("dump")
    step = size or len(data) or 1
    for start in range(0, len(data), step):
        scanner.feed(data[start : start + step])
    return scanner.finish()


@pytest.mark.contract("T10")
def test_rows_sequences_and_versions_are_reported():
    found = scan(DUMP)
    assert found.rows == {'public."Odd "" name"': 4, 'public."none"': 0, "public.one": 1}
    assert found.sequences['public."Odd \' seq"'].last_value == 42
    assert found.server_version == found.client_version == "15.18"


@given(st.integers(1, len(DUMP)))
def test_the_size_of_the_pieces_changes_nothing(size):
    assert scan(DUMP, size) == scan(DUMP)


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\n\r\\"), max_size=30), max_size=40),
    st.integers(1, 500),
)
def test_every_row_is_counted_once(rows, size):
    body = "".join(f"{row}\n" for row in rows)
    data = b"COPY public.t (a) FROM stdin;\n" + body.encode() + b"\\.\n" + END
    assert scan(data, size).rows == {"public.t": len(rows)}


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    "hostile",
    [
        rb"\! id",
        rb"SELECT 1 \g |id",
        rb"SELECT 1 \; SELECT 2;",
        rb"\copy t from program 'id'",
        rb"\i /etc/passwd",
        b"SELECT ( ;\nCOPY public.t (a) FROM stdin;\n\\! id\n\\.\n",
        b"SELECT ) ( ;\nCOPY public.t (a) FROM stdin;\n\\! id\n\\.\n);",
        b"COPY/**/public.t FROM stdin;\n'\n\\.\n\\! id\n'\n\\.\n",
        b"copy public.t from stdin;\n1\n\\.\n",
        b"COPY public.t (a) FROM stdin; SELECT 1;\n\\.\n",
        b"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; COPY public.t (a) FROM stdin;\n\\! id\n\\.\nEND;",
        b"SET standard_conforming_strings = off; SELECT '\\'; \\! id '",
        b"SELECT set_config('standard_conforming_strings', 'off', false);",
        b"\\connect other",
        b"SELECT E'\\\\' \\! id",
    ],
)
def test_statements_that_pg_dump_does_not_write_are_refused(hostile):
    with pytest.raises(ProofFailed):
        scan(hostile + b"\n" + END)


@pytest.mark.promise("P5")
@given(st.integers(0, len(DUMP) - len(END) - 1))
def test_a_dump_cut_anywhere_is_not_complete(length):
    with pytest.raises(ProofFailed):
        scan(DUMP[:length])


def test_an_end_mark_in_the_middle_ends_nothing():
    with pytest.raises(ProofFailed, match="has text after its end mark"):
        scan(END + b"CREATE TABLE late ();\n")


@pytest.mark.parametrize(
    ("text", "odd"),
    [
        (b"BEGIN;\nSELECT 1;\nCOMMIT;\n", 0),
        (b"START TRANSACTION;\nEND;\n", 0),
        (b"COMMIT;\n", 1),
        (b"BEGIN;\nROLLBACK;\n", 1),
        (b"BEGIN;\nSAVEPOINT s;\nCOMMIT;\n", 2),
        (b"BEGIN;\nCOMMIT AND CHAIN;\n", 1),
    ],
)
def test_transaction_commands_that_do_not_belong_to_a_pair_are_noted(text, odd):
    assert len(scan(text + END).odd_transactions) == odd
