"""Whole databases: made like the live database, swapped by renames, kept, dropped.

A swap is one transaction of two renames, so a crash leaves either the old or the new database under the live name; if
the `_before_` name exists, it is the new database. If there was no database before, a comment on the new database
records that, set in the same transaction; `settle` replaces the comment. Another comment marks a new database that
lacks an object until after the swap; until `complete`, recovery undoes such a swap.

One file: each change stands next to the change that undoes it, with the comments that both read.
"""

from __future__ import annotations

from operator import not_
from typing import TYPE_CHECKING, TypeVar

import msgspec

from korrigo_backup.artifact.properties import Properties
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.errors import Refused
from korrigo_backup.postgres.properties import OWN_COMMENT, PROPERTIES, made_like, property_statements
from korrigo_backup.postgres.server_error import StatementFailed
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.system.wait import wait_until

if TYPE_CHECKING:
    from collections.abc import Collection

    from korrigo_backup.core.secret import Secret
    from korrigo_backup.postgres.client import Postgres

T = TypeVar("T")

TERMINATE_SECONDS = 15.0
"""How long sessions get to end after pg_terminate_backend; a session in an uninterruptible write needs the disk."""

_POLL = 0.1

_IN_USE = "55006"
"""SQLSTATE of a rename whose database still has sessions (object_in_use)."""

_FROM_NOTHING = f"{OWN_COMMENT}not complete yet; there was no database before "
"""Comment of a live database that took no other's place, before the name under which it was staged. The comment that
the database is to have follows after a line break."""

_INCOMPLETE = f"{OWN_COMMENT}not complete yet; its last extension is made after it took its place from "
"""Comment of a live database that lacks an extension made after the swap, before the name under which it was staged.

The comment that it is to have follows after a line break: `_FROM_NOTHING` if it replaced no database.
"""

_SETTLED = f"{OWN_COMMENT}there was no database before "
"""The same of a complete restore, as former versions marked it."""

_ROLE_SETTINGS = """
SELECT coalesce(json_object_agg(r.rolname, s.setconfig), '{}')
FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole WHERE s.setdatabase = 0
"""

_OTHERS = """
SELECT coalesce(json_agg(format('process %s (%s, %s)', pid, usename,
                                coalesce(nullif(application_name, ''), '-'))), '[]')
"""

_TERMINATE = "SELECT pg_terminate_backend(pid)"

# A rename ends an autovacuum worker itself, and only a superuser may.
_SESSIONS = """
FROM pg_stat_activity
WHERE datname = {name} AND pid NOT IN (pg_backend_pid(), {but}) AND backend_type <> 'autovacuum worker'
  AND pid NOT IN (SELECT l.pid FROM pg_locks l WHERE l.granted AND l.locktype = 'advisory' AND l.classid = {run})
"""

RUN_LOCK = 0x6B6F7272
"""First number of the advisory lock of a run ("korr"); the second is made from the site's database."""

_COMMENT = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = {name}"

_SURVEY = """
DO $system$ BEGIN
  PERFORM set_config('korrigo_backup.system', system_identifier::text, false) FROM pg_catalog.pg_control_system();
EXCEPTION WHEN OTHERS THEN NULL;
END $system$;
SELECT json_build_object('system', current_setting('korrigo_backup.system', true),
                         'names', (SELECT json_agg(datname) FROM pg_database),
                         'closed', (SELECT coalesce(json_agg(datname), '[]') FROM pg_database WHERE NOT datallowconn),
                         'roles', (SELECT json_agg(rolname) FROM pg_roles),
                         'comment', coalesce(({comment}), ''),
                         'stranger', (SELECT pg_get_userbyid(datdba) FROM pg_database
                                      WHERE datname = {live} AND NOT pg_has_role(datdba, 'USAGE')))
"""

_IS_EMPTY = """
SELECT to_json(NOT EXISTS (
  SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')))
"""

_SUBSCRIPTIONS = """
SELECT to_json(count(*)) FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = {name})
"""

_DETACH = """
SELECT format('ALTER SUBSCRIPTION %1$I DISABLE', subname), format('ALTER SUBSCRIPTION %1$I SET (slot_name = NONE)',
              subname), format('DROP SUBSCRIPTION %1$I', subname)
FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) \\gexec
"""

_ROLE = """
SELECT json_build_object('name', rolname, 'superuser', rolsuper, 'createdb', rolcreatedb, 'createrole', rolcreaterole)
FROM pg_roles WHERE rolname = current_user
"""

_SHARED = """
SELECT to_json(json_build_array(
  (SELECT to_json(r) FROM pg_roles r WHERE rolname = current_user),
  (SELECT json_agg(m ORDER BY m.roleid, m.member) FROM pg_auth_members m
   WHERE current_user::regrole IN (m.roleid, m.member)),
  (SELECT json_agg(s ORDER BY s.setdatabase, s.setrole) FROM pg_db_role_setting s
   WHERE s.setrole = current_user::regrole
      OR s.setdatabase = (SELECT oid FROM pg_database WHERE datname = {live})),
  (SELECT json_build_array(oid, datdba, datallowconn, datconnlimit, datacl) FROM pg_database WHERE datname = {live})
)::text)
"""

_GRANT_OPTIONS = 16
"""The first version where a membership holds whether rights are inherited and the role may be set."""


class ServerSurvey(msgspec.Struct, frozen=True):
    """All databases, those that take no connections, all roles, and the comment of the live database."""

    names: frozenset[str]
    closed: frozenset[str]
    roles: frozenset[str]
    comment: str
    system: str | None = None
    """The identifier of the cluster; None where the role may not read it."""
    stranger: str | None = None
    """The owner of the live database where our role has not the owner's rights, so that it cannot restore."""

    @property
    def unsettled(self) -> bool:
        """Whether the live database replaced no other and was not settled."""
        return self.comment.startswith(_FROM_NOTHING)

    @property
    def incomplete(self) -> str | None:
        """The name under which the live database was staged, if an object that is made after the swap is missing."""
        return _staged_as(self.comment, _INCOMPLETE)


class Role(msgspec.Struct, frozen=True):
    """The rights of our role."""

    name: str
    superuser: bool
    createdb: bool
    createrole: bool = False

    @property
    def makes_roles(self) -> bool:
        """Whether the role may make the restricted role that loads unsigned data."""
        return self.superuser or self.createrole


class Databases:
    """The databases of a server, seen from its common database."""

    def __init__(self, server: Postgres) -> None:
        self._server = server

    def names(self) -> frozenset[str]:
        """Return the names of all databases."""
        return frozenset(self._ask("SELECT json_agg(datname) FROM pg_database", list[str]))

    def role(self) -> Role:
        """Return the rights of our role."""
        return self._ask(_ROLE, Role)

    def properties(self, name: str) -> Properties:
        """Return the properties of a database."""
        return self._ask(PROPERTIES.format(name=literal(name)), Properties)

    def create(self, name: str, like: Properties | None, *, clauses: str | None = None) -> None:
        """Make an empty database, with the encoding, collation, owner and place of `like` when it is given.

        `clauses` are used in the place of those that `like` gives.
        """
        given = clauses if clauses is not None else made_like(like) if like else ""
        self._run(f"CREATE DATABASE {identifier(name)} TEMPLATE template0{given}")

    def give_properties(self, name: str, like: Properties, *, without: Collection[str] = ()) -> None:
        """Give a database the settings, grants, limit and comment of `like`, but for the properties `without`."""
        statements = [one.sql for one in property_statements(name, like) if one.property not in without]
        self._run("; ".join(["BEGIN", *statements, "COMMIT"]))

    def alter(self, statement: str) -> None:
        """Run a statement that changes a property of a database or of a role."""
        self._run(statement)

    def role_settings(self) -> dict[str, tuple[str, ...]]:
        """Return the entries of `ALTER ROLE … SET` by role."""
        return self._ask(_ROLE_SETTINGS, dict[str, tuple[str, ...]])

    def create_loader(self, name: str, password: Secret, role: Role) -> None:
        """Make a role whose only right is to log in: data that it loads cannot use the rights of `role`, which is ours.

        A superuser lets it read its own tables whole, also where they force row security. A role that is no superuser
        becomes a member of it, so that its objects can be given away.
        """
        may = f"LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION {'' if role.superuser else 'NO'}BYPASSRLS"
        made = f"CREATE ROLE {identifier(name)} {may} PASSWORD {literal(password.reveal())}"
        if not role.superuser:
            options = " WITH INHERIT TRUE, SET TRUE" if self._server.version() >= _GRANT_OPTIONS else ""
            made += f"; GRANT {identifier(name)} TO CURRENT_USER{options}"
        self._run(made)

    def shared_state(self) -> str:
        """Return in words of the server the state that our role could change outside of the database that it loads."""
        return self._ask(_SHARED.format(live=literal(self._server.database)), str)

    def own(self, database: str, role: str) -> None:
        """Make a role the owner of a database."""
        self._run(f"ALTER DATABASE {identifier(database)} OWNER TO {identifier(role)}")

    def give(self, database: str, loader: str, owner: str) -> None:
        """Give all that a loader owns, the database with it, to `owner`, and take its rights back."""
        role = identifier(loader)
        self._server.script(
            f"BEGIN; REASSIGN OWNED BY {role} TO {identifier(owner)}; DROP OWNED BY {role}; COMMIT", database=database
        )

    def drop_role(self, name: str) -> None:
        """Drop a role that may exist."""
        self._run(f"DROP ROLE IF EXISTS {identifier(name)}")

    def rename(self, name: str, to: str) -> None:
        """Rename a database without sessions."""
        self._run(f"ALTER DATABASE {identifier(name)} RENAME TO {identifier(to)}")

    def size(self, name: str) -> int:
        """Return the size of a database in bytes on the server's disk."""
        return self._ask(f"SELECT to_json(pg_database_size({literal(name)}))", int)

    def drop(self, name: str) -> None:
        """Drop a database that may exist and may have sessions."""
        if name in self.names():
            self.disconnect(name)
            self._run(f"DROP DATABASE {identifier(name)}")

    def drop_staged(self, name: str) -> None:
        """Drop a database that was loaded for a restore or a drill; it may have subscriptions.

        A subscription of a dump names the slot of the live subscription. It is detached from the slot first: DROP
        SUBSCRIPTION would drop the live slot at the publisher, and DROP DATABASE is refused as long as there is a
        subscription.
        """
        if name not in self.names():
            return
        if self._ask(_SUBSCRIPTIONS.format(name=literal(name)), int):
            self.admit(name)
            self._server.script(_DETACH, database=name)
        self.drop(name)

    def owns(self, name: str) -> bool:
        """Return whether our role has the rights of a database's owner."""
        asked = f"SELECT to_json(pg_has_role(datdba, 'USAGE')) FROM pg_database WHERE datname = {literal(name)}"
        return self._ask(asked, bool)

    def disconnect(self, name: str, *, but: int = 0) -> None:
        """Close a database to new sessions and end every session in it, except that of the process `but`.

        The database from which the server is asked cannot be closed: there the sessions are only ended. Raises Refused,
        naming the sessions that would not end; the database then takes connections again.
        """
        doing = f"{self._ending(name, but)}{_OTHERS} {_sessions(name, but)}"

        def end_sessions() -> list[str]:
            return msgspec.json.decode(self._run(doing), type=list[str])

        try:
            if others := wait_until(not_, end_sessions, seconds=TERMINATE_SECONDS, pause=_POLL):
                raise _persistent(name, others)  # noqa: TRY301 - undone just below
        except BaseException:
            self.admit(name)
            raise

    def _ending(self, name: str, but: int = 0) -> str:
        """Return the statements that close a database to new sessions and end those in it."""
        close = "" if name == self._server.common else f"{_allow(name, 'false')}; "
        return f"{close}{_TERMINATE} {_sessions(name, but)} \\g /dev/null\n"

    def admit(self, name: str) -> None:
        """Let a database take connections."""
        if name == self._server.common:
            return  # no run that asks from it closes it
        self._run(_allow(name, "true"))

    def closed(self, name: str) -> bool:
        """Return whether a database exists and takes no connections."""
        asked = f"SELECT to_json(count(*)) FROM pg_database WHERE datname = {literal(name)} AND NOT datallowconn"
        return self._ask(asked, int) > 0

    def survey(self, live: str) -> ServerSurvey:
        """Return in one answer the traces of an earlier run."""
        return self._ask(_SURVEY.format(live=literal(live), comment=_COMMENT.format(name=literal(live))), ServerSurvey)

    def is_empty(self, name: str) -> bool:
        """Return whether a database is not there, or holds no table, view or sequence besides those of extensions."""
        return name not in self.names() or self._server.ask(_IS_EMPTY, bool, database=name)

    def swap(
        self, live: str, stage: str, before: str | None, *, comment: str | None = None, incomplete: bool = False
    ) -> None:
        """Make `stage` the live database and keep the old database as `before`, None if there is none.

        If there is none, the new database is marked: `undo_swap` removes it again, `settle` ends that and gives it
        `comment`. An `incomplete` database is marked until `complete`. Raises Refused, naming the sessions of either
        database that would not end.
        """
        rename = f"ALTER DATABASE {identifier(stage)} RENAME TO {identifier(live)}"
        unfinished = _INCOMPLETE + stage + "\n" if incomplete else ""
        if before is None:
            mark = unfinished + _FROM_NOTHING + stage + ("" if comment is None else f"\n{comment}")
            self._at_once(rename, _commented(live, mark), _allow(live, "true"))
            return
        marked = [_commented(stage, unfinished + self.comment(stage))] if incomplete else []
        keep = f"ALTER DATABASE {identifier(live)} RENAME TO {identifier(before)}"
        renames = (*marked, keep, rename, _allow(before, "true"), _allow(live, "true"))
        try:
            # One call of the client, since the site is stopped; a rename waits 5 s for the ended sessions.
            self._at_once(*renames, first=self._ending(live))
        except StatementFailed as problem:
            if problem.server.sqlstate != _IN_USE:
                raise
            for name in (live, stage):
                self.disconnect(name)
            self._at_once(*renames)

    def place(self, stage: str, name: str, *, comment: str) -> None:
        """Give a staged database a name that no database has, with a comment, in one transaction."""
        self.disconnect(stage)
        rename = f"ALTER DATABASE {identifier(stage)} RENAME TO {identifier(name)}"
        self._at_once(rename, _commented(name, comment), _allow(name, "true"))

    def comment(self, name: str) -> str:
        """Return the comment of a database, "" without one."""
        return self._ask(f"SELECT to_json(coalesce(({_COMMENT.format(name=literal(name))}), ''))", str)

    def complete(self, live: str) -> None:
        """Let a database that was swapped in `incomplete` stay as any other."""
        words = self.comment(live)
        if words.startswith(_INCOMPLETE):
            self._run(_commented(live, words.partition("\n")[2] or None))

    def undo_swap(self, live: str, stage: str, before: str, *, from_nothing: bool = False) -> None:
        """Make the old database live again, wherever `swap` stopped. Safe to repeat.

        `from_nothing`: the caller knows that there was no live database, also after `settle` has removed the mark.
        """
        names = self.names()
        away = f"ALTER DATABASE {identifier(live)} RENAME TO {identifier(stage)}"
        back = f"ALTER DATABASE {identifier(before)} RENAME TO {identifier(live)}"
        if before in names:
            self.disconnect(before)
            if live in names:
                self.disconnect(live)
                self._at_once(away, back, _allow(stage, "true"), _allow(live, "true"))
            else:
                self._at_once(back, _allow(live, "true"))
        elif self.came_from(live) == stage or (from_nothing and live in names and stage not in names):
            self.disconnect(live)
            self._at_once(_commented(live, None), away, _allow(stage, "true"))
        for name in (live, stage):
            if self.closed(name):
                self.admit(name)

    def came_from(self, live: str) -> str | None:
        """Return the name under which the live database was staged when there was none before; None once it stays."""
        words = self.comment(live)
        if words.startswith(_INCOMPLETE):
            words = words.partition("\n")[2]
        return _staged_as(words, _FROM_NOTHING) or _staged_as(words, _SETTLED)

    def settle(self, live: str) -> None:
        """Let the live database stay, also where there was none before, with the comment that it is to have."""
        words = self.comment(live)
        if words.startswith(_FROM_NOTHING):
            _, has_comment, comment = words.partition("\n")
            self._run(_commented(live, comment if has_comment else None))

    def _ask(self, sql: str, answer: type[T]) -> T:
        return self._server.ask_server(sql, answer)

    def _run(self, sql: str) -> bytes:
        return self._server.change(sql)

    def _at_once(self, *statements: str, first: str = "") -> None:
        """Run statements in one transaction, after those that no transaction takes back."""
        self._run(first + "; ".join(["BEGIN", *statements, "COMMIT"]))


def _commented(name: str, comment: str | None) -> str:
    return f"COMMENT ON DATABASE {identifier(name)} IS {'NULL' if comment is None else literal(comment)}"


def _staged_as(comment: str, mark: str) -> str | None:
    """Return the name behind a mark of ours, None where the comment does not begin with that mark."""
    return comment.removeprefix(mark).partition("\n")[0] if comment.startswith(mark) else None


def _sessions(name: str, but: int) -> str:
    return _SESSIONS.format(name=literal(name), but=but, run=RUN_LOCK)


def _allow(name: str, whether: str) -> str:
    return f"ALTER DATABASE {identifier(name)} ALLOW_CONNECTIONS {whether}"


def _persistent(name: str, others: list[str]) -> Refused:
    return Refused(
        f"sessions in database {name} do not end: {first_of(others, 5)}",
        hint="end them on the server, or run as a role that may (pg_signal_backend, superuser)",
    )
