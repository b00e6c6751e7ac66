"""The rights of our role on a server, and the properties of a database that it cannot give to another."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.properties import SECRET
from korrigo_backup.postgres.properties import made_like, property_statements
from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.artifact.properties import Properties
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.postgres.properties import PropertyStatement

PRIVILEGED_EXTENSIONS = """
SELECT coalesce(json_agg(a.name), '[]')
FROM pg_available_extensions a
JOIN pg_available_extension_versions v ON v.name = a.name AND v.version = a.default_version
WHERE v.superuser AND NOT v.trusted
"""
"""Asks which extensions a superuser alone may make."""

PARAMETER_RIGHTS = 15
"""The first version of PostgreSQL in which GRANT SET ON PARAMETER exists."""

_ICU_DATABASES = 15
_BUILTIN_DATABASES = 17
"""The first versions in which a database may have such a locale provider."""

_RIGHTS = """
SELECT json_build_object(
  'name', me.rolname, 'superuser', me.rolsuper, 'createdb', me.rolcreatedb, 'createrole', me.rolcreaterole,
  'version', current_setting('server_version_num')::int / 10000,
  'encoding', (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = 'template0'),
  'here', (SELECT pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()),
  'roles', (SELECT json_agg(rolname) FROM pg_roles),
  'member_of', (SELECT coalesce(json_agg(rolname), '[]') FROM pg_roles WHERE pg_has_role(oid, 'MEMBER')),
  'tablespaces', (SELECT json_agg(spcname) FROM pg_tablespace),
  'places', (SELECT coalesce(json_agg(spcname), '[]') FROM pg_tablespace WHERE has_tablespace_privilege(oid, 'CREATE')),
  'contexts', (SELECT json_object_agg(name, context) FROM pg_settings),
  'extensions', (SELECT coalesce(json_agg(name), '[]') FROM pg_available_extensions))
FROM pg_roles me WHERE me.rolname = current_user
"""

_PARAMETERS = """
SELECT coalesce(json_agg(name), '[]') FROM json_array_elements_text({names}::json) n(name)
WHERE has_parameter_privilege(name, 'SET')
"""

# A collation of the locale is made in a block of its own: a server without the locale takes the block back.
_LOCALE = """
DO $probe$ BEGIN
  CREATE COLLATION pg_temp.{probe} ({definition});
  PERFORM set_config('korrigo_backup.locale', json_build_object('version',
                     coalesce(pg_collation_actual_version('pg_temp.{probe}'::regcollation), ''))::text, false);
EXCEPTION WHEN invalid_parameter_value OR undefined_object OR undefined_file OR feature_not_supported
               OR internal_error THEN
  PERFORM set_config('korrigo_backup.locale', '{{"version": null}}', false);
END $probe$;
SELECT current_setting('korrigo_backup.locale')
"""


class _Locale(msgspec.Struct, frozen=True):
    version: str | None


class Rights(msgspec.Struct, frozen=True):
    """Rights of our role, and the names that the server knows.

    `encoding` is that of template0, `here` that of the database that was asked; `places` are tablespaces in which our
    role may create, `contexts` holds which settings exist and who may set each.
    """

    name: str
    superuser: bool
    createdb: bool
    createrole: bool
    version: int
    encoding: str
    here: str
    roles: frozenset[str]
    member_of: frozenset[str]
    tablespaces: frozenset[str]
    places: frozenset[str]
    contexts: dict[str, str]
    extensions: frozenset[str]
    parameters: frozenset[str] = frozenset()

    def may_set(self, setting: str) -> bool:
        """Return whether our role may give a setting to a database or to itself."""
        return self.superuser or self.contexts.get(setting) == "user" or setting.lower() in self.parameters


@dataclass(frozen=True)
class LostProperty:
    """A property that cannot be given: its words, the reason, and the statements for a person with the right."""

    property: str
    reason: str
    sql: str


def rights(server: Postgres, settings: Iterable[str] = ()) -> Rights:
    """Return the rights of our role, also whether it may set each of `settings`."""
    found = server.ask_server(_RIGHTS, Rights)
    names = sorted({name.lower() for name in settings})
    if not names or found.superuser or found.version < PARAMETER_RIGHTS:
        return found
    asked = _PARAMETERS.format(names=literal(msgspec.json.encode(names).decode()))
    return msgspec.structs.replace(found, parameters=server.ask_server(asked, frozenset[str]))


def rights_for(server: Postgres, like: Properties) -> Rights:
    """Return the rights of our role, also for the settings of a database."""
    return rights(server, (entry.partition("=")[0] for setting in like.settings for entry in setting.entries))


def lost_settings(name: str, like: Properties, may: Rights) -> Iterator[LostProperty]:
    """Yield the settings, grants and the like that our role cannot give to a database of its own, called `name`."""
    for one in property_statements(name, like):
        if reason := refusal(one, may):
            yield LostProperty(one.property, reason, _shown(one))
    for setting in like.settings:
        for withheld in setting.withheld:
            target = f"ROLE {identifier(setting.role)} IN DATABASE" if setting.role else "DATABASE"
            sql = f"ALTER {target} {identifier(name)} SET {withheld} TO '…'"
            yield LostProperty(f"setting {withheld}", "its value is a secret and was not saved", sql)


def _shown(one: PropertyStatement) -> str:
    """Return a statement as it may be shown: without a value that is a secret."""
    if one.setting is None or not SECRET.search(one.setting):
        return one.sql
    return f"{one.sql.partition(' TO ')[0]} TO '…'"


def refusal(one: PropertyStatement, may: Rights) -> str:
    """Return the reason for which our role cannot give a property, "" where it can."""
    if one.role is not None and one.role not in may.roles:
        return f"role {one.role} does not exist"
    if one.of_role is not None and one.of_role != may.name and not (may.superuser or may.createrole):
        return f"role {may.name} may not change role {one.of_role}"
    if one.setting is not None and "." not in one.setting and one.setting.lower() not in _lower(may.contexts):
        return "this server does not know the setting"
    if one.setting is not None and not may.may_set(one.setting):
        return f"role {may.name} may not set it"
    return ""


def _lower(names: Iterable[str]) -> frozenset[str]:
    return frozenset(name.lower() for name in names)


@dataclass(frozen=True)
class Made:
    """How a database is made from nothing: with these properties, and the saved properties that are lost by that."""

    like: Properties
    clauses: str
    lost: tuple[LostProperty, ...]


def made_from_nothing(server: Postgres, name: str, saved: Properties, may: Rights) -> Made:
    """Return how a database is made as it was saved, as far as this server and our role can."""
    like, lost = saved, []
    database = identifier(name)
    if like.owner not in may.roles or not (may.superuser or like.owner in may.member_of):
        known = like.owner in may.roles
        why = f"role {may.name} is no member of it" if known else f"role {like.owner} does not exist"
        lost.append(
            LostProperty(f"owner {like.owner}", why, f"ALTER DATABASE {database} OWNER TO {identifier(like.owner)}")
        )
        like = msgspec.structs.replace(like, owner=may.name)
    if like.tablespace not in may.places and like.tablespace != "pg_default":
        known = like.tablespace in may.tablespaces
        why = f"role {may.name} may not create in it" if known else "it does not exist"
        sql = f"ALTER DATABASE {database} SET TABLESPACE {identifier(like.tablespace)}"
        lost.append(LostProperty(f"tablespace {like.tablespace}", why, sql))
        like = msgspec.structs.replace(like, tablespace="pg_default")
    clauses = made_like(like)
    found = _locale(server, like, may)
    if found is None:
        lost.append(lost_locale(name, like))
        clauses = without_locale(like, may)
    elif found and like.datcollversion and found != like.datcollversion:
        words = f"collation version {like.datcollversion}"
        lost.append(
            LostProperty(
                words, f"this server sorts by version {found}", f"ALTER DATABASE {database} REFRESH COLLATION VERSION"
            )
        )
    return Made(like, clauses, (*lost, *lost_settings(name, like, may)))


def lost_locale(name: str, like: Properties) -> LostProperty:
    """Return the loss of a locale that the server does not have."""
    sql = f"CREATE DATABASE {identifier(name)} TEMPLATE template0{made_like(like)}"
    return LostProperty(f"locale {like.locale}", "the server does not have it, so rows are sorted otherwise", sql)


def without_locale(like: Properties, may: Rights) -> str:
    """Return the clauses of CREATE DATABASE with another locale: the server's own where it fits the encoding."""
    place = "" if like.tablespace == "pg_default" else f" TABLESPACE {identifier(like.tablespace)}"
    locale = "" if like.encoding_name == may.encoding else " LC_COLLATE 'C' LC_CTYPE 'C'"
    return f" OWNER {identifier(like.owner)} ENCODING {literal(like.encoding_name)}{locale}{place}"


def _locale(server: Postgres, like: Properties, may: Rights) -> str | None:
    """Return the version of the collation library for a locale, "" where there is none, None without the locale."""
    provider = like.datlocprovider or "c"
    if provider == "b":
        return "" if may.version >= _BUILTIN_DATABASES else None
    if provider == "i":
        if may.version < _ICU_DATABASES:
            return None
        definition = f"provider = icu, locale = {literal(like.locale)}"
    elif {like.datcollate, like.datctype} <= {"C", "POSIX"} or like.encoding_name != may.here:
        return ""  # a collation of libc can only be tried in a database of its encoding
    else:
        definition = f"provider = libc, lc_collate = {literal(like.datcollate)}, lc_ctype = {literal(like.datctype)}"
    probe = f"korrigo_{secrets.token_hex(4)}"
    return server.ask_server(_LOCALE.format(probe=probe, definition=definition), _Locale).version
