"""The tables of a dump, read from its statements."""

from korrigo_backup.postgres.dump.tables import DumpedTable, dumped_tables

DUMP = b"""SET client_encoding = 'LATIN1';
CREATE TABLE public.pupil (
    id integer NOT NULL,
    "Pr\xe9nom" text DEFAULT 'a
    b'::text,
    kept text GENERATED ALWAYS AS (upper("Pr\xe9nom")) STORED,
    CONSTRAINT long CHECK ((id > 0))
);
CREATE TABLE other.x (
    a int
);
CREATE TABLE school."Class, big" (
    a int
)
PARTITION BY RANGE (a);
CREATE TABLE public.child (
    more text
)
INHERITS (public.pupil);
CREATE UNLOGGED TABLE public.bare (
);
COPY public.pupil (id, "Pr\xe9nom") FROM stdin;
1\tx
\\.
CREATE TABLE public.late (
    a int
);
--
-- PostgreSQL database dump complete
--
"""


def test_columns_are_found_with_computed_ones_in_the_encoding_of_the_dump():
    tables = dumped_tables(iter([DUMP]), "a dump")
    assert {one.name: one.columns for one in tables} == {
        "pupil": ("id", "Prénom", "kept"),
        "other.x": ("a",),
        "school.Class, big": ("a",),
        "child": None,  # others are those of its parent
        "bare": (),
    }


def test_reading_ends_at_the_first_rows():
    def pieces():
        yield b"CREATE TABLE public.t (\n    a int\n);\nCOPY public.t (a) FROM stdin;\n1\n" + 600 * b"2\n"
        raise AssertionError("the rows were read")

    assert dumped_tables(pieces(), "a dump") == (DumpedTable("public", "t", ("a",)),)
