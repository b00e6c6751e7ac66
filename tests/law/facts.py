"""The saved facts of a site, read by SQL and system calls of the tests' own: rows, positions, large objects, files."""

import hashlib
import os
import stat
from contextlib import suppress

import psycopg

from sandbox import quoted

STEADY = (
    "SET search_path = public; SET default_transaction_read_only = off; SET quote_all_identifiers = off;"
    " SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0; SET bytea_output = 'hex';"
    " SET datestyle = 'ISO'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; SET extra_float_digits = 1;"
    " SET client_encoding = 'UTF8'; SET enable_indexscan = on; SET standard_conforming_strings = on;"
)

_COLUMNS = """
SELECT array_agg(attname ORDER BY attname) FROM pg_attribute
WHERE attrelid = %s AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""

_TABLES = """
SELECT c.oid, n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE relkind = %s AND nspname !~ '^pg_' AND nspname <> 'information_schema'
  AND (relname = 'spatial_ref_sys' OR NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e'))
ORDER BY 2, 3
"""


def saved_facts(site, database=None):
    """Return rows of every table without its generated columns, where every sequence stands, and every large object."""
    with site.connect(database, superuser=True) as connection:
        connection.execute(STEADY)
        rows = {}
        for oid, schema, name in connection.execute(_TABLES, ["r"]).fetchall():
            (columns,) = connection.execute(_COLUMNS, [oid]).fetchone()
            row = f"ROW({', '.join('t.' + quoted(one) for one in columns or [])})::text"
            found = connection.execute(
                f"SELECT md5({row}) FROM ONLY {quoted(schema)}.{quoted(name)} t", prepare=False
            ).fetchall()
            rows[schema, name] = hashlib.sha256(repr(sorted(found)).encode()).hexdigest(), len(found)
        positions = {
            (schema, name): connection.execute(
                f"SELECT last_value, is_called FROM {quoted(schema)}.{quoted(name)}"
            ).fetchone()
            for _, schema, name in connection.execute(_TABLES, ["S"]).fetchall()
        }
        objects = connection.execute(
            "SELECT loid, sum(length(data)), md5(string_agg(data, '' ORDER BY pageno)) FROM pg_largeobject GROUP BY 1 ORDER BY 1"
        ).fetchall()
    return {"rows": rows, "positions": positions, "large objects": objects}


def files(root):
    """Return every entry of a tree with type, mode, owner, time and content; what restores keep aside is left out."""
    found = {}
    for directory, names, plain in os.walk(os.fsencode(root)):
        names[:] = [name for name in names if not name.startswith((b".stage-", b".before-", b".after-"))]
        for name in [*names, *plain]:
            path = os.path.join(directory, name)
            info = os.lstat(path)
            content = b""
            if stat.S_ISLNK(info.st_mode):
                content = os.readlink(path)
            elif stat.S_ISREG(info.st_mode):
                with open(path, "rb") as file:
                    content = hashlib.sha256(file.read()).digest()
            owner = (info.st_uid, info.st_gid)
            found[os.path.relpath(path, os.fsencode(root))] = (oct(info.st_mode), *owner, info.st_mtime_ns, content)
    return found


def damage(site):
    """Do to a database what a bad day does: rows go, sequences move, a table comes that was never saved."""
    with site.connect(superuser=True) as connection:
        connection.execute(STEADY + "SET session_replication_role = replica;")
        for number, (_, schema, name) in enumerate(connection.execute(_TABLES, ["r"]).fetchall()):
            if number % 2:
                with suppress(psycopg.errors.ObjectNotInPrerequisiteState):  # it is published without an identity
                    connection.execute(f"DELETE FROM {quoted(schema)}.{quoted(name)}")
        for _, schema, name in connection.execute(_TABLES, ["S"]).fetchall():
            connection.execute(f"ALTER SEQUENCE {quoted(schema)}.{quoted(name)} RESTART")
        connection.execute("CREATE TABLE public.never_saved (id int)")
