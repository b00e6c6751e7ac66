"""Types of a backup, and whether the live type holds their values."""

import pytest

from korrigo_backup.postgres.dump.column_types import column_types, parents
from korrigo_backup.rescue.saved_types import narrowed

STATEMENT = b"""CREATE TABLE public.mark (
    id integer NOT NULL,
    "Odd ""Name" character varying(20) COLLATE pg_catalog."C" DEFAULT 'a,
    id bigint'::character varying NOT NULL,
    value numeric(4,2) DEFAULT 1.5,
    held timestamp(3) with time zone,
    mood public."Mood" DEFAULT 'x'::public."Mood",
    many numeric(4,2)[],
    kind "char",
    twice text GENERATED ALWAYS AS (((body)::text || body)) STORED,
    CONSTRAINT mark_check CHECK ((value <= (20)::numeric))
)
INHERITS (public.base, other."B")"""


def test_the_types_of_a_dumped_table_are_read():
    assert column_types(STATEMENT) == {
        "id": "integer", 'Odd "Name': "character varying(20)", "value": "numeric(4,2)",
        "held": "timestamp(3) with time zone", "mood": 'public."Mood"', "many": "numeric(4,2)[]", "kind": '"char"',
        "twice": "text",
    }  # fmt: skip
    assert parents(STATEMENT) == [b"public.base", b'other."B"']


def test_a_line_that_is_more_than_a_type_is_none():
    assert column_types(b"CREATE TABLE public.t (\n    a int); DROP TABLE x; --,\n    b integer\n)") == {"b": "integer"}


@pytest.mark.parametrize(
    ("saved", "live", "may_hold_less"),
    [
        ("integer", "integer", False), ("integer", "bigint", False), ("bigint", "integer", False),
        ("numeric(4,2)", "numeric(4,1)", True), ("numeric(4,2)", "numeric(9,2)", False), ("numeric(4,2)", "numeric", False),
        ("numeric", "numeric(4,1)", True), ("numeric(4,2)", "integer", True),
        ("character varying(9)", "character varying(5)", True), ("character varying(5)", "character varying(9)", False),
        ("character varying", "character varying(5)", True), ("text", "character varying(5)", True),
        ("character varying(5)", "text", False), ("character(5)", "character varying(9)", True),
        ("timestamp with time zone", "timestamp without time zone", True), ("date", "timestamp without time zone", True),
        ("double precision", "real", True), ("real", "double precision", False), ("json", "jsonb", False),
        ("public.citext", "citext", False), ("timestamp(6) with time zone", "timestamp(0) with time zone", True),
    ],
)  # fmt: skip
def test_only_a_column_whose_live_type_may_hold_less_is_narrowed(saved, live, may_hold_less):
    assert narrowed({"a": saved, "b": "text"}, {"a": live, "c": "text"}) == ({"a": saved} if may_hold_less else {})
