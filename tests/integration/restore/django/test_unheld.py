"""What a Django backup does not hold, copied again to a copy of the live database."""

import pytest

from korrigo_backup.artifact.manifest import DatabaseProof
from korrigo_backup.postgres.digest import snapshot
from korrigo_backup.postgres.schema import fingerprint
from korrigo_backup.restore.django.unheld import Copied, Dependent, Unheld, held_tables
from sandbox import connect, quoted

SCHEMA = """
CREATE TABLE held (id serial, day date) PARTITION BY RANGE (day);
CREATE TABLE held_of_2026 PARTITION OF held FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
ALTER TABLE held_of_2026 ADD PRIMARY KEY (id);
INSERT INTO held (day) VALUES ('2026-02-03');
CREATE TABLE "odd ""name" (id int GENERATED ALWAYS AS IDENTITY, "a b" text, twice text GENERATED ALWAYS AS ("a b" || "a b") STORED);
INSERT INTO "odd ""name" ("a b") VALUES ('one'), (NULL), (E'\\\\.'), (E'tab\\tline\\nend\\\\');
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int REFERENCES parent);
CREATE TABLE viewed (id int);
CREATE MATERIALIZED VIEW seen AS SELECT * FROM viewed;
CREATE SEQUENCE up;
CREATE SEQUENCE down INCREMENT -1;
"""


class Pair:
    """A live database, and a copy of it in which the rows that a backup holds are replaced."""

    def __init__(self, site):
        self.site, self.copy = site, f"{site.database}_copy"
        self.server = site.wired().site().postgres
        with snapshot(self.server) as taken:
            held = held_tables(taken, ["public.held"])
            dumped = DatabaseProof(
                name=site.database, server_version="", client_version="", digest=None, tables=(),
                sequences=taken.sequences(), schema=fingerprint(taken), search_path=taken.search_path,
            )  # fmt: skip
            self.copied = Copied(held, Unheld.of(taken, held), dumped)
        with connect(site.server) as admin:
            admin.execute(f"CREATE DATABASE {quoted(self.copy)} TEMPLATE {quoted(site.database)} OWNER viatique_user")

    def renew(self):
        with self.server.session() as session:
            return self.copied.renew(session, self.server, self.copy)


@pytest.fixture
def pair(make_site):
    return Pair(make_site(schema=SCHEMA))


def test_the_rows_of_other_tables_and_the_positions_of_sequences_are_those_of_now(pair):
    site = pair.site
    site.sql("TRUNCATE held; INSERT INTO held VALUES (77, '2026-05-06'); SELECT setval('held_id_seq', 77)", pair.copy)
    site.sql("SELECT setval('down', -9); SELECT setval('up', 3, false)", pair.copy)
    site.sql("INSERT INTO held (day) VALUES ('2026-03-04')")
    site.sql("""DELETE FROM "odd ""name" WHERE "a b" = 'one'; INSERT INTO "odd ""name" ("a b") VALUES ('new')""")
    site.sql("SELECT nextval('up'), nextval('down'), setval('up', 40)")
    held = site.sql("SELECT * FROM held", pair.copy)
    assert pair.renew() == ('public."odd ""name"',)
    odd = 'SELECT * FROM "odd ""name" ORDER BY id'
    assert site.sql(odd, pair.copy) == site.sql(odd)
    assert site.sql("SELECT * FROM held", pair.copy) == held
    assert site.sql("SELECT nextval('up'), nextval('down'), nextval('held_id_seq')", pair.copy) == [(41, -10, 78)]
    assert site.sql("""INSERT INTO "odd ""name" DEFAULT VALUES RETURNING id""", pair.copy) == [(6,)]


def test_renew_makes_no_change_if_the_unheld_tables_are_unchanged(pair):
    pair.site.sql("UPDATE held SET day = '2026-07-08'")
    before = pair.site.content(pair.copy)
    assert pair.renew() == ()
    assert pair.site.content(pair.copy) == before
    pair.copied.require_equal(pair.server, pair.copy)


@pytest.mark.parametrize(
    "change",
    [
        "INSERT INTO parent VALUES (1)",
        "INSERT INTO viewed VALUES (1)",
        "CREATE INDEX later ON viewed (id)",
        "CREATE TABLE later (id int)",
        "SELECT lo_create(4711)",
    ],
)
def test_what_cannot_be_copied_alone_is_an_error_and_changes_nothing(pair, change):
    pair.site.sql(change)
    before = pair.site.content(pair.copy)
    with pytest.raises(Dependent):
        pair.renew()
    assert pair.site.content(pair.copy) == before
