"""The description of the site by its own Django: `manage.py korrigo_describe` writes it, the command reads it.

Both sides use these classes, so that the formats cannot differ.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class PathKind(StrEnum):
    """How a column names files: one FileField, plain text, or strings inside JSON."""

    FILE = "file"
    TEXT = "text"
    JSON = "json"


class PathColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column whose values are paths of media files.

    `table` and `column` are plain names, not quoted; without `schema` the table is found as the site's role finds
    it. A value is relative to `prefix` (a directory below the media root, "" for the root itself). `path` is the
    SQL/JSON path that leads to the strings of a JSON column.
    """

    table: str
    column: str
    kind: PathKind
    schema: str | None = None
    prefix: str = ""
    path: str = ""

    @property
    def name(self) -> str:
        """The column as a person writes it: `exams_copy.pdf`."""
        return f"{self.table}.{self.column}"


class TableName(msgspec.Struct, frozen=True):
    """A table by its plain names; without a schema it is found as the site's role finds it."""

    table: str
    schema: str | None = None


class DatabaseName(msgspec.Struct, frozen=True):
    """The database that the settings name; `host` is "" for a local socket."""

    engine: str
    name: str
    host: str


class AppMigrations(msgspec.Struct, frozen=True):
    """The migrations of an app on disk, the leaves among them, and the migrations that squashed migrations replace."""

    app: str
    names: tuple[str, ...]
    leaves: tuple[str, ...]
    replaces: dict[str, tuple[tuple[str, str], ...]] = {}


class DeclaredRelation(msgspec.Struct, frozen=True):
    """A reference between the tables of two models: a foreign key, also if the database does not hold it.

    `parent_link`: both rows are one object (multi-table inheritance). In a generic relation `columns` hold a key of
    `to` in the rows whose `type_column` is the number of the content type with this app and model. `on_delete` is
    Django's name for the effect of a deletion, "" if the database does it or an earlier version has described the site.
    """

    table: TableName
    columns: tuple[str, ...]
    to: TableName
    to_columns: tuple[str, ...]
    parent_link: bool = False
    type_column: str = ""
    content_type: tuple[str, str] = ("", "")
    on_delete: str = ""


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """A site as its code and settings describe it; the database is not asked.

    `elsewhere` names the file columns whose storage is not a directory below MEDIA_ROOT. `tables` gives the
    database's name of each model's table, by label (`exams.copy`). `others` names the other databases of the settings
    that models may have rows in. `users` is empty in a site without users. `commands` names the app whose command each
    of `manage.py backup` and `restore` is, `version` that of korrigo-backup there; both are empty in a description by
    an earlier version. `stages`: `manage.py restore -` knows `--into`. `relations` is empty
    in a description by an earlier version.
    """

    django: str
    python: str
    database: DatabaseName
    media_root: str
    users: TableName
    revision: str | None = None
    columns: tuple[PathColumn, ...] = ()
    elsewhere: tuple[str, ...] = ()
    migrations: tuple[AppMigrations, ...] = ()
    tables: dict[str, TableName] = {}
    others: tuple[str, ...] = ()
    commands: dict[str, str] = {}
    version: str = ""
    stages: bool = False
    media_url: str = ""
    relations: tuple[DeclaredRelation, ...] = ()


class Check(msgspec.Struct, frozen=True):
    """A check and its result; if it was not `tried`, `message` gives the obstacle."""

    id: str
    ok: bool
    message: str
    tried: bool = True


class Probe(msgspec.Struct, frozen=True):
    """The results of `manage.py korrigo_probe`; with `--verbosity 2` also the output of `korrigo_describe`."""

    checks: tuple[Check, ...]
    described: Description | None = None
