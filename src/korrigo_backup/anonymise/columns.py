"""The columns of a copy, the rule of each, and the obstacles to a rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.anonymise.names import meant_table, require_column
from korrigo_backup.anonymise.rules import OF_THE_CODE, Act, ColumnRule, FileAct, Rules
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.errors import Refused
from korrigo_backup.postgres.sql import identifier

if TYPE_CHECKING:
    from collections.abc import Iterator

CATALOG = """
SELECT coalesce(json_agg(json_build_object(
  'schema', n.nspname, 'table', c.relname, 'kind', c.relkind, 'partition', c.relispartition,
  'populated', c.relispopulated,
  'columns', (SELECT coalesce(json_agg(json_build_object(
      'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'base', t.typname, 'category', t.typcategory,
      'length', information_schema._pg_char_max_length(information_schema._pg_truetypid(a.*, t.*),
                                                       information_schema._pg_truetypmod(a.*, t.*)),
      'required', a.attnotnull OR t.typnotnull, 'generated', a.attgenerated <> '',
      'unique', EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique
                        AND (a.attnum = ANY (i.indkey::int2[])
                             OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
                                        AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass
                                        AND d.refobjid = c.oid AND d.refobjsubid = a.attnum))),
      'key', EXISTS (SELECT FROM pg_constraint k
                     WHERE (k.conrelid = c.oid AND k.contype IN ('p', 'f') AND a.attnum = ANY (k.conkey))
                        OR (k.confrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.confkey)))
      ) ORDER BY a.attnum), '[]')
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
  ) ORDER BY n.nspname, c.relname), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND c.relpersistence <> 't'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                  AND d.deptype = 'e')
"""

_PLAIN = frozenset({"bytea", "uuid", "macaddr", "macaddr8", "pg_lsn", "txid_snapshot", "pg_snapshot"})
"""Types of PostgreSQL's category of user-defined types that hold no words."""

_JSON = frozenset({"json", "jsonb"})

HASH_LENGTH = 16
"""The fewest characters of a hash: shorter ones are equal for different values."""

RENAMED_LENGTH = 52
"""Characters of `anonymised/`, 32 digits and the longest suffix."""


class CopyColumn(msgspec.Struct, frozen=True):
    """A column: `base` and `category` are PostgreSQL's name and category of its type, `length` its most characters."""

    name: str
    type: str
    base: str
    category: str
    required: bool
    generated: bool
    unique: bool
    key: bool
    length: int | None = None

    @property
    def is_text(self) -> bool:
        """Whether the values are text."""
        return self.category == "S"

    @property
    def is_json(self) -> bool:
        """Whether the values are JSON."""
        return self.base in _JSON

    @property
    def holds_words(self) -> bool:
        """Whether a value may hold words of a person: text, JSON, arrays, search vectors, XML and others."""
        return self.category in "SACX" or (self.category == "U" and self.base not in _PLAIN)


class CopyTable(msgspec.Struct, frozen=True):
    """A table (`kind` r), a partitioned table (p) or a materialised view (m) of the copy."""

    schema: str
    table: str
    kind: str
    partition: bool
    populated: bool
    columns: tuple[CopyColumn, ...]

    @property
    def name(self) -> str:
        """The name for people: without the schema `public`."""
        return self.table if self.schema == "public" else f"{self.schema}.{self.table}"

    @property
    def sql(self) -> str:
        """The quoted name."""
        return f"{identifier(self.schema)}.{identifier(self.table)}"


@dataclass(frozen=True)
class Ruled:
    """A column and its rule."""

    table: CopyTable
    column: CopyColumn
    rule: ColumnRule

    @property
    def name(self) -> str:
        """The column as a person writes it: `auth_user.email`."""
        return f"{self.table.name}.{self.column.name}"

    @property
    def sql(self) -> str:
        """The quoted name of the column."""
        return identifier(self.column.name)

    @property
    def replaces(self) -> bool:
        """Whether the rule replaces the values of the column."""
        files = self.rule.argument in {FileAct.REMOVE, FileAct.RENAME}
        return files if self.rule.act is Act.FILES else self.rule.act is not Act.KEEP


@dataclass(frozen=True)
class Assigned:
    """The rules on the tables of a copy; `kept` are the columns of text that no rule names."""

    tables: tuple[CopyTable, ...]
    ruled: tuple[Ruled, ...]
    emptied: tuple[CopyTable, ...]
    kept: tuple[str, ...]

    @property
    def by_table(self) -> dict[str, list[Ruled]]:
        """The columns whose values are replaced, by quoted table."""
        found: dict[str, list[Ruled]] = {}
        for one in self.ruled:
            if one.replaces:
                found.setdefault(one.table.sql, []).append(one)
        return found


def assign(rules: Rules, tables: tuple[CopyTable, ...]) -> Assigned:
    """Return the rules on these tables.

    UsageError for a table or column that does not exist; Refused for a rule that a column cannot take, and with
    `strict` for a column of text without a rule.
    """
    whole = [one for one in tables if one.kind != "m" and not one.partition]
    emptied = tuple(one for one in whole if one.table in rules.empty or one.name in rules.empty)
    ruled = tuple(_ruled(rules, whole, emptied))
    if bad := [problem for one in ruled if (problem := obstacle(one))]:
        raise Refused(
            f"rules that their columns cannot take: {first_of(bad, 5)}",
            hint="change them in the file of rules",
            id_="anonymise.rule",
        )
    named = {one.name for one in ruled}
    kept = tuple(
        name
        for one in whole
        if one not in emptied and one.table not in OF_THE_CODE
        for column in one.columns
        if column.holds_words and not column.generated and (name := f"{one.name}.{column.name}") not in named
    )
    if rules.strict and kept:
        raise Refused(
            f"strict: {len(kept)} columns of text have no rule: {first_of(kept, 10)}",
            hint='give each of them a rule; "keep" keeps its values',
            id_="anonymise.strict",
        )
    return Assigned(tables, ruled, emptied, kept)


def _ruled(rules: Rules, tables: list[CopyTable], emptied: tuple[CopyTable, ...]) -> Iterator[Ruled]:
    for wanted, columns in rules.columns.items():
        table = meant_table(wanted, tables, "the copy")
        by_name = {one.name: one for one in table.columns}
        for name, rule in columns.items():
            require_column(table, name, by_name)
            if table not in emptied:
                yield Ruled(table, by_name[name], rule)


def obstacle(one: Ruled) -> str:
    """Return why a column cannot take its rule, "" if it can."""
    column, rule = one.column, one.rule
    if not one.replaces:
        return ""
    if column.key:
        return f"{one.name} is a key: keys stay as they are"
    if column.generated:
        return f"{one.name} is computed by the server"
    why = _misfit(column, rule)
    return f"{one.name} {why}" if why else ""


def _misfit(column: CopyColumn, rule: ColumnRule) -> str:
    """Return why the values of a column cannot be those of a rule, "" if they can."""
    match rule.act:
        case Act.NULL:
            return "may not be null" if column.required else ""
        case Act.EMPTY if not (column.is_text or column.is_json or column.category == "A"):
            return f"is of type {column.type}, which has no empty value: null"
        case Act.EMPTY | Act.CONSTANT if column.unique:
            return "is unique: faker or hash give each row a value of its own"
        case Act.HASH:
            return _hash_misfit(column)
        case Act.FAKER if column.is_json or column.category == "A" or (column.unique and not column.is_text):
            return f"is of type {column.type}: faker gives no such values"
        case _:
            return _files_misfit(column, rule.argument) if rule.act is Act.FILES else ""


def _hash_misfit(column: CopyColumn) -> str:
    if not column.is_text:
        return f"is of type {column.type}: hash is for text"
    is_short = column.length is not None and column.length < HASH_LENGTH
    return f"takes {column.length} characters, a hash has {HASH_LENGTH} or more: faker or null" if is_short else ""


def _files_misfit(column: CopyColumn, act: str) -> str:
    if not column.is_text:
        return f"is of type {column.type}: names in it cannot be changed, files:placeholder can"
    if act == FileAct.REMOVE and column.required and column.unique:
        return "is unique and may not be null: files:rename"
    if act == FileAct.RENAME and (column.length or RENAMED_LENGTH) < RENAMED_LENGTH:
        return f"takes {column.length} characters, a new name has {RENAMED_LENGTH}"
    return ""
