"""The row digest: it tells any value from any other, in every type, and does not depend on what must not matter."""

import psycopg
import pytest

from korrigo_backup.postgres.digest import prove_all, snapshot

TYPES = {
    "boolean": ("true", "false"),
    "smallint": ("-1", "1"),
    "integer": ("0", "65536"),
    "bigint": ("4294967296", "1"),
    "real": ("0", "'-0'"),
    "double precision": ("0.1", "0.10000000000000002"),
    "float8": ("'NaN'", "'Infinity'"),
    "numeric": ("1.0", "1.00"),
    "uuid": ("'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000002'"),
    "timestamptz": ("'2026-02-04 03:00:00.000001+01'", "'2026-02-04 03:00:00.000002+01'"),
    "timestamp": ("'infinity'", "'-infinity'"),
    "date": ("'5000000-01-01'", "'infinity'"),
    "time": ("'03:00'", "'03:00:00.000001'"),
    "interval": ("'1 month'", "'30 days'"),
    "text": ("''", "' '"),
    "varchar(10)": ("'a'", "'a '"),
    "char(3)": ("'a'", "'b'"),
    "name": ("'a'", "'b'"),
    "bytea": (r"'\x00'", r"'\x0000'"),
    "json": ("'{}'", "'{ }'"),
    "jsonb": ("""'{"a": 1.0}'""", """'{"a": 1.00}'"""),
    "integer[]": ("'{1,2}'", "'{2,1}'"),
    "inet": ("'10.0.0.1'", "'10.0.0.1/24'"),
    "int4range": ("'[1,2]'", "'[1,3]'"),
    "point": ("'(1,2)'", "'(2,1)'"),
    "bit(3)": ("B'101'", "B'100'"),
}


@pytest.fixture
def empty(make_site):
    return make_site(schema="CREATE DOMAIN mark AS numeric; CREATE TYPE state AS ENUM ('draft', 'final');")


def digest(site):
    with snapshot(site.wired().site().postgres) as taken:
        (table,) = prove_all(taken)
    return table.digest


def digest_of(site, columns, *rows):
    site.sql(f"DROP TABLE IF EXISTS t; CREATE TABLE t ({columns});")
    for row in rows:
        site.sql(f"INSERT INTO t VALUES ({row})")
    return digest(site)


@pytest.mark.promise("P1")
def test_two_values_of_any_type_and_null_have_three_digests(empty):
    kinds = TYPES | {"mark": ("1.0", "1.00"), "state": ("'draft'", "'final'")}
    for kind, values in kinds.items():
        seen = {digest_of(empty, f"v {kind}", value) for value in (*values, "NULL")}
        assert len(seen) == 3, kind


@pytest.mark.promise("P1")
def test_two_xml_values_and_null_have_three_digests(empty):
    try:
        seen = {digest_of(empty, "v xml", value) for value in ("'<a/>'", "'<b/>'", "NULL")}
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this PostgreSQL is built without libxml")
    assert len(seen) == 3


@pytest.mark.promise("P1")
def test_values_that_change_places_change_the_digest(empty):
    columns = "a int, b int, c text"
    one = digest_of(empty, columns, "1, 2, 'x'", "3, 4, 'y'")
    assert digest_of(empty, columns, "2, 1, 'x'", "3, 4, 'y'") != one
    assert digest_of(empty, columns, "3, 2, 'x'", "1, 4, 'y'") != one
    assert digest_of(empty, columns, "1, 2, 'y'", "3, 4, 'x'") != one
    assert digest_of(empty, columns, "1, 2, 'x'") != one
    assert digest_of(empty, columns, "1, 2, 'x'", "3, 4, 'y'", "3, 4, 'y'") != one


def test_the_order_of_rows_and_of_columns_and_the_settings_of_the_role_do_not_matter(empty):
    one = digest_of(empty, "a int, b timestamptz, c float8", "1, '2026-01-01 12:00+00', 0.1", "2, NULL, 3")
    assert digest_of(empty, "c float8, b timestamptz, a int", "3, NULL, 2", "0.1, '2026-01-01 12:00+00', 1") == one
    name = empty.database
    for setting in (
        "TimeZone = 'Asia/Tokyo'",
        "DateStyle = 'German'",
        "extra_float_digits = -5",
        "IntervalStyle = 'iso_8601'",
    ):
        empty.sql(f'ALTER DATABASE "{name}" SET {setting}')
    assert digest(empty) == one


def test_tables_without_columns_and_with_the_most_columns_have_a_digest(empty):
    assert digest_of(empty, "") == "0" * 32
    empty.sql("INSERT INTO t DEFAULT VALUES")
    assert digest(empty) != "0" * 32
    many = ", ".join(f'"c{{n}} {n}" int' for n in range(1599))
    one = digest_of(empty, many, ", ".join(["1"] * 1599))
    assert digest_of(empty, many, ", ".join(["1"] * 1598 + ["2"])) != one
