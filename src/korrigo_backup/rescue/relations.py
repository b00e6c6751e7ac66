"""The relations between the tables of the live database: those of its catalogue, and those of the site's models."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from korrigo_backup.core.site_description import Description
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.postgres.foreign_keys import Equality, foreign_keys, live_content_types
from korrigo_backup.rescue.objects import qualified
from korrigo_backup.site.manage import DESCRIBE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from korrigo_backup.core.site_description import DeclaredRelation, TableName
    from korrigo_backup.postgres.client import Session
    from korrigo_backup.postgres.tables import TableLayout
    from korrigo_backup.site.site import Site

_APART = frozenset("nd")
"""ON DELETE SET NULL and SET DEFAULT. With the others no row can be deleted while rows refer to it."""


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


def children_first(names: Mapping[int, str], relations: tuple[RowRelation, ...]) -> list[list[int]]:
    """Return numbers of tables, each with its name, in groups: rows refer to those of later groups or of their own."""
    left, groups = dict(names), list[list[int]]()
    while left:
        needed = {one.to for one in relations if one.table in left.values() and one.table != one.to}
        free = [number for number, name in left.items() if name not in needed] or list(left)
        groups.append(free)
        left = {number: name for number, name in left.items() if number not in free}
    return groups


def with_models(
    session: Session,
    tables: Mapping[str, TableLayout],
    relations: tuple[RowRelation, ...],
    declared: Sequence[DeclaredRelation],
) -> tuple[RowRelation, ...]:
    """Return the relations of the database with those that the site's models declare besides."""
    held: dict[tuple[object, ...], RowRelation] = {(one.table, one.columns, one.to): one for one in relations}
    types = live_content_types(session, tables) if any(one.type_column for one in declared) else {}
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


def described_relations(site: Site, session: Session, tables: Mapping[str, TableLayout]) -> tuple[RowRelation, ...]:
    """Return all relations; those that only the site's Django knows are left out where it does not answer."""
    return with_models(session, tables, read_foreign_keys(session), _declared_by(site))


def references_by_models(site: Site, tables: Collection[str]) -> Iterator[tuple[str, str, bool]]:
    """Yield the relations that the models of the site declare between some tables: table, target, "it cascades".

    The database may hold some of them, too. Without an answer of the site's Django there are none.
    """
    for one in _declared_by(site):
        child, parent = qualified(one.table, tables), qualified(one.to, tables)
        if child and parent:
            yield child, parent, _cascades(one)


def _declared_by(site: Site) -> tuple[DeclaredRelation, ...]:
    if site.django:
        with suppress(KorrigoBackupError):
            return site.django.ask(DESCRIBE, Description).relations
    return ()
