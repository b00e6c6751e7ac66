"""Everything that a restore needs of the server and of our role, asked before anything is loaded or stopped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, error, warning
from korrigo_backup.core.sqlname import plain_name
from korrigo_backup.errors import KorrigoBackupError, Refused, Unreachable
from korrigo_backup.postgres.client import NotAdmitted
from korrigo_backup.postgres.properties import create_roles
from korrigo_backup.postgres.rights import PRIVILEGED_EXTENSIONS
from korrigo_backup.postgres.sql import identifier, literal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from korrigo_backup.artifact.manifest import DatabaseProof
    from korrigo_backup.postgres.client import Postgres

OF_THE_SWAP = frozenset({"database.owner", "database.prepared", "database.sessions", "database.maintenance"})
"""Findings that stand in the way of a swap and not of a drill."""

_SERVER = f"""
SELECT json_build_object(
  'name', me.rolname, 'superuser', me.rolsuper, 'createdb', me.rolcreatedb,
  'roles', (SELECT json_agg(rolname) FROM pg_roles),
  'tablespaces', (SELECT json_agg(spcname) FROM pg_tablespace),
  'available', (SELECT coalesce(json_agg(name), '[]') FROM pg_available_extensions),
  'privileged', ({PRIVILEGED_EXTENSIONS}))
FROM pg_roles me WHERE me.rolname = current_user
"""

# Sessions of a superuser can be ended by a superuser alone, those of others with pg_signal_backend or by a member.
_LIVE = """
SELECT json_build_object(
  'owner', pg_get_userbyid(d.datdba), 'is_owned', me.rolsuper OR pg_has_role(d.datdba, 'USAGE'),
  'prepared', (SELECT coalesce(json_agg(gid ORDER BY gid), '[]') FROM pg_prepared_xacts WHERE database = d.datname),
  'slots', (SELECT coalesce(json_agg(slot_name ORDER BY slot_name), '[]') FROM pg_replication_slots
            WHERE database = d.datname),
  'extensions', (SELECT coalesce(json_agg(extname), '[]') FROM {extensions}),
  'sessions', (SELECT coalesce(json_agg(format('process %s (%s, %s)', a.pid, a.usename,
                                               coalesce(nullif(a.application_name, ''), a.backend_type))), '[]')
               FROM pg_stat_activity a LEFT JOIN pg_roles r ON r.oid = a.usesysid
               WHERE a.datname = d.datname AND a.pid <> pg_backend_pid() AND a.backend_type <> 'autovacuum worker'
                 AND NOT me.rolsuper AND a.backend_type <> 'parallel worker'
                 AND (coalesce(r.rolsuper, true) OR NOT (pg_has_role(r.oid, 'USAGE')
                                                         OR pg_has_role('pg_signal_backend', 'USAGE')))))
FROM pg_database d, pg_roles me WHERE d.datname = {name} AND me.rolname = current_user
"""


class _Server(msgspec.Struct, frozen=True):
    name: str
    superuser: bool
    createdb: bool
    roles: frozenset[str]
    tablespaces: frozenset[str]
    available: frozenset[str]
    privileged: frozenset[str]


class _Live(msgspec.Struct, frozen=True):
    owner: str
    is_owned: bool
    prepared: tuple[str, ...]
    slots: tuple[str, ...]
    extensions: frozenset[str]
    sessions: tuple[str, ...]


def restore_needs(
    server: Postgres,
    saved: DatabaseProof,
    staged: str,
    *,
    exists: bool,
    in_place: bool,
    roles: bool = True,
    extensions: Collection[str] = (),
) -> Iterator[Finding]:
    """Yield the things that the server or our role lacks for a restore of `saved` into the database `staged`.

    Without `roles`, the statements that name roles are not executed. `extensions` are those that the dump makes and
    `saved` may not name, because they were not recorded with it.
    """
    found = server.ask_server(_SERVER, _Server)
    if roles:
        yield from _roles(saved, found)
    if missing := sorted(set(saved.tablespaces) - found.tablespaces):
        hint = "; ".join(f"CREATE TABLESPACE {identifier(name)} LOCATION '…'" for name in missing)
        yield error("tablespaces.missing", f"tablespaces do not exist here: {', '.join(missing)}", hint)
    wanted = {plain_name(one.name) for one in saved.schema if one.kind == "extension"}.union(extensions)
    installed: frozenset[str] | None = None
    if exists:
        live = _live(server)
        installed = live.extensions
        yield from _owner(server, live, found)
        yield from _swap(server, live, in_place=in_place)
    yield from _extensions(server, wanted, found, installed, in_place=in_place)
    if not in_place and (refused := _hba(server, staged)):
        yield refused


_IN_PLACE = frozenset({"extensions.privileged", "database.maintenance"})
"""Findings that prevent a restore into a second database, and not a restore in place."""


def site_needs(server: Postgres, staged: str) -> Iterator[Finding]:
    """Yield the things that the server or our role lacks for a restore of the live database in its present state."""
    found, live = server.ask_server(_SERVER, _Server), _live(server)
    yield from _owner(server, live, found)
    ways = (*_swap(server, live, in_place=False),
            *_extensions(server, live.extensions, found, live.extensions, in_place=False))  # fmt: skip
    for finding in ways:
        yield (
            warning(finding.id, finding.message, finding.hint) if live.is_owned and finding.id in _IN_PLACE else finding
        )
    if refused := _hba(server, staged):
        yield warning(refused.id, refused.message, refused.hint) if live.is_owned else refused


def refused_extensions(server: Postgres, saved: DatabaseProof | None) -> list[str]:
    """Return the extensions, saved or else live, that our role may not make in a second database."""
    found = server.ask_server(_SERVER, _Server)
    if found.superuser:
        return []
    names = (plain_name(one.name) for one in saved.schema if one.kind == "extension") if saved else None
    return sorted(found.privileged.intersection(_live(server).extensions if names is None else names))


def require_entrance(server: Postgres, staged: str) -> None:
    """Raise Refused when we are not let into a database that we have made; we are in the live database."""
    try:
        server.script("SELECT 1", database=staged)
    except Unreachable as problem:
        raise Refused(
            f"the server does not let this role into a second database: {problem.message}",
            hint="restore with --in-place; or allow the role more databases in the server's pg_hba.conf",
        ) from None


def _live(server: Postgres) -> _Live:
    """Return the facts about the live database; if it cannot be entered, those seen from another database."""
    name = literal(server.database)
    try:
        return server.ask(_LIVE.format(extensions="pg_extension", name=name), _Live)
    except KorrigoBackupError:
        nothing = "(SELECT NULL::text AS extname WHERE false) e"
        return server.ask_server(_LIVE.format(extensions=nothing, name=name), _Live)


def _roles(saved: DatabaseProof, found: _Server) -> Iterator[Finding]:
    needed = {role.name for role in saved.roles if role.needed}
    if not needed - found.roles:
        return
    groups = {group.role for role in saved.roles for group in role.member_of if role.name not in found.roles}
    missing = [one for one in saved.roles if one.name not in found.roles and one.name in needed | groups]
    yield error("roles.missing", f"roles do not exist on this server: {', '.join(sorted(r.name for r in missing))}",
                f"as a superuser: {'; '.join(create_roles(missing))};")  # fmt: skip


def _owner(server: Postgres, live: _Live, found: _Server) -> Iterator[Finding]:
    if not live.is_owned:
        give = f"ALTER DATABASE {identifier(server.database)} OWNER TO {identifier(found.name)}"
        join = f"GRANT {identifier(live.owner)} TO {identifier(found.name)}"
        yield error("database.owner", f"role {found.name} cannot restore database {server.database}, which belongs to"
                    f" {live.owner}", f"as a superuser: {give}; or: {join}; or restore as {live.owner}")  # fmt: skip


def _swap(server: Postgres, live: _Live, *, in_place: bool) -> Iterator[Finding]:
    name = server.database
    if live.prepared:
        ways = "; ".join(f"ROLLBACK PREPARED {literal(gid)}" for gid in live.prepared[:5])
        yield error("database.prepared", f"database {name} has prepared transactions that have not ended:"
                    f" {first_of(live.prepared, 5)}", f"there: COMMIT PREPARED '…', or {ways}")  # fmt: skip
    if live.slots and not in_place:
        drop = "; ".join(f"SELECT pg_drop_replication_slot({literal(slot)})" for slot in live.slots)
        yield warning("database.slots", f"logical replication slots of {name} stay with the replaced database, which"
                      f" cannot be dropped while it has them: {', '.join(live.slots)}",
                      f"restore with --in-place to keep them; or afterwards, in the kept database: {drop};"
                      " then make them again and load their consumers again")  # fmt: skip
    if server.common != server.maintenance and not in_place:
        yield _maintenance(server)
    if live.sessions:
        yield error("database.sessions", f"sessions in database {name} cannot be ended by this role:"
                    f" {first_of(live.sessions, 5)}",
                    "end them, or as a superuser: GRANT pg_signal_backend TO this role (not for sessions of a"
                    " superuser)")  # fmt: skip


def require_maintenance(server: Postgres) -> None:
    """Raise Refused where databases cannot be exchanged, because the role is let into its own alone."""
    if server.common != server.maintenance:
        found = _maintenance(server)
        raise Refused(found.message, hint=found.hint)


def _maintenance(server: Postgres) -> Finding:
    return error("database.maintenance", f"this role cannot enter database {server.maintenance}, from which a restore"
                 " exchanges the databases", "restore with --in-place; or set [database] maintenance to a database that"
                 f" it may enter; or as a superuser: GRANT CONNECT ON DATABASE {identifier(server.maintenance)} TO this"
                 " role")  # fmt: skip


def _extensions(
    server: Postgres, wanted: Iterable[str], found: _Server, installed: frozenset[str] | None, *, in_place: bool
) -> Iterator[Finding]:
    """Yield the obstacles to making `wanted`; `installed` are the live extensions, None without a database."""
    if missing := sorted(set(wanted) - found.available):
        yield error("extensions.missing", f"extensions are not available on this server: {', '.join(missing)}",
                    "install their packages on the database server")  # fmt: skip
    privileged = set(wanted) & found.privileged
    lacking = sorted(privileged - (installed or frozenset()))
    refused = lacking if in_place else sorted(privileged)
    if refused and not found.superuser:
        where = f"in database {server.database}" if in_place else "in a staged database"
        keeps = "restore a database with --in-place, which keeps the extensions of the live database"
        yield error("extensions.privileged", f"role {found.name} may not create the extensions {', '.join(refused)}"
                    f" {where}", f"{_by_hand(server, found, lacking, installed) if lacking else keeps};"
                    " or restore as a superuser (POSTGRES_USER)")  # fmt: skip


def _by_hand(server: Postgres, found: _Server, lacking: Iterable[str], installed: frozenset[str] | None) -> str:
    """Return a superuser's commands, after which a restore in place finds the extensions that the role may not make."""
    name = identifier(server.database)
    create = f"CREATE DATABASE {name} OWNER {identifier(found.name)}; then " if installed is None else ""
    extensions = "; ".join(f"CREATE EXTENSION {identifier(one)}" for one in lacking)
    return f"as a superuser: {create}in database {server.database}: {extensions}; then restore with --in-place"


def _hba(server: Postgres, staged: str) -> Finding | None:
    """Return an error when the server's pg_hba.conf does not let us into a database of another name.

    The server looks into pg_hba.conf before it looks for the database, so the database need not be there.
    """
    try:
        server.script("SELECT 1", database=staged)
    except NotAdmitted:
        return error("database.hba", f"pg_hba.conf of the server does not let this role into a database {staged}",
                     "restore with --in-place; or let the role into the databases whose names begin like that of the"
                     " site (database 'all', or with PostgreSQL 16 a regular expression)")  # fmt: skip
    except KorrigoBackupError:
        return None
    return None
