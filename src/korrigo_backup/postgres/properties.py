"""SQL that reads the properties of a database and of its roles, and the statements that give them to another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.artifact.properties import Properties, RoleProof, role_without_secrets, without_secrets
from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.postgres.digest import Snapshot

OWN_COMMENT = "korrigo-backup: "
"""How a comment on a database begins that is ours and no property."""

PROPERTIES = """
SELECT to_jsonb(d) || jsonb_build_object(
  'owner', pg_get_userbyid(d.datdba), 'encoding_name', pg_encoding_to_char(d.encoding),
  'tablespace', t.spcname, 'comment', shobj_description(d.oid, 'pg_database'),
  'settings', (SELECT coalesce(jsonb_agg(jsonb_build_object('role', r.rolname, 'entries', s.setconfig)), '[]')
               FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = d.oid),
  'grants', (SELECT jsonb_agg(jsonb_build_object('role', r.rolname, 'privilege', a.privilege_type,
                                                 'grantable', a.is_grantable))
             FROM aclexplode(d.datacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee))
FROM pg_database d JOIN pg_tablespace t ON t.oid = d.dattablespace WHERE d.datname = {name}
"""

# Roles that own anything or are granted anything: pg_shdepend has them all, also of policies, default privileges and
# user mappings, but for the role that initdb made (oid 10), which is looked for where a dump would name it. Roles that
# only settings of the database name are not needed by a load. Predefined roles (below 16384, but for 10) are left out.
_ROLES = """
WITH RECURSIVE here AS (SELECT oid, datdba, datacl FROM pg_database WHERE datname = current_database()),
needed AS (
  SELECT refobjid AS oid FROM pg_shdepend s, here
  WHERE s.refclassid = 'pg_authid'::regclass AND s.dbid = here.oid
  UNION SELECT 10 WHERE EXISTS (SELECT FROM pg_class WHERE oid >= 16384 AND relowner = 10 AND NOT EXISTS (
      SELECT FROM pg_depend e WHERE e.classid = 'pg_class'::regclass AND e.objid = pg_class.oid
      AND e.deptype IN ('e', 'i')) AND relkind IN ('r', 'p', 'v', 'm', 'S', 'f'))
    OR EXISTS (SELECT FROM pg_namespace WHERE oid >= 16384 AND nspowner = 10 AND NOT EXISTS (
      SELECT FROM pg_depend e WHERE e.classid = 'pg_namespace'::regclass AND e.objid = pg_namespace.oid
      AND e.deptype = 'e') AND nspname !~ '^pg_')
    OR EXISTS (SELECT FROM pg_proc WHERE oid >= 16384 AND proowner = 10 AND NOT EXISTS (
      SELECT FROM pg_depend e WHERE e.classid = 'pg_proc'::regclass AND e.objid = pg_proc.oid
      AND e.deptype IN ('e', 'i')))
), named AS (
  SELECT datdba AS oid FROM here
  UNION SELECT grantee FROM here, aclexplode(datacl)
  UNION SELECT setrole FROM pg_db_role_setting, here WHERE setdatabase = here.oid
  UNION SELECT oid FROM needed
), above AS (
  SELECT oid FROM named UNION SELECT m.roleid FROM pg_auth_members m JOIN above a ON a.oid = m.member
)
SELECT coalesce(json_agg(json_build_object(
  'name', r.rolname, 'needed', r.oid IN (SELECT oid FROM needed), 'connections', r.rolconnlimit,
  'attributes', array_remove(ARRAY[
    CASE WHEN r.rolcanlogin THEN 'LOGIN' ELSE 'NOLOGIN' END, CASE WHEN r.rolsuper THEN 'SUPERUSER' END,
    CASE WHEN r.rolcreatedb THEN 'CREATEDB' END, CASE WHEN r.rolcreaterole THEN 'CREATEROLE' END,
    CASE WHEN NOT r.rolinherit THEN 'NOINHERIT' END, CASE WHEN r.rolreplication THEN 'REPLICATION' END,
    CASE WHEN r.rolbypassrls THEN 'BYPASSRLS' END], NULL),
  'member_of', (SELECT coalesce(json_agg(json_build_object('role', o.rolname, 'admin', m.admin_option)
                                         ORDER BY o.rolname COLLATE "C"), '[]')
                FROM pg_auth_members m JOIN pg_roles o ON o.oid = m.roleid WHERE m.member = r.oid),
  'settings', (SELECT coalesce(to_json(s.setconfig), '[]') FROM (SELECT 1) one
               LEFT JOIN pg_db_role_setting s ON s.setdatabase = 0 AND s.setrole = r.oid))
  ORDER BY r.rolname COLLATE "C"), '[]')
FROM pg_roles r WHERE r.oid IN (SELECT oid FROM above) AND (r.oid >= 16384 OR r.oid = 10)
"""

_TABLESPACES = """
SELECT coalesce(json_agg(DISTINCT t.spcname), '[]') FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace
WHERE t.spcname !~ '^pg_'
"""

_LIST_SETTINGS = frozenset({
    "local_preload_libraries", "search_path", "session_preload_libraries", "shared_preload_libraries",
    "temp_tablespaces", "unix_socket_directories",
})  # fmt: skip
"""Settings whose stored value is a list that is quoted already (as pg_dump treats them)."""

_BORN_PUBLIC = ("CONNECT", "TEMPORARY")
_BORN_OWNER = ("CREATE", "CONNECT", "TEMPORARY")
"""Rights that a new database gives to PUBLIC and to its owner."""


@dataclass(frozen=True)
class PropertyStatement:
    """A statement that gives a database a property: its words for a person, the role and the setting that it names.

    `of_role` is the role whose setting it changes.
    """

    property: str
    sql: str
    role: str | None = None
    setting: str | None = None
    of_role: str | None = None


def read_properties(taken: Snapshot) -> Properties:
    """Return the properties of the database of a snapshot, without values that are secrets."""
    return without_secrets(taken.ask(PROPERTIES.format(name="current_database()"), Properties))


def read_roles(taken: Snapshot) -> tuple[RoleProof, ...]:
    """Return the roles that the database of a snapshot needs or names, and the roles above them."""
    return tuple(role_without_secrets(role) for role in taken.ask(_ROLES, tuple[RoleProof, ...]))


def read_tablespaces(taken: Snapshot) -> tuple[str, ...]:
    """Return the tablespaces that objects of the database lie in, besides the database's own."""
    return taken.ask(_TABLESPACES, tuple[str, ...])


def made_like(like: Properties) -> str:
    """Return the clauses of CREATE DATABASE for a database with the encoding, locale, owner and place of `like`."""
    parts = [f" OWNER {identifier(like.owner)}", f" ENCODING {literal(like.encoding_name)}"]
    parts += [f" LC_COLLATE {literal(like.datcollate)}", f" LC_CTYPE {literal(like.datctype)}"]
    locale = like.datlocale or like.daticulocale
    if like.datlocprovider == "i" and locale:
        parts.append(f" LOCALE_PROVIDER icu ICU_LOCALE {literal(locale)}")
        parts += [f" ICU_RULES {literal(like.daticurules)}"] if like.daticurules else []
    elif like.datlocprovider == "b" and locale:
        parts.append(f" LOCALE_PROVIDER builtin BUILTIN_LOCALE {literal(locale)}")
    if like.tablespace != "pg_default":
        parts.append(f" TABLESPACE {identifier(like.tablespace)}")
    return "".join(parts)


def comment_of(like: Properties) -> str | None:
    """Return the comment, None where there is none or it is ours."""
    return None if like.comment is None or like.comment.startswith(OWN_COMMENT) else like.comment


def property_statements(name: str, like: Properties) -> Iterator[PropertyStatement]:
    """Yield the statements that give the settings, grants, limit and comment of `like` to a database made like it."""
    database = identifier(name)
    if like.datconnlimit >= -1:
        limit = f"CONNECTION LIMIT {like.datconnlimit}"
        yield PropertyStatement(f"connection limit {like.datconnlimit}", f"ALTER DATABASE {database} {limit}")
    if (comment := comment_of(like)) is not None:
        yield PropertyStatement("comment", f"COMMENT ON DATABASE {database} IS {literal(comment)}")
    for setting in like.settings:
        target = f"ROLE {identifier(setting.role)} IN DATABASE {database}" if setting.role else f"DATABASE {database}"
        yield from _settings(target, setting.role, setting.entries)
    yield from _grants(database, like)


def role_settings(role: RoleProof) -> Iterator[PropertyStatement]:
    """Yield the statements that give a role its own settings."""
    yield from _settings(f"ROLE {identifier(role.name)}", role.name, role.settings)


def create_role(role: RoleProof) -> Iterator[str]:
    """Yield the statements that make a role, without a password."""
    limit = f" CONNECTION LIMIT {role.connections}" if role.connections >= 0 else ""
    yield f"CREATE ROLE {identifier(role.name)} {' '.join(role.attributes)}{limit}"
    yield from (one.sql for one in role_settings(role))
    for group in role.member_of:
        option = " WITH ADMIN OPTION" if group.admin else ""
        yield f"GRANT {identifier(group.role)} TO {identifier(role.name)}{option}"


def create_roles(roles: Iterable[RoleProof]) -> list[str]:
    """Return the statements that make several roles: each role before the memberships that name it."""
    statements = [sql for role in roles for sql in create_role(role)]
    return sorted(statements, key=lambda sql: not sql.startswith("CREATE ROLE "))


def _settings(target: str, role: str | None, entries: Iterable[str]) -> Iterator[PropertyStatement]:
    for entry in entries:
        name = entry.partition("=")[0]
        of = f" of role {role}" if role else ""
        yield PropertyStatement(
            f"setting {name}{of}", f"ALTER {target} SET {_assignment(entry)}", role=role, setting=name, of_role=role
        )


def _grants(database: str, like: Properties) -> Iterator[PropertyStatement]:
    """Yield the statements that change the rights of a new database into those of `like`, in their order."""
    if like.grants is None:
        return
    for role, born in ((None, _BORN_PUBLIC), (like.owner, _BORN_OWNER)):
        kept = {grant.privilege for grant in like.grants if grant.role == role}
        name = identifier(role) if role else "PUBLIC"
        for privilege in born:
            if privilege not in kept:
                words = f"no {privilege} for {role or 'PUBLIC'}"
                yield PropertyStatement(words, f"REVOKE {privilege} ON DATABASE {database} FROM {name}")
    for grant in like.grants:
        name = identifier(grant.role) if grant.role else "PUBLIC"
        option = " WITH GRANT OPTION" if grant.grantable else ""
        words = f"{grant.privilege} for {grant.role or 'PUBLIC'}"
        sql = f"GRANT {grant.privilege} ON DATABASE {database} TO {name}{option}"
        yield PropertyStatement(words, sql, role=grant.role)


def _assignment(entry: str) -> str:
    setting, _, value = entry.partition("=")
    quoted = ".".join(identifier(part) for part in setting.split("."))
    return f"{quoted} TO {value if setting in _LIST_SETTINGS and value else literal(value)}"
