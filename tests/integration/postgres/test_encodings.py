"""Databases that are not in UTF-8: any byte in rows and names is saved, proven and restored."""

import pytest

from sandbox import USER, connect, quoted

LATIN = """
CREATE TABLE "élève" ("né" serial, "select" text); INSERT INTO "élève" ("select") VALUES ('été');
COMMENT ON TABLE "élève" IS 'à'; CREATE TYPE "état" AS ENUM ('é'); CREATE INDEX "clé" ON "élève" ("select");
"""
JAPANESE = """CREATE TABLE "日本" ("語" serial, s text); INSERT INTO "日本" (s) VALUES ('日本語〒')"""
BYTES = rb"""CREATE TABLE "\xe9l" ("n\xf6" serial, s text); INSERT INTO "\xe9l" (s) VALUES ('\xe9'), ('caf\xc3\xa9');
COMMENT ON TABLE "\xe9l" IS '\xff'; CREATE TABLE "\xc3\xa9" (id int);""".decode("unicode-escape").encode("latin-1")


def make(make_site, encoding):
    site = make_site(schema="")
    make_anew(site, encoding)
    return site


def encoding_of(site):
    with connect(site.server) as admin:
        asked = "SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = %s"
        return admin.execute(asked, [site.database]).fetchone()[0]


def make_anew(site, encoding):
    with connect(site.server) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {quoted(site.database)} WITH (FORCE)")
        admin.execute(
            f"CREATE DATABASE {quoted(site.database)} OWNER {USER} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'"
        )


@pytest.mark.promise("P1")
@pytest.mark.parametrize(("encoding", "schema"), [("LATIN1", LATIN), ("EUC_JP", JAPANESE), ("SQL_ASCII", BYTES)])
def test_a_database_in_another_encoding_comes_back(make_site, encoding, schema):
    site = make(make_site, encoding)
    with site.connect() as connection:
        if encoding == "SQL_ASCII":
            connection.execute("SET client_encoding = 'SQL_ASCII'")
        connection.execute(schema)
    site.korrigo("backup", "db")
    site.korrigo("verify", "latest", "--depth", "full")
    with connect(site.server) as admin:
        admin.execute(f"DROP DATABASE {quoted(site.database)} WITH (FORCE)")
    site.korrigo("restore", "latest", "--yes", "--no-validate")
    assert encoding_of(site) == encoding
    site.korrigo("plan", "latest")
    site.korrigo("compare", "latest")


def test_a_restore_over_a_database_in_another_encoding_gives_the_saved_one(make_site):
    site = make(make_site, "LATIN1")
    with site.connect() as connection:
        connection.execute(LATIN)
    made = site.backup()
    make_anew(site, "UTF8")
    done = site.korrigo("restore", "latest", "--yes", "--in-place", code=4)
    assert "LATIN1" in done.err
    site.restore(made)
    assert encoding_of(site) == "LATIN1"
