"""A large table is loaded by two sessions; what comes out is the same, and an error in either stops the load."""

import gzip
import re

import pytest

from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.postgres.dump import edit as sql_format
from korrigo_backup.postgres.dump.foreign import as_data
from korrigo_backup.postgres.dump.load import SHARED_FROM, load_shared
from sandbox import USER, connect, quoted

ROWS = 80_000
SCHEMA = f"""
CREATE TABLE small (id int PRIMARY KEY);
INSERT INTO small SELECT generate_series(1, 10);
CREATE TABLE big (id int PRIMARY KEY, body text, CONSTRAINT positive CHECK (id > 0));
INSERT INTO big SELECT g, repeat(md5(g::text) || E'\\\\\\n', 6) FROM generate_series(1, {ROWS}) g;
CREATE TABLE last (id int);
INSERT INTO last VALUES (1);
"""


@pytest.fixture
def site(make_site):
    return make_site(schema=SCHEMA)


@pytest.fixture
def dump(site):
    """The text of a dump whose table `big` is large enough to be shared."""
    text = gzip.decompress(site.backup().read_bytes())
    assert len(text) > 3 * SHARED_FROM
    return text


def load(site, text, tmp_path, pieces=1):
    """Load a dump into a database of its own and return the database's name."""
    database = f"{site.database}_loaded"
    with connect(site.server) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {quoted(database)}")
        connection.execute(f"CREATE DATABASE {quoted(database)} OWNER {USER}")
    size = len(text) // pieces + 1
    path = tmp_path / "dump.sql.gz"
    path.write_bytes(b"".join(gzip.compress(text[i : i + size], 1) for i in range(0, len(text), size)))
    with path.open("rb", buffering=0) as file:
        sql_format.load(site.wired().site().postgres, file, "dump.sql.gz", database=database)
    return database


def sessions(site, database):
    """How many transactions wrote the rows of the large table."""
    return site.sql("SELECT count(DISTINCT xmin::text) FROM big", database)[0][0]


@pytest.mark.contract("R4")
def test_a_large_table_is_shared_and_arrives_whole(site, dump, tmp_path):
    database = load(site, dump, tmp_path)
    # the first megabytes alone, then a COPY in each session; on a busy machine one of them may be given all the rest
    assert sessions(site, database) in {2, 3}
    assert site.rows(database) == site.rows()
    assert site.schema(database) == site.schema()


def test_it_does_not_matter_where_the_pieces_end(site, dump, tmp_path):
    for pieces in (2, 1001):
        database = load(site, dump, tmp_path, pieces)
        assert site.rows(database) == site.rows()


def test_a_dump_in_one_transaction_is_loaded_by_one_session(site, dump, tmp_path):
    parts = re.split(rb"(?m)^(?=-- PostgreSQL database dump complete)", dump)
    start = dump.index(b"SET statement_timeout")
    text = parts[0][:start] + b"BEGIN;\n" + parts[0][start:] + b"COMMIT;\n--\n" + parts[1]
    database = load(site, text, tmp_path)
    assert sessions(site, database) == 1
    assert site.rows(database) == site.rows()


@pytest.mark.promise("P2")
@pytest.mark.parametrize("share", [0.01, 0.5, 0.6, 0.7, 0.999])
def test_a_bad_row_anywhere_in_the_table_stops_the_load(site, dump, tmp_path, share):
    begin, end = dump.index(b"COPY public.big"), dump.index(b"COPY public.last")
    at = dump.index(b"\n", begin + int((end - begin) * share)) + 1
    at = min(at, dump.rindex(b"\n\\.\n", begin, end) + 1)
    with pytest.raises(KorrigoBackupError, match="violates check constraint"):
        load(site, dump[:at] + b"-5\tnot so\n" + dump[at:], tmp_path)


def test_without_a_connection_to_spare_one_session_loads_all(site, dump, tmp_path):
    with connect(site.server) as connection:
        connection.execute(f"ALTER ROLE {USER} CONNECTION LIMIT 1")
        try:
            database = load(site, dump, tmp_path)
        finally:
            connection.execute(f"ALTER ROLE {USER} CONNECTION LIMIT -1")
    assert site.rows(database) == site.rows()


@pytest.mark.parametrize("foreign", [False, True], ids=["as-it-is", "as-data"])
def test_a_large_temporary_table_is_not_shared(site, foreign):
    """Rows that are diverted, as those of pg_cron are: the second session sees no temporary table of the first."""
    rows = b"".join(b"%d\t%b\n" % (n, b"y" * 4000) for n in range(3 * SHARED_FROM // 4000))
    dump = (
        b"CREATE TEMPORARY TABLE aside (id text, body text);\nCOPY pg_temp.aside (id, body) FROM stdin;\n%b\\.\n" % rows
    )
    dump += b"DO $$ BEGIN ASSERT (SELECT count(*) FROM pg_temp.aside) = %d; END $$;\n" % rows.count(b"\n")
    dump += b"--\n-- PostgreSQL database dump complete\n--\n\n"
    pieces = [dump[at : at + 65536] for at in range(0, len(dump), 65536)]
    given = as_data(pieces, "dump.sql") if foreign else pieces
    load_shared(site.wired().site().postgres, given, "dump.sql", database=site.database)
