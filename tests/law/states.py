"""Generated states of a database and a media tree, for the law that a backup which was made restores.

A `Kind` is one sort of state; drawing it gives SQL for one database. Names end in the kind's number, so that any kinds can
stand in one database. `admin` statements run as a superuser, after the owner's.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass

import psycopg

from property_testing import st
from sandbox import USER, connect, quoted
from shapes import OWNERS, SUPERUSERS, make_roles


@dataclass(frozen=True)
class State:
    """SQL that brings a database into one state."""

    kind: str
    sql: str = ""
    admin: str = ""

    @property
    def extensions(self):
        """Extensions that the server must have for it."""
        return set(re.findall(r"CREATE EXTENSION (?:IF NOT EXISTS )?(\w+)", self.sql + self.admin))


@st.composite
def sequences(draw, n):
    """Return sequences of every type and direction, each at a position that some statement has left."""
    kind = draw(st.sampled_from(["smallint", "integer", "bigint"]))
    step = draw(st.sampled_from([1, 2, -1, -7, 100]))
    low, high = (-30000, -1) if step < 0 else (1, 30000)
    cycle = draw(st.sampled_from(["", " CYCLE"]))
    lines = [
        f"CREATE SEQUENCE seq_{n} AS {kind} INCREMENT {step} MINVALUE {low} MAXVALUE {high}{cycle}",
        f"CREATE TABLE serial_{n} (id {draw(st.sampled_from(['serial', 'bigserial', 'smallserial']))}, v text)",
        f"CREATE TABLE identity_{n} (id int GENERATED {draw(st.sampled_from(['ALWAYS', 'BY DEFAULT']))} AS IDENTITY, v text)",
    ]
    if draw(st.booleans()):
        lines.append(f"CREATE TABLE like_{n} (LIKE identity_{n} INCLUDING ALL)")
    for name, least, most in (
        (f"seq_{n}", low, high),
        (f"serial_{n}_id_seq", 1, 30000),
        (f"identity_{n}_id_seq", 1, 30000),
    ):
        at = draw(st.integers(least, most))
        lines += draw(
            st.sampled_from([
                [],
                [f"SELECT nextval('{name}')"],
                [f"SELECT setval('{name}', {at})"],
                [f"SELECT setval('{name}', {at}, false)"],
                [f"SELECT nextval('{name}')", f"ALTER SEQUENCE {name} RESTART"],
                [f"SELECT nextval('{name}')", f"SELECT setval('{name}', {at}, false)"],
            ])
        )  # fmt: skip
        if not name.startswith("identity"):
            lines += draw(st.sampled_from([[], [f"ALTER SEQUENCE {name} RESTART WITH {at}"]]))
    if draw(st.booleans()):
        lines.append(f"INSERT INTO identity_{n} (v) VALUES ('a'), ('b')")
    return State("sequences", ";".join(lines))


@st.composite
def views(draw, n):
    """Return materialised views that are stale, volatile, empty, or upon each other."""
    column = draw(
        st.sampled_from(["sum(v)", "max(now())::text", "max(random())", "string_agg(v::text, ',' ORDER BY v)"])
    )
    lines = [
        f"CREATE TABLE viewed_{n} (v int); INSERT INTO viewed_{n} SELECT generate_series(1, 9)",
        f"CREATE MATERIALIZED VIEW z_{n} AS SELECT {column} AS x FROM viewed_{n}",
        f"CREATE MATERIALIZED VIEW a_{n} AS SELECT x FROM z_{n}{draw(st.sampled_from(['', ' WITH NO DATA']))}",
        f"CREATE UNIQUE INDEX ON z_{n} (x)",
    ]
    lines += draw(st.sampled_from([[], [f"INSERT INTO viewed_{n} VALUES (100)"], [f"DELETE FROM viewed_{n}"]]))
    lines += draw(st.sampled_from([[], [f"CREATE VIEW over_{n} AS SELECT * FROM a_{n}"]]))
    return State("materialised views", ";".join(lines))


@st.composite
def foreign_views(draw, n):
    """Return a materialised view over a server that was there and is away."""
    refreshed = draw(st.booleans())
    return State(
        "view over a foreign server",
        admin=f"""CREATE EXTENSION IF NOT EXISTS postgres_fdw;
        CREATE SERVER far_{n} FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', connect_timeout '2');
        CREATE USER MAPPING FOR PUBLIC SERVER far_{n} OPTIONS (user 'nobody', password 'x');
        CREATE FOREIGN TABLE far_rows_{n} (v int) SERVER far_{n};
        CREATE TABLE near_{n} (v int); INSERT INTO near_{n} VALUES (1);
        CREATE FUNCTION either_{n}() RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT v FROM near_{n}; END $$;
        CREATE MATERIALIZED VIEW from_far_{n} AS SELECT * FROM either_{n}(){"" if refreshed else " WITH NO DATA"};
        CREATE OR REPLACE FUNCTION either_{n}() RETURNS SETOF int LANGUAGE plpgsql AS
          $$ BEGIN RETURN QUERY SELECT v FROM public.far_rows_{n}; END $$""",
    )


@st.composite
def generated(draw, n):
    """Return a stored generated column whose function gives another value by now."""
    changed = draw(st.booleans())
    lines = [
        f"CREATE FUNCTION twice_{n}(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 2'",
        f"CREATE TABLE generated_{n} (v int, g int GENERATED ALWAYS AS (twice_{n}(v)) STORED, note text)",
        f"INSERT INTO generated_{n} (v, note) SELECT n, 'n' || n FROM generate_series(1, 5) n",
    ]
    if changed:
        lines.append(f"CREATE OR REPLACE FUNCTION twice_{n}(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1 * 3'")
    return State("generated column", ";".join(lines))


@st.composite
def functions_without_schema(draw, n):
    """Return a function that names another without its schema, used where a load or a plan runs it."""
    language = draw(st.sampled_from(["sql", "plpgsql"]))
    body = f"SELECT inner_{n}($1)" if language == "sql" else f"BEGIN RETURN inner_{n}($1); END"
    place = draw(
        st.sampled_from([
            f"CREATE INDEX ON named_{n} (outer_{n}(v))",
            f"CREATE INDEX ON named_{n} (v) WHERE outer_{n}(v) = 'x'",
            f"ALTER TABLE named_{n} ADD CHECK (outer_{n}(v) <> 'never')",
            f"ALTER TABLE named_{n} ADD g text GENERATED ALWAYS AS (outer_{n}(v)) STORED",
            f"ALTER TABLE named_{n} ALTER v SET DEFAULT outer_{n}('d')",
            f"CREATE VIEW named_view_{n} AS SELECT outer_{n}(v) AS o FROM named_{n}",
            f"CREATE MATERIALIZED VIEW named_view_{n} AS SELECT outer_{n}(v) AS o FROM named_{n}",
        ])
    )  # fmt: skip
    return State(
        "function without schema",
        f"""CREATE FUNCTION inner_{n}(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower($1)';
        CREATE FUNCTION outer_{n}(text) RETURNS text IMMUTABLE LANGUAGE {language} AS '{body}';
        CREATE TABLE named_{n} (v text); INSERT INTO named_{n} VALUES ('A'), ('X'); {place}""",
    )


@st.composite
def checks_over_tables(draw, n):
    """Return a CHECK whose function reads another table, which a dump loads after it or before."""
    first, second = draw(st.permutations([f"chk_a_{n}", f"chk_b_{n}"]))
    schema = draw(st.sampled_from(["", "public."]))
    return State(
        "check that reads a table",
        f"""CREATE TABLE {first} (v int); INSERT INTO {first} VALUES (1), (2);
        CREATE FUNCTION known_{n}(int) RETURNS boolean LANGUAGE plpgsql AS
          $$ BEGIN RETURN EXISTS (SELECT FROM {schema}{first} WHERE v = $1); END $$;
        CREATE TABLE {second} (v int CHECK (known_{n}(v)), w int); INSERT INTO {second} VALUES (1, 1), (2, 2)""",
    )


@st.composite
def broken_rows(draw, n):
    """Return rows that break a constraint which the catalogue calls valid."""
    broken = draw(
        st.sampled_from([
            f"""ALTER TABLE child_{n} ADD FOREIGN KEY (p) REFERENCES parent_{n};
            SET session_replication_role = replica; INSERT INTO child_{n} VALUES (3, 99); SET session_replication_role = origin""",
            f"""ALTER TABLE child_{n} ADD FOREIGN KEY (p) REFERENCES parent_{n} DEFERRABLE INITIALLY DEFERRED;
            SET session_replication_role = replica; DELETE FROM parent_{n}; SET session_replication_role = origin""",
            f"""CREATE FUNCTION small_{n}(int) RETURNS boolean LANGUAGE sql AS 'SELECT $1 < 100';
            ALTER TABLE child_{n} ADD CONSTRAINT small_{n} CHECK (small_{n}(p));
            CREATE OR REPLACE FUNCTION small_{n}(int) RETURNS boolean LANGUAGE sql AS 'SELECT $1 < 1'""",
        ])
    )  # fmt: skip
    return State(
        "rows that break a constraint",
        admin=f"""CREATE TABLE parent_{n} (id int PRIMARY KEY); INSERT INTO parent_{n} VALUES (1), (2);
        CREATE TABLE child_{n} (id int PRIMARY KEY, p int); INSERT INTO child_{n} VALUES (1, 1), (2, 2);
        ALTER TABLE parent_{n} OWNER TO {USER}; ALTER TABLE child_{n} OWNER TO {USER}; {broken}""",
    )


@st.composite
def invalid_indexes(draw, n):
    """Return an index that is not valid, as CREATE INDEX CONCURRENTLY leaves it when it fails."""
    unique = draw(st.sampled_from(["", "UNIQUE "]))
    return State(
        "invalid index",
        admin=f"""CREATE TABLE indexed_{n} (v int); INSERT INTO indexed_{n} VALUES (1), (1), (2);
        CREATE INDEX ON indexed_{n} (v); ALTER TABLE indexed_{n} OWNER TO {USER};
        CREATE {unique}INDEX left_{n} ON indexed_{n} ((v + {n})) WHERE v > 5;
        UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'left_{n}'::regclass""",
    )


@st.composite
def extension_rows(draw, n):
    """Return rows of an extension's configuration tables."""
    return draw(
        st.sampled_from([
            State(
                "rows of an extension",
                admin="""CREATE SCHEMA IF NOT EXISTS partman; CREATE EXTENSION IF NOT EXISTS pg_partman SCHEMA partman;
                CREATE TABLE events (id bigint, at timestamptz NOT NULL) PARTITION BY RANGE (at);
                SELECT partman.create_parent('public.events', 'at', 'native', 'monthly')""",
            ),
            State(
                "rows of an extension",
                admin="""CREATE EXTENSION IF NOT EXISTS postgis;
                INSERT INTO spatial_ref_sys VALUES (990001, 'ours', 990001, 'LOCAL_CS["x"]', '+proj=longlat')""",
            ),
        ])
    )  # fmt: skip


@st.composite
def odd_settings(draw, n):
    """Return settings of the database or the role that change how text is read or how long a session lives."""
    chosen = draw(
        st.lists(
            st.sampled_from([
                "standard_conforming_strings = off", "quote_all_identifiers = on", "array_nulls = off",
                "default_transaction_read_only = on", "default_transaction_isolation = 'serializable'",
                "default_transaction_deferrable = on", "statement_timeout = '2s'", "lock_timeout = '1s'",
                "idle_in_transaction_session_timeout = '1s'", "bytea_output = 'escape'", "xmloption = 'document'",
                "intervalstyle = 'iso_8601'", "datestyle = 'German, DMY'", "timezone = 'Asia/Kathmandu'",
                "extra_float_digits = 0", "client_encoding = 'LATIN1'", "row_security = off", "search_path = 'nowhere'",
                "check_function_bodies = on", "client_min_messages = 'debug1'", "enable_seqscan = off", "jit = on",
                "lc_monetary = 'C'", "escape_string_warning = on", "backslash_quote = off", "vacuum_cost_delay = 1",
                "plan_cache_mode = 'force_generic_plan'", "default_table_access_method = 'heap'",
            ]),
            min_size=1, max_size=6, unique_by=lambda one: one.partition(" ")[0],
        )
    )  # fmt: skip
    target = draw(st.sampled_from(["DATABASE {database}", f"ROLE {USER}", f"ROLE {USER} IN DATABASE {{database}}"]))
    return State("odd settings", admin=";".join(f"ALTER {target} SET {one}" for one in chosen))


@st.composite
def odd_names(draw, n):
    """Return a table whose names are hard to write."""
    text = st.text(
        st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12
    )
    name, column, value = draw(text), draw(text), draw(text)
    table = '"' + f"{n}{name}".replace('"', '""') + '"'
    quoted, literal = '"' + column.replace('"', '""') + '"', "'" + value.replace("'", "''") + "'"
    return State(
        "odd names",
        f"CREATE TABLE {table} ({quoted} text, other_{n} serial); INSERT INTO {table} ({quoted}) VALUES ({literal});"
        f"CREATE INDEX ON {table} ({quoted}); COMMENT ON COLUMN {table}.{quoted} IS {literal};"
        f"COMMENT ON TABLE {table} IS {literal}",
    )


@st.composite
def properties(draw, n):
    """Return what belongs to the database and not to its dump."""
    lines = draw(
        st.lists(
            st.sampled_from([
                "COMMENT ON DATABASE {database} IS 'exams, don''t drop'", "ALTER DATABASE {database} CONNECTION LIMIT 40",
                "REVOKE CONNECT ON DATABASE {database} FROM PUBLIC",
                "ALTER DATABASE {database} SET app.school = 'lycée d''Étel'", "ALTER DATABASE {database} SET work_mem = '5MB'",
                f"ALTER ROLE {USER} IN DATABASE {{database}} SET work_mem = '6MB'",
            ]),
            min_size=1, unique=True,
        )
    )  # fmt: skip
    return State("properties", admin=";".join(lines))


@st.composite
def values(draw, n):
    """Return rows with the values that text, time and numbers end at."""
    numbers = st.sampled_from(["NaN", "Infinity", "-Infinity", "0", "-0", "1e-40", "12345678901234567890.12345"])
    times = st.sampled_from(["infinity", "-infinity", "0044-03-15 BC", "294276-12-31", "2026-03-29 02:30+02"])
    text = st.text(st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
    literal = "'" + draw(text).replace("'", "''") + "'"
    return State(
        "values",
        f"""CREATE TABLE values_{n} (f float8, r real, d numeric, t timestamptz, ts timestamp, v text, b bytea, j json, a text[], i interval);
        INSERT INTO values_{n} VALUES ('{draw(numbers)}', 'NaN', 'NaN', '{draw(times)}', 'infinity', {literal}, '\\x00ff5c2e',
          '{{"b" : 1,  "a":1e400}}', ARRAY[NULL, 'NULL', {literal}], '1 year -2 days 03:04:05.6');
        INSERT INTO values_{n} (v) VALUES (NULL), (''), (E'\\\\.'), (E'\\\\N')""",
    )


@st.composite
def large_objects(draw, n):
    """Return large objects of sizes around that of a piece."""
    size = draw(st.sampled_from([0, 1, 2047, 2048, 1048576, 1048577]))
    return State("large objects", f"SELECT lo_from_bytea({70000 + n}, decode(repeat('5c', {size}), 'hex'))")


@st.composite
def owners_shapes(draw, n):
    """Return one of the shapes that a database can hold beyond tables."""
    name = draw(st.sampled_from(sorted(OWNERS)))
    return State(f"shape: {name}", OWNERS[name])


@st.composite
def superusers_shapes(draw, n):
    """Return one of the shapes that only a superuser can make."""
    name = draw(st.sampled_from(sorted(SUPERUSERS)))
    return State(f"shape: {name}", admin=SUPERUSERS[name])


OWNER_KINDS = [
    sequences,
    views,
    generated,
    functions_without_schema,
    checks_over_tables,
    odd_names,
    values,
    large_objects,
    owners_shapes,
]
"""What a role that owns the site's database can bring it to."""

ADMIN_KINDS = [broken_rows, foreign_views, invalid_indexes, extension_rows, odd_settings, properties, superusers_shapes]
"""What a database administrator can add."""


@st.composite
def databases(draw, kinds, least=5):
    """Return the states of one database: several kinds at once, each with values of its own."""
    chosen = draw(st.lists(st.sampled_from(range(len(kinds))), min_size=min(least, len(kinds)), unique=True))
    return [draw(kinds[index](number)) for number, index in enumerate(sorted(chosen))]


BY_OWNERS = st.fixed_dictionaries({"superuser": st.just(value=False), "states": databases(OWNER_KINDS)})
BY_ADMINS = st.fixed_dictionaries({
    "superuser": st.just(value=True),
    "states": databases([*OWNER_KINDS, *ADMIN_KINDS], least=8),
})  # fmt: skip
"""Whether the role of the site is a superuser, and states that it can read whole."""

ENCODINGS = [
    "",
    "ENCODING 'UTF8' LOCALE 'C'",
    "ENCODING 'LATIN1' LOCALE 'C'",
    "ENCODING 'EUC_JP' LOCALE 'C'",
    "ENCODING 'WIN1252' LOCALE 'C'",
    "ENCODING 'SQL_ASCII' LOCALE 'C'",
    "LOCALE 'C.UTF-8' ICU_LOCALE 'fr-x-icu' LOCALE_PROVIDER icu",
    "LOCALE 'C.UTF-8' ICU_LOCALE 'en-u-kn' LOCALE_PROVIDER icu",
]
"""Ways to make a database; the first is the server's default."""


def recreate(site, options):
    """Make the site's empty database anew with these options, as far as the server knows them."""
    with connect(site.server) as admin, suppress(psycopg.errors.Error):
        admin.execute(f"CREATE DATABASE law_new OWNER {USER} TEMPLATE template0 {options}")
        admin.execute(f"DROP DATABASE {quoted(site.database)}")
        admin.execute(f"ALTER DATABASE law_new RENAME TO {quoted(site.database)}")


def apply(site, states):
    """Bring a site's database into these states; return those that could be made.

    A state is left out where the server lacks its extension, or the database's encoding its characters.
    """
    make_roles(site.server)
    return [state for state in _possible(site, states) if _applied(site, state)]


def _possible(site, states):
    with connect(site.server) as admin:
        there = {name for (name,) in admin.execute("SELECT name FROM pg_available_extensions")}
    # settings come last: they may bind whoever makes the other states
    return sorted(
        (state for state in states if state.extensions <= there), key=lambda state: state.kind == "odd settings"
    )


def _applied(site, state):
    try:
        if state.sql:
            site.sql(state.sql, superuser=site.superuser)
        with site.connect(
            superuser=True
        ) as connection:  # one session, because a statement may set something for the next
            for statement in [state.admin] if "$$" in state.admin else state.admin.split(";"):
                if statement.strip():
                    connection.execute(statement.replace("{database}", quoted(site.database)))
    except _BEYOND:
        return False
    return True


_BEYOND = (
    UnicodeEncodeError,
    psycopg.errors.UntranslatableCharacter,
    psycopg.errors.CharacterNotInRepertoire,
    psycopg.errors.UndefinedParameter,
    psycopg.errors.CantChangeRuntimeParam,
    psycopg.errors.DuplicateObject,
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateFunction,
    psycopg.errors.DuplicateSchema,
)
"""The database's encoding lacks a character, the server's version a setting, or another state has made the same object."""
