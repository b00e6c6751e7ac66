"""The properties that a restore gives to the database, and the findings about those that it cannot give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.properties import without_secret_values
from korrigo_backup.core.finding import Finding, error, loss, warning
from korrigo_backup.errors import KorrigoBackupError, Locked, Refused, Unreachable
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.properties import comment_of, property_statements, role_settings
from korrigo_backup.postgres.rights import (
    LostProperty,
    lost_locale,
    lost_settings,
    made_from_nothing,
    refusal,
    rights_for,
    without_locale,
)
from korrigo_backup.postgres.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from korrigo_backup.artifact.manifest import DatabaseProof
    from korrigo_backup.artifact.properties import Properties, RoleProof, Setting
    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.postgres.properties import PropertyStatement
    from korrigo_backup.postgres.rights import Rights

GRANT_SET = "as a superuser: GRANT SET ON PARAMETER … TO the role of the site (PostgreSQL 15 and newer)"

SETTINGS = "database.settings"
"""The difference for `--accept`: a setting of the live database that our role cannot give to a staged database."""


@dataclass(frozen=True)
class TargetProperties:
    """The properties that a staged database is to have, and those of them that are lost.

    `like` is None if the properties are not known; `clauses` make the database if there is none to copy them from.
    `of_roles` are settings that roles of the lost server had.
    """

    like: Properties | None = None
    clauses: str | None = None
    lost: tuple[LostProperty, ...] = ()
    from_nothing: bool = True
    of_roles: tuple[PropertyStatement, ...] = ()
    may: Rights | None = field(default=None, compare=False)

    @property
    def comment(self) -> str | None:
        """The comment of a database that is made from nothing; it is set when the restore is complete."""
        return comment_of(self.like) if self.like and self.from_nothing else None


def target_properties(server: Postgres, saved: DatabaseProof, *, exists: bool, trusted: bool) -> TargetProperties:
    """Return the properties for a restored database: those of the live database, or the saved properties without one.

    Of a backup that is not signed only encoding and locale are taken.
    """
    live = server.database
    if exists:
        like = Databases(server).properties(live)
        if trusted and saved.properties and saved.properties.encoding_name != like.encoding_name:
            like = _in_encoding_of(like, saved.properties)
        may = rights_for(server, like)
        return TargetProperties(like, None, tuple(lost_settings(live, like, may)), from_nothing=False, may=may)
    if saved.properties is None:
        return TargetProperties()
    like, dropped = (saved.properties, ()) if trusted else _unsigned(live, saved.properties)
    may = rights_for(server, like)
    if not trusted:
        like = msgspec.structs.replace(like, owner=may.name)
    made = made_from_nothing(server, live, like, may)
    given, lost = _of_roles(server, saved.roles, may) if trusted else ((), ())
    return TargetProperties(made.like, made.clauses, (*made.lost, *dropped, *lost), of_roles=given, may=may)


def _in_encoding_of(like: Properties, saved: Properties) -> Properties:
    """Return properties with the saved encoding, and the locale that goes with it: rows are compared byte by byte."""
    return msgspec.structs.replace(
        like,
        encoding_name=saved.encoding_name,
        datcollate=saved.datcollate,
        datctype=saved.datctype,
        datlocprovider=saved.datlocprovider,
        daticulocale=saved.daticulocale,
        datlocale=saved.datlocale,
        daticurules=saved.daticurules,
    )


def create_like(databases: Databases, name: str, target: TargetProperties, report: Callable[[Finding], None]) -> None:
    """Make the staged database; where only its locale is not to be had, with another locale, which is reported."""
    if target.clauses is None or target.like is None or target.may is None:
        databases.create(name, target.like)
        return
    try:
        databases.create(name, target.like, clauses=target.clauses)
    except (Unreachable, Locked, Refused):
        raise
    except KorrigoBackupError as problem:
        databases.create(name, target.like, clauses=without_locale(target.like, target.may))
        lost = lost_locale(name, target.like)
        report(loss("properties.lost", f"{lost.property} is lost: {problem.message}", lost.sql))


def give(databases: Databases, name: str, target: TargetProperties, report: Callable[[Finding], None]) -> None:
    """Give the staged database its properties, except for those that the plan names as lost.

    From nothing, a property that the server refuses is reported as a loss. Raises Refused if a live database has it: a
    restore must not change the settings of a database.
    """
    if target.like is None:
        return
    like = msgspec.structs.replace(target.like, comment=None) if target.from_nothing else target.like
    lost = {one.property for one in target.lost}
    try:
        databases.give_properties(name, like, without=lost)
    except (Unreachable, Locked):
        raise
    except KorrigoBackupError as problem:
        if not target.from_nothing:
            raise Refused(
                f"the properties of the live database cannot be given to the staged database: {problem.message}",
                hint="restore with --in-place, which keeps the database and its properties",
            ) from None
        for one in property_statements(name, like):
            if one.property not in lost:
                _give_one(databases, one, report)


def give_role_settings(databases: Databases, target: TargetProperties, report: Callable[[Finding], None]) -> None:
    """Give roles the settings that they had on the lost server and that are not set here."""
    for one in target.of_roles:
        _give_one(databases, one, report)


def lost_by_swap(server: Postgres) -> tuple[LostProperty, ...]:
    """Return the settings and the like of the live database that our role cannot give to a staged database."""
    if server.database not in Databases(server).names():
        return ()
    like = Databases(server).properties(server.database)
    return tuple(lost_settings(server.database, like, rights_for(server, like)))


def settings_lost(lost: Sequence[LostProperty]) -> list[Finding]:
    """Return a loss for each setting that a swap does away with; the operator has accepted them."""
    return [loss("properties.lost", f"{one.property} is lost: {one.reason}", _to_type(one.sql)) for one in lost]


def in_place_for(lost: Sequence[LostProperty]) -> Finding:
    """Return the warning about a restore that is made in place to keep properties of the live database."""
    words = "; ".join(f"{one.property} ({one.reason})" for one in lost)
    return warning("database.settings", f"the restore is made in place, because a staged copy would lose: {words}",
                   f"for a swap instead: {GRANT_SET}; or --accept {SETTINGS}")  # fmt: skip


def settings_refused(server: Postgres, lost: Sequence[LostProperty]) -> Finding:
    """Return the error about properties that a swap would lose."""
    words = "; ".join(f"{one.property} ({one.reason})" for one in lost)
    return error("database.settings", f"a restored database {server.database} would lose: {words}",
                 f"{GRANT_SET}; or go on without them: --accept {SETTINGS}; or restore the database alone with"
                 " --in-place, which keeps them")  # fmt: skip


def loss_findings(target: TargetProperties) -> Iterator[Finding]:
    """Yield a loss for each property that a database made from nothing will not have."""
    for one in target.lost:
        yield loss("properties.lost", f"{one.property} is lost: {one.reason}", _to_type(one.sql))


def difference_findings(live: Properties, saved: Properties | None) -> Iterator[Finding]:
    """Yield a warning where the live database differs from the saved database; a restore keeps the live properties."""
    if saved is None:
        return
    if differing := property_differences(saved, live):
        yield warning("properties.differ", f"the live database is not as it was saved in: {'; '.join(differing)}",
                      "a restore keeps the properties of the live database; ALTER DATABASE changes them")  # fmt: skip


def property_differences(before: Properties, now: Properties) -> list[str]:
    """Return in words how two databases differ in properties that a dump does not hold."""
    left, right = _comparable(before), _comparable(now)
    return [f"{_WORDS.get(key, key)} ({left[key]} then, {right[key]} now)" for key in left if left[key] != right[key]]


def _to_type(sql: str) -> str:
    return f"as a role that may: {sql};"


def _give_one(databases: Databases, one: PropertyStatement, report: Callable[[Finding], None]) -> None:
    try:
        databases.alter(one.sql)
    except (Unreachable, Locked):
        raise
    except KorrigoBackupError as problem:
        report(loss("properties.lost", f"{one.property} is lost: {problem.message}", _to_type(one.sql)))


def _unsigned(name: str, saved: Properties) -> tuple[Properties, tuple[LostProperty, ...]]:
    """Return encoding and locale alone, and the loss of all else: it is not signed."""
    bare = msgspec.structs.replace(saved, settings=(), grants=None, comment=None, datconnlimit=-1)
    born = {one.property for one in property_statements(name, bare)}
    given = (one for one in property_statements(name, saved) if one.property not in born)
    lost = tuple(
        LostProperty(one.property, "the backup is not signed with a key of this site", one.sql) for one in given
    )
    return msgspec.structs.replace(bare, tablespace="pg_default"), lost


def _of_roles(
    server: Postgres, roles: tuple[RoleProof, ...], may: Rights
) -> tuple[tuple[PropertyStatement, ...], tuple[LostProperty, ...]]:
    """Return the settings of roles that are given, and those that are lost; a setting that is there already stays."""
    here = Databases(server).role_settings()
    given, lost = [], []
    for role in roles:
        present = {entry.partition("=")[0]: entry for entry in here.get(role.name, ())}
        for one, entry in zip(role_settings(role), role.settings, strict=True):
            if role.name not in may.roles or present.get(str(one.setting)) == entry:
                continue
            reason = "it has another value here" if one.setting in present else refusal(one, may)
            if reason:
                lost.append(LostProperty(one.property, reason, one.sql))
            else:
                given.append(one)
        for name in role.withheld:
            if role.name in may.roles and name not in present:
                sql = f"ALTER ROLE {identifier(role.name)} SET {name} TO '…'"
                lost.append(
                    LostProperty(f"setting {name} of role {role.name}", "its value is a secret and was not saved", sql)
                )
    return tuple(given), tuple(lost)


def _comparable(found: Properties) -> dict[str, object]:
    """Return properties as words, without the order in which grants and settings happen to be stored.

    A setting whose value is a secret is compared by its name.
    """
    words = msgspec.structs.asdict(found)
    words["comment"] = comment_of(found)
    words["grants"] = sorted(f"{g.privilege} to {g.role or 'PUBLIC'}{'*' * g.grantable}" for g in found.grants or ())
    words["settings"] = sorted(f"{one.role or 'all'}: {name}" for one in found.settings for name in _shown(one))
    words.pop("datcollversion")
    return words


def _shown(setting: Setting) -> list[str]:
    kept = without_secret_values(setting)
    return [*kept.entries, *kept.withheld]


_WORDS = {"encoding_name": "encoding", "datcollate": "collation", "datctype": "ctype", "datconnlimit": "limit"}
