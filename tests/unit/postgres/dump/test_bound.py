"""Which statements of a dump are about an extension that can stand in one database alone."""

import pytest

from korrigo_backup.artifact.manifest import DatabaseProof
from korrigo_backup.postgres.dump.bound import bound_in, script
from korrigo_backup.postgres.dump.scan import DumpScanner

OURS = [
    "CREATE EXTENSION pg_cron;",
    "CREATE EXTENSION IF NOT EXISTS pg_cron WITH SCHEMA pg_catalog;",
    'CREATE EXTENSION IF NOT EXISTS "pg_cron" WITH SCHEMA "pg_catalog";',
]
OTHERS = [
    "CREATE EXTENSION IF NOT EXISTS plpython3u WITH SCHEMA pg_cron;",
    "CREATE EXTENSION IF NOT EXISTS pg_cron_other;",
    'CREATE EXTENSION "pg_cron ";',
    "COMMENT ON EXTENSION plpython3u IS 'a pg_cron of ours';",
]


def read(statements):
    scanner = DumpScanner("x")
    dump = f"{statements}\n--\n-- PostgreSQL database dump complete\n--\n\n".encode()
    for _ in scanner.split(dump):
        pass
    scanner.finish()
    return scanner.result, dump


def nothing():
    return DatabaseProof(name="", server_version="", client_version="", digest=None, tables=(), sequences=())


@pytest.mark.parametrize("statement", OURS)
def test_its_creation_is_known_by_its_name(statement):
    scan, _ = read(statement)
    assert [one.extension for one in bound_in(nothing(), scan)] == ["pg_cron"]


@pytest.mark.parametrize("statement", OTHERS)
def test_a_statement_that_speaks_of_it_elsewhere_is_not_about_it(statement):
    scan, _ = read(statement)
    assert bound_in(nothing(), scan) == ()


@pytest.mark.parametrize("other", OTHERS)
def test_nothing_else_is_executed_with_it(other):
    scan, dump = read(f"{OURS[1]}\n{other}\n")
    (bound,) = bound_in(nothing(), scan)
    assert b"".join(script(scan, bound, [dump], "x")) == OURS[1].encode() + b"\n"
