"""Properties of a database or role that no dump contains: encoding, locale, owner, settings, grants, limit, comment."""

from __future__ import annotations

import re

import msgspec

SECRET = re.compile(r"secret|passw|token|credential|private|(^|[._])(api_?)?key($|_)", re.IGNORECASE)
"""Names of settings whose value is a secret: it goes into no manifest."""


class Setting(msgspec.Struct, frozen=True):
    """`ALTER DATABASE … SET` entries (`name=value`), of a role or of all.

    `withheld` names settings whose value was not saved, because it is a secret.
    """

    role: str | None
    entries: tuple[str, ...]
    withheld: tuple[str, ...] = ()


class Grant(msgspec.Struct, frozen=True):
    """A privilege on the database; role None is PUBLIC."""

    role: str | None
    privilege: str
    grantable: bool


class Properties(msgspec.Struct, frozen=True):
    """Everything that a database is made with and carries. Field names as in pg_database.

    `datcollversion` is the version of the collation library that the database was made with, None where there is none.
    """

    owner: str
    encoding_name: str
    datcollate: str
    datctype: str
    datconnlimit: int
    tablespace: str
    datlocprovider: str | None = None
    daticulocale: str | None = None
    datlocale: str | None = None
    daticurules: str | None = None
    datcollversion: str | None = None
    comment: str | None = None
    settings: tuple[Setting, ...] = ()
    grants: tuple[Grant, ...] | None = None

    @property
    def locale(self) -> str:
        """The locale that rows are sorted by."""
        return self.datlocale or self.daticulocale or self.datcollate


class Membership(msgspec.Struct, frozen=True):
    """A role that has another role as a member."""

    role: str
    admin: bool = False


class RoleProof(msgspec.Struct, frozen=True, kw_only=True):
    """A role that the database needs, without its password.

    `needed` is false for a role of which only the database's own properties speak: the dump loads without it.
    `attributes` are the words of CREATE ROLE, `settings` the entries of `ALTER ROLE … SET`.
    """

    name: str
    needed: bool = True
    attributes: tuple[str, ...] = ()
    connections: int = -1
    member_of: tuple[Membership, ...] = ()
    settings: tuple[str, ...] = ()
    withheld: tuple[str, ...] = ()


def without_secrets(properties: Properties) -> Properties:
    """Return the properties without the values of settings that are secrets."""
    return msgspec.structs.replace(
        properties, settings=tuple(without_secret_values(one) for one in properties.settings)
    )


def role_without_secrets(role: RoleProof) -> RoleProof:
    """Return a role without the values of settings that are secrets."""
    kept = without_secret_values(Setting(role.name, role.settings))
    return msgspec.structs.replace(role, settings=kept.entries, withheld=kept.withheld)


def without_secret_values(setting: Setting) -> Setting:
    """Return the settings of a role or of all; those that are secrets are only named."""
    names = [entry.partition("=")[0] for entry in setting.entries]
    kept = tuple(entry for entry, name in zip(setting.entries, names, strict=True) if not SECRET.search(name))
    secret = tuple(name for name in names if SECRET.search(name))
    return Setting(setting.role, kept, (*setting.withheld, *secret))
