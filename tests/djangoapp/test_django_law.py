"""The law for `manage.py`: a backup that exits 0 restores into an emptied database, with the same rows and positions.

`make test` runs a few states, always the same ones. KORRIGO_TEST_LAW=200 runs as many others. A new kind of state is one
function here.
"""

import os
import re
import shutil
from contextlib import suppress

import pytest
from django.core.management import CommandError
from django.db import DatabaseError, connections, transaction

from property_testing import HealthCheck, Phase, event, given, note, settings, st

MANY = int(os.environ.get("KORRIGO_TEST_LAW", "0"))

bounded = settings(
    max_examples=MANY or 4,
    derandomize=not MANY,
    deadline=None,
    phases=[Phase.generate, Phase.shrink] if MANY else [Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
pytestmark = pytest.mark.parametrize("alias", ["default"], indirect=True)

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


def literal(text):
    return "E'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


@st.composite
def types_of_columns(draw):
    """Return a column of a model that has another type than Django gives it, with a value of that type."""
    type_, value = draw(
        st.sampled_from([
            ("text", "'  é  '"), ("char(12)", "'ab '"), ("name", "'n'"), ("citext", "'ÀbC'"), ("hstore", "'a=>1,b=>NULL'"),
            ("ltree", "'a.b'"), ("xml", "'<a/>'"), ("json", """'{"b" : 1,  "a":1e400, "a":2}'"""), ("jsonb", "'null'"),
            ("bytea", r"'\x00ff5c'"), ("bit varying", "B'101'"), ("money", "'-3.5'"), ("numeric", "'NaN'"), ("real", "'-0'"),
            ("numeric[]", "'{{1.50,NULL},{NaN,0}}'"), ("int4range[]", "'{empty,\"[1,)\"}'"), ("tstzrange", "'(,infinity]'"),
            ("timestamptz", "'infinity'"), ("timestamp", "'0044-03-15 BC'"), ("timetz", "'24:00+01'"), ("date", "'infinity'"),
            ("interval", "'1 mon -1 day'"), ("inet", "'10.0.0.1/8'"), ("macaddr", "'08:00:2b:01:02:03'"), ("point", "'(1e-300,-0)'"),
            ("tsvector", "'''it''''s'':1A'"), ("uuid", "'6ba7b810-9dad-11d1-80b4-00c04fd430c8'"), ("oid", "'4294967295'"),
            ("law_mood", "'it''s odd'"), ("law_pair", "'(,\"a,b\")'"), ("law_span", "'(,1.50]'"), ("law_nick[]", "'{a,NULL}'"),
            ("regclass", "'pg_class'"), ("pg_lsn", "'1/AB'"), ("jsonpath", "'$.a'"), ("int4multirange", "'{[1,2),[5,)}'"),
        ])
    )  # fmt: skip
    table, column = draw(
        st.sampled_from([
            ("testsite_club", "name"), ("testsite_profile", "bio"), ("testsite_custom", "word"), ("testsite_note", "text"),
            ("testsite_everything", "char"), ("testsite_child", "age"), ("testsite_beyond", "one"), ("testsite_beyond", "ratio"),
            ("testsite_lists", "words"), ("testsite_lists", "decimal"), ('"Legacy Table"', "text"),
        ])
    )  # fmt: skip
    return [
        f"ALTER TABLE {table} ALTER {column} DROP DEFAULT",
        f"ALTER TABLE {table} ALTER {column} TYPE {type_} USING ({value})::{type_}",
    ]


@st.composite
def values(draw):
    """Return rows with values at the ends of what their types hold."""
    text = literal(draw(TEXTS))
    number = draw(st.sampled_from(["NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e308"]))
    time = draw(st.sampled_from(["infinity", "-infinity", "0044-03-15 BC", "294276-12-31", "2026-03-29 02:30+02"]))
    json = draw(
        st.sampled_from(["null", "1e400", '{"a": [], "": null}', '"\\u2028"', "-0.0", "12345678901234567890.10"])
    )
    return [
        f"""INSERT INTO testsite_beyond (moment, ratio, one, amount, span, "It's Odd")
        VALUES ('{time}', '{number}', '{json}', 'NaN', '-1 mons 25:00:00', {text})""",
        f"UPDATE testsite_note SET text = {text}",
        f"INSERT INTO testsite_lists (words, table_) VALUES (ARRAY[{text}, NULL, 'NULL'], NULL)".replace("table_", '"table"'),
    ]  # fmt: skip


@st.composite
def sequences(draw):
    """Return positions of sequences, of models and of nothing, that statements have left."""
    at = draw(st.integers(2000, 30000))
    step = draw(st.sampled_from([1, -1, 100]))
    low, high = (-40000, -1) if step < 0 else (1, 40000)
    here = -at if step < 0 else at
    return [
        draw(
            st.sampled_from([
                f"SELECT setval('testsite_club_id_seq', {at})",
                f"SELECT setval('testsite_club_id_seq', {at}, false)",
                f"ALTER SEQUENCE testsite_club_id_seq RESTART WITH {at}",
                f"ALTER SEQUENCE testsite_club_id_seq INCREMENT 10 MAXVALUE {at + 9} CYCLE",
                "ALTER TABLE testsite_club ALTER id DROP IDENTITY IF EXISTS",
            ])
        ),
        f"CREATE SEQUENCE law_invoice INCREMENT {step} MINVALUE {low} MAXVALUE {high}",
        draw(st.sampled_from(["SELECT nextval('law_invoice')", f"SELECT setval('law_invoice', {here}, false)"])),
    ]  # fmt: skip


@st.composite
def columns_without_a_field(draw):
    """Return columns of a model's table that the model does not know."""
    column = draw(
        st.sampled_from([
            "int GENERATED ALWAYS AS (id * 2) STORED", "text", "text NOT NULL DEFAULT 'new'", "int GENERATED ALWAYS AS IDENTITY",
            "serial", "text NOT NULL DEFAULT 'x'; ALTER TABLE testsite_club ALTER law_extra DROP DEFAULT",
        ])
    )  # fmt: skip
    lines = [f"ALTER TABLE testsite_club ADD law_extra {column}"]
    return lines + draw(st.sampled_from([[], ["UPDATE testsite_club SET law_extra = 'mine'"]]))


@st.composite
def rules_of_tables(draw):
    """Return constraints, triggers, rules, policies and indexes that other things than Django have made."""
    return draw(
        st.sampled_from([
            ["ALTER TABLE testsite_club ALTER name DROP NOT NULL", "UPDATE testsite_club SET name = NULL"],
            [
                """CREATE FUNCTION law_change() RETURNS trigger LANGUAGE plpgsql AS
                $$ BEGIN NEW.name = 'changed'; RETURN NEW; END $$""",
                "CREATE TRIGGER law BEFORE INSERT ON testsite_club FOR EACH ROW EXECUTE FUNCTION law_change()",
                "ALTER TABLE testsite_club ENABLE ALWAYS TRIGGER law",
            ],
            [
                "SET LOCAL session_replication_role = replica",
                "UPDATE testsite_membership SET club_id = 999",
            ],
            [
                "CREATE FUNCTION law_good(text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT true'",
                "ALTER TABLE testsite_club ADD CONSTRAINT law CHECK (law_good(name)), ADD CHECK (law_good('x' || name))",
                "CREATE OR REPLACE FUNCTION law_good(text) RETURNS bool IMMUTABLE LANGUAGE sql AS 'SELECT false'",
            ],
            ["CREATE RULE law AS ON INSERT TO testsite_club DO INSTEAD NOTHING"],
            ["CREATE RULE law AS ON DELETE TO testsite_club DO INSTEAD NOTHING"],
            [
                "ALTER TABLE testsite_club ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
                "CREATE POLICY law ON testsite_club USING (id > 1)",
            ],
            ["ALTER TABLE testsite_club ADD CONSTRAINT law CHECK (name = 'never') NOT VALID"],
            ["ALTER TABLE testsite_club ADD CONSTRAINT law UNIQUE (name, id) DEFERRABLE INITIALLY DEFERRED"],
            ["CREATE TABLE law_child () INHERITS (testsite_base)", "INSERT INTO law_child (id, name) VALUES (-777, 'child')"],
            [
                "CREATE TABLE law_of (base bigint REFERENCES testsite_base ON DELETE CASCADE)",
                "INSERT INTO law_of SELECT min(id) FROM testsite_base",
            ],
            ["ALTER TABLE testsite_club SET UNLOGGED"],
            [
                "CREATE SCHEMA law_other",
                "ALTER TABLE testsite_loose SET SCHEMA law_other",
                "CREATE VIEW testsite_loose AS SELECT * FROM law_other.testsite_loose",
            ],
            [
                "CREATE MATERIALIZED VIEW law_names AS SELECT name FROM testsite_base",
                "CREATE MATERIALIZED VIEW law_count AS SELECT count(*) FROM law_names",
            ],
            [
                "CREATE FUNCTION law_inner(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower($1)'",
                "CREATE FUNCTION law_outer(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT law_inner($1)'",
                "CREATE INDEX law ON testsite_club (law_outer(name))",
            ],
            ["ALTER TABLE testsite_club ADD CONSTRAINT law EXCLUDE USING hash (name WITH =) WHERE (id > 100)"],
            ["ALTER TABLE testsite_club RENAME TO law_club", "CREATE VIEW testsite_club AS SELECT * FROM law_club"],
            [
                "CREATE FUNCTION law_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no DDL'; END $$",
                "CREATE EVENT TRIGGER law ON ddl_command_start WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION law_ddl()",
            ],
        ])
    )  # fmt: skip


@st.composite
def odd_settings(draw):
    """Return settings of the role that change how text is read and written, and how long a session lives."""
    chosen = draw(
        st.lists(
            st.sampled_from([
                "standard_conforming_strings = off", "quote_all_identifiers = on", "array_nulls = off",
                "default_transaction_read_only = on", "default_transaction_isolation = 'serializable'",
                "default_transaction_deferrable = on", "bytea_output = 'escape'", "xmloption = 'document'",
                "intervalstyle = 'iso_8601'", "datestyle = 'German, DMY'", "timezone = 'Asia/Kathmandu'",
                "extra_float_digits = 0", "row_security = off", "lc_monetary = 'C'", "backslash_quote = off",
                "statement_timeout = '2s'", "idle_in_transaction_session_timeout = '1s'", "enable_indexscan = off",
            ]),
            min_size=1, max_size=5, unique_by=lambda one: one.partition(" ")[0],
        )
    )  # fmt: skip
    return [f"ALTER DATABASE site SET {one}" for one in chosen]


KINDS = [types_of_columns(), values(), sequences(), columns_without_a_field(), rules_of_tables(), odd_settings()]
STATES = st.lists(st.one_of(KINDS), min_size=3, max_size=7)

PREPARED = [
    "CREATE EXTENSION citext",
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION ltree",
    "CREATE TYPE law_mood AS ENUM ('glad', 'it''s odd')",
    "CREATE TYPE law_pair AS (a numeric, b text)",
    "CREATE DOMAIN law_span AS numrange",
    "CREATE DOMAIN law_nick AS text CHECK (VALUE <> 'never')",
]


def apply(states):
    """Bring the database into these states; one that another state or this server rules out is left out."""
    connection = connections["default"]
    for statements in states:
        with suppress(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            for one in statements:
                cursor.execute(one)
            note("; ".join(statements))
            event(statements[0][:40])
    connection.close()


def positions():
    """Return where sequences stand.

    Not those that `migrate` fills, nor one that stands behind its rows on purpose, nor that of a column which no model
    has: it gives out new numbers at each load.
    """
    with connections["default"].cursor() as cursor:
        cursor.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE relkind = 'S'"
            " AND relname !~ '^(auth_permission|django_|testsite_membership|testsite_club_law_extra)'"
        )
        quote = connections["default"].ops.quote_name
        found = {}
        for schema, name in cursor.fetchall():
            cursor.execute(f"SELECT last_value, is_called FROM {quote(schema)}.{quote(name)}")
            found[schema, name] = cursor.fetchone()
    return found


def rows_of(site):
    """Return all rows, without the column that no model has: a backup names it and does not hold it."""
    found = site.rows()
    for table, rows in found.items():
        found[table] = [re.sub(r"\('law_extra', (None|'[^']*')\), ", "", row) for row in rows]
    return found


@pytest.mark.promise("P9")
@bounded
@given(states=STATES)
def test_a_backup_by_django_restores_into_an_emptied_database(site, databases, states):
    databases("default")
    apply([[one] for one in PREPARED])
    apply(states)
    shutil.rmtree(site.out, ignore_errors=True)
    rows, stand = rows_of(site), positions()
    try:
        made = site.backup(include_media=False)
    except CommandError as refused:
        if refused.returncode not in {4, 9}:
            raise
        event("no backup")
        note(str(refused))
        assert (rows_of(site), positions()) == (rows, stand)
        return
    assert (rows_of(site), positions()) == (rows, stand), "a backup changes nothing"
    empty(site)
    site.restore(made.path, dry_run=True)
    site.restore(made.path)
    assert rows_of(site) == rows
    assert positions() == stand


def empty(site):
    """Take the rows of all models away and set their sequences back, as a new database has them.

    Rows of tables without a model stay, as in a live database: no backup by Django has them.
    """
    with connections["default"].cursor() as cursor:
        cursor.execute("SET session_replication_role = replica; SET default_transaction_read_only = off")
        cursor.execute("SELECT relname FROM pg_class WHERE relname IN ('law_of', 'law_child')")
        others = [name for (name,) in cursor.fetchall()]
        for name in others:
            cursor.execute(f"CREATE TEMPORARY TABLE kept_{name} AS SELECT * FROM {name}")
        site.clear()
        for name in others:
            cursor.execute(f"INSERT INTO {name} SELECT * FROM kept_{name}")
        for schema, name in positions():
            quote = connections["default"].ops.quote_name
            cursor.execute(f"ALTER SEQUENCE {quote(schema)}.{quote(name)} RESTART")
    connections["default"].close()
