"""Container images of PostgreSQL: which image is a server, and which database and role it makes at its first start.

The rules are those of the images' own documentation. An image that is not known follows the rules of the official
image, as most do.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERVER = re.compile(r"postgres|postgis|pgvector|timescale|pgautoupgrade|pgvecto|vchord|vectorchord|citus|spilo"
                     r"|pgroonga|paradedb", re.IGNORECASE)  # fmt: skip
_NO_SERVER = re.compile(r"exporter|backup|bouncer|admin|pgpool|client|postgrest|pgweb|pghero|dump|operator|adminer"
                        r"|metrics|proxy|wal-?g|barman|restore|migrat", re.IGNORECASE)  # fmt: skip
DATA_DIRECTORIES = ("/var/lib/postgresql", "/bitnami/postgresql", "/var/lib/pgsql", "/home/postgres/pgdata",
                    "/opt/bitnami/postgresql/data", "/pgdata")  # fmt: skip
"""Where images keep the data of a server."""


@dataclass(frozen=True)
class _Family:
    """Images that take the same variables: the mark in their names, the variables in the order of use, the defaults.

    Without a default the database has the name of the role, as in the official image.
    """

    mark: re.Pattern[str]
    users: tuple[str, ...]
    databases: tuple[str, ...]
    user: str = "postgres"
    database: str | None = None


_FAMILIES = (
    _Family(re.compile(r"bitnami"), ("POSTGRESQL_USERNAME", "POSTGRESQL_USER", "POSTGRES_USER"),
            ("POSTGRESQL_DATABASE", "POSTGRES_DATABASE", "POSTGRES_DB"), database="postgres"),
    _Family(re.compile(r"kartoza/"), ("POSTGRES_USER",), ("POSTGRES_DBNAME", "POSTGRES_DB"), "docker", "gis"),
    _Family(re.compile(r"supabase/postgres"), ("POSTGRES_USER",), ("POSTGRES_DB",), "supabase_admin", "postgres"),
    _Family(re.compile(r"sameersbn/"), ("DB_USER",), ("DB_NAME",), database="postgres"),
    _Family(re.compile(r"crunchydata"), ("PG_USER", "PG_PRIMARY_USER"), ("PG_DATABASE",), database="userdb"),
    _Family(re.compile(r"(sclorg|rhel\d*|centos\d*|rhscl|fedora)/postgresql"), ("POSTGRESQL_USER",),
            ("POSTGRESQL_DATABASE",), database="postgres"),
)  # fmt: skip
_OFFICIAL = _Family(re.compile(""), ("POSTGRES_USER",), ("POSTGRES_DB",))


@dataclass(frozen=True)
class Login:
    """The database that an image makes, and the role that it makes it for.

    `is_named` is false for a database that no variable names: it then has the name of the role, or the image's default.
    """

    database: str
    user: str
    is_named: bool = True


def is_server(image: str) -> bool:
    """Return whether `image`, with registry and tag, is a PostgreSQL server by its name; a pooler is none."""
    name = _bare(image)
    last = name.rsplit("/", 1)[-1]
    return bool(_SERVER.search(name)) and not _NO_SERVER.search(last)


def is_other_program(image: str) -> bool:
    """Return whether `image` names another program than PostgreSQL: an exporter, a pooler, a backup."""
    return bool(_NO_SERVER.search(_bare(image).rsplit("/", 1)[-1]))


def login(image: str, environment: Mapping[str, str]) -> Login:
    """Return database and role of a server, from the environment of its container; an empty value is as none."""
    name = _bare(image)
    family = next((one for one in _FAMILIES if one.mark.search(name)), _OFFICIAL)
    user = next((value for key in family.users if (value := environment.get(key))), family.user)
    named = next((value for key in family.databases if (value := environment.get(key))), None)
    database = named or family.database or user
    is_named = named is not None or any(environment.get(key) for key in family.users)
    return Login(database.split(",")[0] if family.database == "gis" else database, user, is_named)


_URL = re.compile(r"post(?:gres(?:ql)?|gis)(?:\+\w+)?://(?:(?P<user>[^:@/]+)(?::[^@]*)?@)?[^/]*/(?P<database>[^?]+)")
_NAMES = ("POSTGRES_DB", "POSTGRES_NAME", "DB_NAME", "DATABASE_NAME", "PGDATABASE", "SQL_DATABASE", "DJANGO_DB_NAME")
_USERS = ("POSTGRES_USER", "DB_USER", "DATABASE_USER", "PGUSER", "SQL_USER", "DJANGO_DB_USER")


def login_of_application(environment: Mapping[str, str], image: Login) -> Login | None:
    """Return database and role that an application is given, in an address or in usual variables; None without them.

    `image` is the login of the server's image, whose role is taken if the application names none.
    """
    address = next((found for value in environment.values() if (found := _URL.match(value))), None)
    if address:
        database, user = unquote(address["database"]), address["user"] and unquote(address["user"])
    else:
        database = next((value for key in _NAMES if (value := environment.get(key))), "")
        user = next((value for key in _USERS if (value := environment.get(key))), None)
    return Login(database, user or image.user) if database else None


def variables(image: str) -> tuple[str, ...]:
    """Return the variables that decide about database and role, each of which may end in _FILE."""
    name = _bare(image)
    family = next((one for one in _FAMILIES if one.mark.search(name)), _OFFICIAL)
    return (*family.users, *family.databases)


def _bare(image: str) -> str:
    """Return the image's name without digest and tag."""
    name = image.partition("@")[0]
    head, slash, last = name.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}".lower()
