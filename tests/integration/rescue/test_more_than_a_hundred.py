"""A function of PostgreSQL takes a hundred arguments; a site has more tables, and a table more columns."""

from datetime import UTC, datetime

from korrigo_backup.erasure.entry import Entry, Subject, row_hash
from korrigo_backup.erasure.rows import erase_rows
from korrigo_backup.rescue.steps.transaction import in_steps
from korrigo_backup.site.erasures import scope_of

TABLES, COLUMNS = range(101), range(120)


def test_rows_of_a_hundred_tables_are_erased_and_changed_by_one_statement(make_site):
    site = make_site(schema="CREATE TABLE person (id int PRIMARY KEY); INSERT INTO person VALUES (1), (2)").wired()
    key = site.ledger().keyring.signing()
    entry = Entry(
        time=datetime.now(UTC), scope=scope_of(site.site()), subject=Subject.ROW, table="public.person",
        columns=("id",), hash=row_hash(key, "public.person", [("id", b"1")]), key=key.id,
    )  # fmt: skip
    with site.site().postgres.session() as session:
        session.run("BEGIN; SET LOCAL search_path = public;" + "".join(
            f"CREATE TABLE t{n} (id int REFERENCES person ON DELETE CASCADE); INSERT INTO t{n} VALUES (1), (2);"
            for n in TABLES
        ))  # fmt: skip
        assert erase_rows(session, [entry], {key.id: key}).count == 1 + len(TABLES)
        steps = [(f"s{n}", f"DELETE FROM public.t{n} WHERE id = 2") for n in TABLES]
        assert sum(session.ask(in_steps(steps), list[int])) == len(TABLES)


def test_values_of_a_table_with_a_hundred_columns_are_put_back(make_site):
    columns = ", ".join(f"c{n} int DEFAULT {n}" for n in COLUMNS)
    site = make_site(schema=f"CREATE TABLE wide (id int PRIMARY KEY, {columns}); INSERT INTO wide (id) VALUES (1), (2)")
    made, saved = site.backup(), site.rows()
    site.sql("UPDATE wide SET c5 = 99")
    site.korrigo("revert", "--table", "wide", "--from", str(made), "--yes")
    assert site.rows() == saved
