"""Extensions of a dump that the role without rights which loads it may not make.

Our role, a superuser, makes them before the load: those alone that the live database has, so an administrator has
chosen them, or on a server of our own all. None may bring an untrusted language.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.finding import Finding, error, warning
from korrigo_backup.core.paths import printable
from korrigo_backup.core.sqlname import plain_name
from korrigo_backup.errors import Refused
from korrigo_backup.postgres.dump.scan import Sort
from korrigo_backup.postgres.rights import PRIVILEGED_EXTENSIONS
from korrigo_backup.postgres.session_settings import MAKING
from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.postgres.dump.scan import ScanResult

_NAME = r'("(?:[^"]|"")+"|[a-z_][a-z0-9_$-]*)'
_CREATION = re.compile(rf"CREATE EXTENSION (?:IF NOT EXISTS )?{_NAME}(?: WITH SCHEMA {_NAME})?.*", re.DOTALL)

_INSTALLED = """
SELECT coalesce(json_object_agg(e.extname, EXISTS (
  SELECT FROM pg_depend d JOIN pg_language l ON d.classid = 'pg_language'::regclass AND l.oid = d.objid
  WHERE d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e' AND NOT l.lanpltrusted)
), '{}'::json) FROM pg_extension e
"""

_GRANT = """
DO $grant$
DECLARE
  one record;
BEGIN
  FOR one IN
    SELECT c.oid::regclass AS name, c.relkind FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
    WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND c.relkind IN ('r', 'p', 'S')
  LOOP
    EXECUTE format('GRANT %s %s TO %I', CASE one.relkind WHEN 'S' THEN 'USAGE, SELECT, UPDATE ON SEQUENCE'
                   ELSE 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON TABLE' END, one.name, {role});
  END LOOP;
END $grant$
"""


class Privileged(msgspec.Struct, frozen=True):
    """The extensions of a dump that a superuser alone may make: those that are made first, and the others.

    `made` has the schema of each, "" where the dump names none. `untrusted` bring an untrusted language.
    """

    made: dict[str, str]
    missing: tuple[str, ...] = ()
    untrusted: tuple[str, ...] = ()


def extensions_made(scan: ScanResult) -> dict[str, str]:
    """Return the extensions that a dump makes, with the schema of each, "" where the dump names none."""
    found = (_CREATION.fullmatch(text.decode(errors="replace").rstrip(";")) for _, text in scan.places[Sort.EXTENSION])
    return {plain_name(one[1]): plain_name(one[2] or "") for one in found if one}


def privileged(
    server: Postgres, scan: ScanResult, *, exists: bool, every: bool = False, without: Collection[str] = ()
) -> Privileged:
    """Return the extensions of a dump that its loader may not make, except the extensions `without`.

    `exists`: there is a live database. With `every`, its installed extensions are not asked for.
    """
    wanted = {name: schema for name, schema in extensions_made(scan).items() if name not in without}
    if not wanted:
        return Privileged({})
    barred = server.ask_server(PRIVILEGED_EXTENSIONS, frozenset[str])
    names = [name for name in wanted if name in barred]
    if every:
        return Privileged({name: wanted[name] for name in names})
    installed = server.ask(_INSTALLED, dict[str, bool]) if exists and names else {}
    return Privileged(
        {name: wanted[name] for name in names if installed.get(name) is False},
        tuple(name for name in names if name not in installed),
        tuple(name for name in names if installed.get(name)),
    )


def extension_findings(server: Postgres, name: str, found: Privileged) -> Iterator[Finding]:
    """Yield findings about those extensions."""
    if found.made:
        yield warning("extensions.first", f"{name} needs the extensions {_listed(found.made)}: they are made before"
                      " the load, because the live database has them", "no action is needed")  # fmt: skip
    if found.missing:
        make = "; ".join(f"CREATE EXTENSION {identifier(one)}" for one in found.missing)
        yield error("extensions.unsigned", f"{name} is not signed, so a role without rights loads it, which may not"
                    f" make the extensions {_listed(found.missing)}",
                    f"if they belong to the site, make them in database {server.database} as a superuser and run the"
                    f" command again: {make}")  # fmt: skip
    if found.untrusted:
        yield error("extensions.untrusted", f"{name} is not signed and needs {_listed(found.untrusted)}: an untrusted"
                    " language runs commands on the server",
                    "have the dump made without it, or find the key that signed it: [backup] key_file")  # fmt: skip


def make_first(server: Postgres, database: str, made: Mapping[str, str], loader: str) -> None:
    """Make the extensions in a staged database, and let the loader write the rows of their tables.

    Raises Refused if any of them, or of those that they need, brings an untrusted language.
    """
    if not made:
        return
    statements = []
    for name, schema in made.items():
        if schema and not schema.startswith("pg_"):
            statements.append(f"CREATE SCHEMA IF NOT EXISTS {identifier(schema)} AUTHORIZATION {identifier(loader)}")
        where = f" WITH SCHEMA {identifier(schema)}" if schema else ""
        statements.append(f"CREATE EXTENSION IF NOT EXISTS {identifier(name)}{where} CASCADE")
    grants = _GRANT.format(role=literal(loader))
    server.script(f"{'; '.join(statements)}; {grants}", database=database, options=MAKING)
    languages = server.ask(_INSTALLED, dict[str, bool], database=database)
    if untrusted := tuple(sorted(name for name, brings in languages.items() if brings)):
        raise Refused(
            f"the dump needs {_listed(untrusted)}: an untrusted language runs commands on the machine of the server",
            hint="load it on a staging server without other data, as a superuser",
        )


def _listed(names: Mapping[str, str] | tuple[str, ...]) -> str:
    return ", ".join(map(printable, names))
