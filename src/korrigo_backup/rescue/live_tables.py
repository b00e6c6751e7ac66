"""The tables of the live database and the relations between them, as its catalogue has them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from korrigo_backup.core.site_description import Description
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.postgres.foreign_keys import Equality, content_types, equal, equalities, foreign_keys
from korrigo_backup.postgres.sql import identifier
from korrigo_backup.site.manage import DESCRIBE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from korrigo_backup.core.site_description import DeclaredRelation, TableName
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.site.site import Site

_TABLES = """
SELECT coalesce(json_agg(json_build_object(
  'name', quote_ident(n.nspname) || '.' || quote_ident(c.relname), 'schema', n.nspname, 'table', c.relname,
  'columns', (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
  'types', (SELECT coalesce(json_agg(format_type(a.atttypid, a.atttypmod) ORDER BY a.attnum), '[]') FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
  'fixed', (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attidentity = 'a'),
  'texts', (SELECT coalesce(json_agg(a.attname ORDER BY a.attnum), '[]') FROM pg_attribute a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
              AND a.atttypid IN ('text'::regtype, 'varchar'::regtype)),
  'key', (SELECT coalesce(json_agg(a.attname ORDER BY k.place), '[]')
          FROM (SELECT i.indkey, i.indnkeyatts FROM pg_index i
                WHERE i.indrelid = c.oid AND i.indisunique AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid
                  AND NOT EXISTS (SELECT FROM unnest(i.indkey) WITH ORDINALITY u (number, place), pg_attribute b
                                  WHERE u.place <= i.indnkeyatts AND b.attrelid = c.oid AND b.attnum = u.number
                                    AND NOT b.attnotnull)
                ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) i,
               unnest(i.indkey) WITH ORDINALITY k (number, place), pg_attribute a
          WHERE k.place <= i.indnkeyatts AND a.attrelid = c.oid AND a.attnum = k.number))), '[]')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


_APART = frozenset("nd")
"""ON DELETE SET NULL and SET DEFAULT. With the others no row can be deleted while rows refer to it."""


class TableLayout(msgspec.Struct, frozen=True):
    """A table of the live database: the columns that an INSERT may name, and its key, () if it has none.

    `name` is written as pg_dump writes it. The key is the primary key, else a unique index over columns without NULL.
    `texts` are the columns of text, `types` those of all `columns`, `fixed` the columns that no UPDATE may name.
    `equalities` are those of the columns whose equality is not one of pg_catalog.
    """

    name: str
    schema: str
    table: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    texts: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()
    equalities: dict[str, Equality] = {}

    @property
    def sql(self) -> str:
        """Its name in a statement."""
        return f"{identifier(self.schema)}.{identifier(self.table)}"

    def equal(self, column: str, one: str, other: str) -> str:
        """Return the condition that two expressions are equal as values of a column."""
        return equal(self.equalities.get(column), one, other)


class RowRelation(msgspec.Struct, frozen=True):
    """Rows of `table` refer with `columns` to rows of `to`.

    `constrained`: the database holds it. `parent_link`: both rows are one object of Django (multi-table inheritance).
    In a generic relation `columns` hold a key only in rows whose `type_column` is the number `content_type`.
    `cascades`: a deletion deletes the rows that refer, and empties no reference. `apart`: a row can be deleted while
    rows refer to it, so that such a row was deleted on its own. `parts`: if `to` is a partition, all partitions of its
    table; a row refers to a row of one of them. `equalities` compare `to_columns` with `columns`, None as pg_catalog.
    """

    name: str
    table: str
    columns: tuple[str, ...]
    to: str
    to_columns: tuple[str, ...]
    constrained: bool = True
    parent_link: bool = False
    type_column: str = ""
    content_type: int = 0
    cascades: bool = True
    apart: bool = False
    parts: tuple[str, ...] = ()
    equalities: tuple[Equality | None, ...] = ()

    @property
    def generic(self) -> bool:
        """Whether a content type says to which table a row refers."""
        return bool(self.type_column)


def read_tables(session: Session) -> dict[str, TableLayout]:
    """Return the tables by name."""
    found, own = session.ask(_TABLES, tuple[TableLayout, ...]), equalities(session)
    named = {normal_name(one.name): one for one in found}
    return {name: replace(one, name=name, equalities=own.get(name, {})) for name, one in named.items()}


def read_foreign_keys(session: Session) -> tuple[RowRelation, ...]:
    """Return the foreign keys that the database itself holds."""
    return tuple(
        RowRelation(
            one.name,
            one.table,
            one.columns,
            one.to,
            one.to_columns,
            cascades=one.cascades,
            apart=one.action in _APART,
            parts=one.parts,
            equalities=one.equalities,
        )
        for one in foreign_keys(session)
        if one.plain
    )


def downward(roots: set[str], relations: tuple[RowRelation, ...]) -> set[str]:
    """Return the tables whose rows may have been deleted with rows of `roots`, these among them."""
    found = set(roots)
    while more := {
        name
        for one in relations
        for near, name in ((one.to, one.table), (one.table, one.to))
        if near in found and name not in found and (one.parent_link or near == one.to)
    }:
        found |= more
    return found


def upward(tables: set[str], relations: tuple[RowRelation, ...]) -> set[str]:
    """Return `tables` and those that their rows may refer to, directly or not."""
    found = set(tables)
    while more := {one.to for one in relations if one.table in found} - found:
        found |= more
    links = {one.table for one in relations if one.parent_link and one.to in found} - found
    return upward(found | links, relations) if links else found


def with_models(
    session: Session,
    tables: Mapping[str, TableLayout],
    relations: tuple[RowRelation, ...],
    declared: Sequence[DeclaredRelation],
) -> tuple[RowRelation, ...]:
    """Return the relations of the database with those that the site's models declare besides."""
    held: dict[tuple[object, ...], RowRelation] = {(one.table, one.columns, one.to): one for one in relations}
    types = _content_types(session, tables) if any(one.type_column for one in declared) else {}
    for one in declared:
        child, parent = _found(tables, one.table), _found(tables, one.to)
        columns = {*one.columns, *filter(None, (one.type_column,))}
        if (
            not child
            or not parent
            or not columns <= set(child.columns)
            or not set(one.to_columns) <= set(parent.columns)
        ):
            continue  # its migration was not applied
        place = (child.name, one.columns, parent.name)
        if one.type_column:
            if number := types.get(one.content_type):
                held[*place, number] = _declared(one, child, parent, number)
        elif place in held:
            cascades = _cascades(one) if one.on_delete else held[place].cascades
            apart = _apart(one, held[place])
            held[place] = replace(held[place], parent_link=one.parent_link, cascades=cascades, apart=apart)
        else:
            held[place] = _declared(one, child, parent, 0)
    return tuple(held.values())


def _declared(one: DeclaredRelation, child: TableLayout, parent: TableLayout, number: int) -> RowRelation:
    name = f"{child.table}.{', '.join(one.columns)}"
    return RowRelation(
        name,
        child.name,
        one.columns,
        parent.name,
        one.to_columns,
        constrained=False,
        parent_link=one.parent_link,
        type_column=one.type_column,
        content_type=number,
        cascades=_cascades(one),
        apart=_apart(one),
        equalities=tuple(
            parent.equalities.get(theirs) or child.equalities.get(mine)
            for mine, theirs in zip(one.columns, one.to_columns, strict=True)
        ),
    )


def _cascades(one: DeclaredRelation) -> bool:
    return not one.on_delete.startswith(("SET", "DO_NOTHING"))


def _apart(one: DeclaredRelation, held: RowRelation | None = None) -> bool:
    """Return whether the row referred to can be deleted while rows refer to it: by the model, else by the database.

    DO_NOTHING leaves it to the database; without a constraint nothing happens.
    """
    if one.on_delete == "DO_NOTHING":
        return held is None or held.apart
    if not one.on_delete:
        return held is not None and held.apart
    return one.on_delete.startswith("SET")


def _found(tables: Mapping[str, TableLayout], named: TableName) -> TableLayout | None:
    """Return the live table of a model; without a schema that in `public`, else the only table."""
    found = [one for one in tables.values() if one.table == named.table and named.schema in {None, one.schema}]
    return next((one for one in found if one.schema == "public"), found[0] if len(found) == 1 else None)


def _content_types(session: Session, tables: Mapping[str, TableLayout]) -> dict[tuple[str, str], int]:
    table = next((one for one in tables.values() if one.table == "django_content_type"), None)
    if table is None:
        return {}
    return content_types(session, table.sql)


def described_relations(site: Site, session: Session, tables: Mapping[str, TableLayout]) -> tuple[RowRelation, ...]:
    """Return all relations; those that only the site's Django knows are left out where it does not answer."""
    declared: tuple[DeclaredRelation, ...] = ()
    if site.django:
        with suppress(KorrigoBackupError):
            declared = site.django.ask(DESCRIBE, Description).relations
    return with_models(session, tables, read_foreign_keys(session), declared)
