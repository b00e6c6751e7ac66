"""Dumps of other tools and hostile dumps, loaded for real: everything that pg_dump writes arrives, and nothing runs."""

import bz2
import gzip
import io
import lzma
import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import Literal

import pytest

from korrigo_backup.errors import KorrigoBackupError, UsageError
from korrigo_backup.postgres.dump import create as sqldump
from korrigo_backup.postgres.dump import edit as sql_format
from korrigo_backup.postgres.dump.other_tools import is_ordinary, made_ordinary
from sandbox import USER, connect, nothing_changes, quoted

SCHEMA = r"""
CREATE TABLE t (id int PRIMARY KEY, body text);
INSERT INTO t VALUES (1, 'é'), (2, E'a\nb\\'), (3, NULL), (4, '\.'), (5, 'it''s $$ -- ; /* "');
CREATE TABLE "Odd ""name" ("a;b" serial, note text DEFAULT '\');
INSERT INTO "Odd ""name" (note) VALUES ('\! id');
COMMENT ON TABLE t IS E'C:\\dir\\';
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS $$ SELECT $1 * 2 $$;
CREATE VIEW v AS SELECT twice(id) FROM t;
SELECT lo_from_bytea(4711, 'a scan');
"""


@pytest.fixture
def site(make_site):
    return make_site(schema=SCHEMA)


@pytest.fixture
def dump(site):
    """Return a function that dumps the site's database by pg_dump with some options."""

    def made(*options, program="pg_dump"):
        access = site.wired().site().postgres.access
        command = access.postgres(program, *options, database=site.database)
        env = {name: getattr(value, "reveal", lambda value=value: value)() for name, value in command.env.items()}
        env["PATH"] = "/usr/bin:/bin"
        return subprocess.run(command.argv, env=env, capture_output=True, check=True).stdout

    return made


@pytest.fixture
def load(site, tmp_path):
    """Return a function that loads text as a foreign dump into a new database, and returns the database's name."""
    database = f"{site.database}_loaded"

    def loaded(text, *, superuser=False):
        if database not in site.databases():
            with connect(site.server) as connection:
                made = f"CREATE DATABASE {quoted(database)} TEMPLATE template0 ENCODING 'UTF8' OWNER {USER}"
                connection.execute(made)
        site.superuser = superuser
        packed = io.BytesIO(gzip.compress(text, 1))
        try:
            server = site.wired().site().postgres
            sql_format.load(server, packed, "dump", database=database, foreign=set(), restricted=False)
        finally:
            site.superuser = False
        return database

    return loaded


def tool(site):
    return site.wired().site().postgres.access.tool


@pytest.mark.promise("P9")
@pytest.mark.parametrize(
    "options",
    [
        ("--inserts",),
        ("--column-inserts", "--on-conflict-do-nothing", "--rows-per-insert=2"),
        ("--clean",),
        ("--clean", "--if-exists"),
        ("--create",),
        ("--clean", "--create"),
        ("--schema=public", "--large-objects"),
        ("--quote-all-identifiers",),
        ("--encoding=LATIN1",),
        ("--no-owner", "--no-privileges"),
    ],
)
def test_what_pg_dump_writes_arrives(site, dump, load, options):
    if "--large-objects" in options:
        options = ("--schema=public", "--blobs")
    database = load(dump(*options))
    assert site.rows(database) == site.rows()
    assert site.sql("SELECT lo_get(4711)", database) == [(b"a scan",)]


def test_a_dump_with_backslashes_as_escapes_arrives(site, dump, load):
    """A database whose standard_conforming_strings is off: pg_dump then writes its strings so."""
    site.sql(f"ALTER DATABASE {quoted(site.database)} SET standard_conforming_strings = off")
    access = site.wired().site().postgres.access
    command = access.postgres("pg_dump", database=site.database, options="-c standard_conforming_strings=off")
    env = {name: getattr(value, "reveal", lambda value=value: value)() for name, value in command.env.items()}
    text = subprocess.run(command.argv, env=env, capture_output=True, check=True).stdout
    assert b"SET standard_conforming_strings = off;" in text
    assert site.rows(load(text)) == site.rows()


def test_a_dump_of_before_2018_has_no_schemas_in_its_names(site, load):
    text = rb"""--
-- PostgreSQL database dump
--

SET statement_timeout = 0;
SET client_encoding = 'UTF8';
SET default_with_oids = false;
SET search_path = public, pg_catalog;

CREATE OR REPLACE PROCEDURAL LANGUAGE plpgsql;
CREATE TABLE old (id integer, body text);
CREATE SEQUENCE old_id_seq;
COPY old (id, body) FROM stdin;
1	one\\
\.
SELECT pg_catalog.setval('old_id_seq', 7, true);

--
-- PostgreSQL database dump complete
--
"""
    database = load(text)
    assert site.sql("SELECT id, body FROM old", database) == [(1, "one\\")]
    checked = sqldump.check(io.BytesIO(gzip.compress(text)), "old")
    assert checked.scan.rows == {"public.old": 1}
    assert checked.scan.sequences["public.old_id_seq"].last_value == 7


def forms(site, dump, place):
    """Write the same dump in every form, and yield the paths."""
    plain = dump()
    for name, content in {
        "plain.sql": plain,
        "xz.sql.xz": lzma.compress(plain, preset=0),
        "bzip2.sql.bz2": bz2.compress(plain, 1),
        "bom.sql.gz": gzip.compress(b"\xef\xbb\xbf" + plain, 1),
        "windows.sql.gz": gzip.compress(plain.replace(b"\n", b"\r\n"), 1),
        "utf16.sql": plain.decode().encode("utf-16"),
        "twice.sql.gz": gzip.compress(gzip.compress(plain, 1), 1),
        "noise.sql": b'time="2026" level=warning msg="x"\n' + plain + b"pg_dump: warning: circular foreign keys\n",
        "custom.dump": dump("--format=custom"),
        "custom.dump.gz": gzip.compress(dump("--format=custom"), 1),
        "tar.tar": dump("--format=tar"),
    }.items():
        (place / name).write_bytes(content)
    with zipfile.ZipFile(place / "zip.zip", "w") as archive:
        archive.writestr("dump.sql", plain)
    modes: dict[str, Literal["w", "w:gz", "w:xz"]] = {
        "archive.tar": "w",
        "archive.tgz": "w:gz",
        "archive.tar.xz": "w:xz",
    }
    for name, mode in modes.items():
        with tarfile.open(place / name, mode=mode) as archive:
            archive.add(place / "plain.sql", "backup/plain.sql")
    dump("--format=directory", f"--file={place / 'directory'}")
    if shutil.which("zstd"):
        subprocess.run(["zstd", "-q", place / "plain.sql", "-o", place / "zstd.sql.zst"], check=True)
    yield from sorted(place.iterdir())


@pytest.mark.promise("P9")
def test_a_dump_is_the_same_in_every_form(site, dump, tmp_path):
    place = tmp_path / "forms"
    place.mkdir()
    expected = meaning(dump())
    for path in forms(site, dump, place):
        assert site.wired().catalog.find(str(path)).kind == "sql", path.name
        with made_ordinary(path, tool(site)) as made:
            assert is_ordinary(made), path.name
            assert meaning(gzip.decompress(made.read())) == expected, path.name


def meaning(text):
    """Return the lines of a dump without comments and keys of `\\restrict`."""
    return [line for line in text.splitlines() if line and not line.startswith((b"--", b"\\restrict", b"\\unrestrict"))]


def test_an_ordinary_dump_is_not_converted(dump):
    assert is_ordinary(io.BytesIO(gzip.compress(dump())))


def test_what_cannot_be_converted_ends_with_the_command_to_type(site, dump, tmp_path):
    newer = tmp_path / "newer.dump"
    newer.write_bytes(b"PGDMP\x01\x63\x00" + b"\0" * 100)
    with pytest.raises(UsageError) as caught, made_ordinary(newer, tool(site)):
        pass
    assert f"pg_restore --file=- {newer} | gzip > newer.sql.gz" in caught.value.hint
    cluster = tmp_path / "all.sql"
    cluster.write_bytes(
        b'--\n-- PostgreSQL database cluster dump\n--\n\n--\n-- Database "shop" dump\n--\n\n'
        + dump("--create").replace(b"\\connect", b"\\connect shop\n\\connect", 1)
        + b"--\n-- PostgreSQL database cluster dump complete\n--\n"
    )
    done = site.korrigo("plan", cluster, "--allow-unsigned", code=2)
    assert "holds a whole server" in done.err
    assert "sed -n" in done.err


def test_a_cut_dump_in_custom_format_is_damaged(site, dump, tmp_path):
    whole = dump("--format=custom")
    for length in (len(whole) // 3, len(whole) - 40):
        cut = tmp_path / f"cut{length}.dump"
        cut.write_bytes(whole[:length])
        done = site.korrigo("plan", cut, "--allow-unsigned", code=9)
        assert f"pg_restore cannot read {cut.name}" in done.err
        assert "cut or damaged: fetch it again" in done.err


@pytest.mark.promise("P5")
def test_an_index_whose_function_asks_for_rights_is_named(site, dump, tmp_path):
    """Its failure would be caught and could be accepted, as that of an index which the rows break."""
    hostile = b"""
        CREATE TABLE public.bait (a int);
        INSERT INTO public.bait VALUES (1);
        CREATE FUNCTION public.run(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $f$ BEGIN
          PERFORM pg_read_file('/etc/passwd'); RETURN 1; END $f$;
        CREATE INDEX bait_run ON public.bait USING btree (public.run(a));"""
    foreign = tmp_path / "foreign.sql"
    foreign.write_bytes(dump().replace(b"\nCREATE TABLE", hostile + b"\nCREATE TABLE", 1))
    with nothing_changes(site):
        done = site.korrigo("restore", foreign, "--yes", "--allow-unsigned", code=4)
    assert "'CREATE INDEX bait_run ON public.bait" in done.err
    assert ", line " in done.err
    assert "do not load it" in done.err


def test_a_damaged_bzip2_file_is_damaged(site, dump, tmp_path):
    packed = bytearray(bz2.compress(dump(), 1))
    packed[-20] ^= 1
    (tmp_path / "bad.sql.bz2").write_bytes(packed)
    assert "cut or damaged" in site.korrigo("plan", tmp_path / "bad.sql.bz2", "--allow-unsigned", code=9).err


def test_several_files_in_an_archive_with_the_name_of_a_dump(site, dump, tmp_path):
    packed = tmp_path / "both.sql.gz"
    with tarfile.open(packed, "w:gz") as archive:
        for name in ("one.sql", "two.sql"):
            (tmp_path / name).write_bytes(dump())
            archive.add(tmp_path / name, name)
    done = site.korrigo("plan", packed, "--allow-unsigned", code=2)
    assert "tar -xOf both.sql.gz one.sql | gzip > NAME.sql.gz" in done.err


def test_text_behind_the_end_mark_is_shown(site, dump, tmp_path):
    for added in (b"DROP TABLE t;\n", b"it's late\n"):
        longer = tmp_path / "longer.sql"
        longer.write_bytes(dump() + added)
        done = site.korrigo("plan", longer, "--allow-unsigned", code=9)
        assert added.decode().rstrip(";\n") in done.err
        assert "is missing" not in done.err


def test_an_accepted_dump_without_rows_ends_with_a_loss(site, dump, tmp_path):
    bare = tmp_path / "bare.sql"
    bare.write_bytes(dump("--schema-only"))
    accepted = ("--yes", "--no-safety-backup", "--allow-unsigned", "--accept", "artifact.no_rows")
    site.korrigo("plan", bare, "--allow-unsigned", code=4)
    assert "every table is empty" in site.korrigo("plan", bare, *accepted[2:]).out
    done = site.korrigo("restore", bare, *accepted, code=3)
    assert "every table is empty" in done.out + done.err


CANARY = Path("/tmp") / f"korrigo-foreign-ran-{os.getpid()}"
"""A file that a psql command in a hostile dump would make."""

FOR_PSQL = [
    "SELECT '\\';\n\\! touch {0}\n--';",
    "SELECT E'\\';\n\\! touch {0}\n--';",
    "SELECT '\x81';\n\\! touch {0}\n--';",
    'SELECT "\x81";\n\\! touch {0}\n--";',
    "SELECT $a$\n\\! touch {0}\n$a$;",
    "COMMENT ON DATABASE x IS '`touch {0}`';",
    "CREATE TABLE h (a text);\nCOPY h (a) FROM stdin;\n\\\\! touch {0}\n`touch {0}`\n\\.\n",
    "CREATE TABLE absent_not (a text);\nCOPY absent (a) FROM stdin;\n\\\\! touch {0}\n;\n\\.\n",
    "COPY absent (a) FROM stdin;\n\\.\r\n\\! touch {0}\n\\.\n",
    'CREATE TABLE "\x81" (a text);\nCOPY "\x81" (a) FROM stdin;\n"\\! touch {0}\n\\.\n',
    "SELECT 'x' AS \"\\! touch {0}\" \\gexec\n",
    "\\! touch {0}\n",
    "\\o |touch {0}\n",
    "\\copy t from program 'touch {0}'\n",
    "\\unrestrict `touch {0}`\n",
    "\\connect `touch {0}`\n",
]

SETTINGS = [
    "",
    "SET\nstandard_conforming_strings = off;",
    "SET standard_conforming_strings = off;",
    "SELECT set_config('standard_'||'conforming_strings', 'off', false);",
    "DO $x$ BEGIN PERFORM set_config('backslash'||'_quote', 'on', false); END $x$;",
    *(f"SELECT set_config('client_'||'encoding', '{name}', false);" for name in ("SJIS", "BIG5", "GBK")),
    "SET client_encoding = 'SJIS';",
]


@pytest.mark.promise("P5")
def test_psql_runs_no_command_of_a_hostile_dump_under_any_setting(load):
    """As a superuser: here nothing but the rewriting stands between the dump and a program."""
    end = b"\n--\n-- PostgreSQL database dump complete\n--\n"
    ran = 0
    pairs = [(SETTINGS[(place + step) % len(SETTINGS)], p) for place, p in enumerate(FOR_PSQL) for step in (0, 1, 5)]
    for setting, payload in pairs:
        text = f"{setting}\n{payload.format(CANARY)}\n".encode("latin-1") + end
        try:
            load(text, superuser=True)
        except KorrigoBackupError:
            ran += 1
        assert not CANARY.exists(), (setting, payload)
    assert 0 < ran < len(pairs)
