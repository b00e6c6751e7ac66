"""The main line on PostgreSQL 13 to 18, and dumps of one version in the server of another."""

import gzip
import shutil

import pytest

from korrigo_backup.restore.versions import knows_restrict
from sandbox import SCHEMA
from shapes import OWNERS, large_objects
from versions.binaries import SERVERS

pytestmark = pytest.mark.versions

MAJORS = sorted(SERVERS)
SHAPES = ";".join([SCHEMA, *OWNERS.values()])

ROWS = """
CREATE TYPE colour AS ENUM ('red', 'blue'); CREATE TYPE pair AS (a int, b text); CREATE DOMAIN small AS int;
CREATE TABLE every_type (
  a int, b bigint, c smallint, d numeric, e real, f double precision, g money, h text, i varchar(9), j char(5), k bytea,
  l date, m time, n timetz, o timestamp, p timestamptz, q interval, r boolean, s colour, t point, u box, v path, w inet,
  x cidr, y macaddr, z bit(4), aa varbit, ab tsvector, ac tsquery, ad uuid, ae json, af jsonb, ag int[], ah text[][],
  ai pair, aj int4range, ak tstzrange, al small, am oid, an name, ao "char", ap circle, aq pair[], ar xml);
INSERT INTO every_type (a, b, c, d, e, f, g, h, i, j, k) VALUES
  (1, -9223372036854775808, 7, 1e-40, 0.1, 1e300, 12.34, E'tab\\t "q" \\\\', 'é', 'ab', '\\x00ff'),
  (2, 0, -1, 'NaN', 'Infinity', '-0', -1, '', '', '', ''), (3, 1, 1, 0.10, 1e-45, 5e-324, 0, NULL, ' ', ' ', '\\x'),
  (4, 1, 1, 12345678901234567890.123, 16777216, 0.30000000000000004, 1, '(a,"b")', 'x', 'x', NULL);
INSERT INTO every_type (a, l, m, n, o, p, q, r, s, t, u, v) VALUES
  (5, '0044-03-15 BC', '23:59:59.999999', '12:00+05:30', 'infinity', '2026-03-29 02:30+02', '1 year -2 days 03:04:05.6',
   true, 'blue', '(1.1,2)', '(0,0),(1,1e10)', '[(0,0),(1,1)]');
INSERT INTO every_type (a, w, x, y, z, aa, ab, ac, ad, ae, af, ag, ah, ai, aj, ak, al, am, an, ao, ap, aq) VALUES
  (6, '10.0.0.1/8', '2001:db8::/32', '08:00:2b:01:02:03', B'1010', B'1', 'a fat cat', 'fat & !rat',
   md5('x')::uuid, '{"b" : 1,  "a":[]}', '{"b" : 1.10, "a": null}', '{1,NULL,3}', '{{a,"b c"},{NULL,"NULL"}}', '(1,"x, y")',
   '[1,5)', '[2026-01-01 00:00+00,)', 7, 4294967295, 'n', 'c', '<(0,0),1>', '{"(1,a)","(,)"}');
CREATE TABLE many AS SELECT n AS id, md5(n::text) AS t, n / 7.0 AS q, n / 7.0::float8 AS f,
  timestamptz '2000-01-01 00:00+00' + n * interval '1 hour 1.000001 seconds' AS p FROM generate_series(1, 3000) n;
SELECT lo_from_bytea(4711, decode(repeat('c0ffee', 500000), 'hex')), lo_create(4712), lo_from_bytea(4713, 'short');
"""


def digests(site):
    proof = site.wired().catalog.find(str(site.backup())).manifest.database
    return proof.tables, proof.large_objects


def move(source, target, made):
    """Let another site have a backup: its file, its manifest and the key."""
    target.backups.mkdir(mode=0o700, exist_ok=True)
    for path in made.parent.glob(made.name + "*"):
        shutil.copy2(path, target.backups)
    shutil.copytree(source.home / ".config", target.home / ".config")
    return target.backups / made.name


@pytest.mark.promise("P1")
@pytest.mark.parametrize("major", MAJORS)
def test_backup_wreck_restore_rollback(site_on, major):
    site = site_on(major, SHAPES)
    new, objects = site.content(), large_objects(site)
    site.korrigo("backup")
    site.wreck()
    site.sql("SELECT lo_unlink(4711)")
    old = site.content()
    site.korrigo("restore", "latest", "--yes")
    assert (site.content(), large_objects(site)) == (new, objects)
    site.korrigo("rollback", "--yes")
    assert site.content() == old
    site.korrigo("restore", "latest", "--yes", "--in-place")
    assert (site.content(), large_objects(site)) == (new, objects)


@pytest.mark.contract("T10")
def test_the_digest_of_the_same_rows_is_the_same_on_every_version(site_on):
    found = {major: digests(site_on(major, ROWS)) for major in MAJORS}
    assert all(one == found[13] for one in found.values()), found
    assert {table.name: table.rows for table in found[13][0]} == {"public.every_type": 6, "public.many": 3000}


@pytest.mark.parametrize(("old", "new"), [(13, 15), (14, 16), (15, 18), (13, 18)])
def test_a_backup_is_restored_into_a_newer_server(site_on, old, new):
    source = site_on(old, SHAPES)
    rows, sequences, objects = source.rows(), source.sequences(), large_objects(source)
    target = site_on(new, "CREATE TABLE intruder (id int)")
    made = move(source, target, source.backup())
    target.korrigo("restore", made, "--yes", "--into-other-site")
    assert (target.rows(), target.sequences(), large_objects(target)) == (rows, sequences, objects)


@pytest.mark.parametrize(("new", "old"), [(18, 15), (17, 13)])
def test_a_backup_of_a_newer_server_is_restored_with_a_warning(site_on, new, old):
    """pg_dump 17 and newer write SET transaction_timeout, which older servers do not know."""
    source = site_on(new, SCHEMA)
    rows = source.rows()
    target = site_on(old, "CREATE TABLE intruder (id int)")
    made = move(source, target, source.backup())
    assert b"\nSET transaction_timeout = 0;" in gzip.decompress(made.read_bytes())
    done = target.korrigo("restore", made, "--yes", "--into-other-site")
    assert f"the backup is of PostgreSQL {new}, this server is {old}" in done.out
    assert target.rows() == rows


def test_what_the_older_server_does_not_know_changes_nothing(site_on):
    source = site_on(
        18, "CREATE TABLE t (id int UNIQUE NULLS NOT DISTINCT, twice int GENERATED ALWAYS AS (id * 2) VIRTUAL)"
    )
    target = site_on(13, SCHEMA)
    made = move(source, target, source.backup())
    before = target.content()
    done = target.korrigo("restore", made, "--yes", "--into-other-site", code=1)
    assert "error: psql: syntax error" in done.err
    assert "the dump may be of a newer PostgreSQL than this server" in done.err
    assert "state: rolled back: the site is as it was before" in done.err
    assert target.content() == before
    assert target.databases() == {target.database}


def test_a_dump_by_a_newer_pg_dump_is_loaded_by_older_clients(site_on, clients_of):
    site = site_on(15, SCHEMA)
    before = site.content()
    site.korrigo("backup", env=clients_of(18))
    site.wreck()
    done = site.korrigo("restore", "latest", "--yes")
    assert "pg_dump 18 wrote this backup, this server is 15" in done.out
    assert site.content() == before


def test_a_psql_that_does_not_know_restrict_loads_all_the_same(site_on, clients_of):
    site = site_on(15, SCHEMA)
    before = site.content()
    made = site.backup()
    assert b"\n\\restrict " in gzip.decompress(made.read_bytes())
    site.wreck()
    site.korrigo("restore", made, "--yes", "--no-safety-backup", env=clients_of("old"))
    assert site.content() == before


def test_clients_that_are_older_than_the_server_are_refused(site_on, clients_of):
    site = site_on(17, SCHEMA)
    done = site.korrigo("backup", code=4, env=clients_of(16))
    assert "server version mismatch" in done.err
    assert site.published() == frozenset()


@pytest.mark.promise("P5")
@pytest.mark.parametrize("major", [13, 16, 18])
def test_an_unsigned_dump_is_loaded_by_a_role_without_rights(site_on, major):
    """Roles and what they may do with each other changed in 16."""
    site = site_on(major, SHAPES.replace(" CREATE EXTENSION pg_trgm SCHEMA public;", ""))
    site.superuser = True
    rows, objects = site.rows(), large_objects(site)
    foreign = site.home / "db_backup_20260101_030000.sql.gz"
    made = site.backup()
    foreign.write_bytes(made.read_bytes())
    site.wreck()
    site.korrigo("restore", foreign, "--yes", "--allow-unsigned")
    assert (site.rows(), large_objects(site)) == (rows, objects)
    assert site.sql("SELECT count(*) FROM pg_roles WHERE rolname LIKE '%\\_load\\_%'") == [(0,)]
    text = gzip.decompress(made.read_bytes())
    hostile = text.replace(b"\nCREATE TABLE", b"\nSET ROLE postgres;\nCREATE TABLE", 1)
    foreign.write_bytes(gzip.compress(hostile))
    site.korrigo("restore", foreign, "--yes", "--allow-unsigned", code=4)


def test_which_psql_knows_restrict():
    knowing = [(13, 22), (14, 19), (15, 14), (16, 10), (17, 6), (18, 0), (19, 1)]
    assert all(knows_restrict(version) for version in knowing)
    assert not any(knows_restrict((major, minor - 1)) for major, minor in knowing if major < 18)
    assert not knows_restrict((12, 22))
    assert not knows_restrict((0, 0))
