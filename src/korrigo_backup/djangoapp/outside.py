"""Objects of the site that are not in a backup of its models: found in the snapshot of the backup."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connections, models, router
from django.db.migrations.recorder import MigrationRecorder

from korrigo_backup.djangoapp import commit
from korrigo_backup.djangoapp.pathcolumns import stored_elsewhere
from korrigo_backup.djangoapp.pgcatalog import relations
from korrigo_backup.domain.excerpt import first_of
from korrigo_backup.domain.leftout import SCHEMAS, LeftOut, LeftOutKind, left_out_findings
from korrigo_backup.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from korrigo_backup.djangoapp.tables import Table

ACCEPT = "KORRIGO_BACKUP_ACCEPT"
"""The setting that accepts it for every backup: ["schemas"]."""

# Tables that no extension owns and that are not the leaves of a partitioned table; the schemas of a session's own
# temporary tables and of the system do not count. `here` is whether any of the site's tables is in the schema.
_TABLES = """
SELECT n.nspname, c.relname, quote_ident(n.nspname) || '.' || quote_ident(c.relname),
       n.nspname = ANY(current_schemas(false)) OR n.nspname = ANY(%s::text[]), c.reltuples
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'f') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND NOT EXISTS (SELECT FROM pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 3
"""

_NOT_OWNED = """
SELECT w.name FROM unnest(%s::text[]) AS w (name) JOIN pg_class c ON c.oid = to_regclass(w.name)
WHERE NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1
"""

_LARGE_OBJECTS = "SELECT count(*) FROM pg_largeobject_metadata"


def left_out(found: Sequence[Table], alias: str) -> tuple[LeftOut, ...]:
    """Return the objects of the site that a backup of these tables does not hold. Runs in the caller's transaction."""
    connection = connections[alias]
    said = [*other_databases(alias), *_storages(found, alias), *_columns(found)]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            said += [*_tables(cursor, found), *_large_objects(cursor), *_rights(cursor, found)]
    return tuple(said)


def missing_rights(found: Sequence[Table], alias: str) -> list[str]:
    """Return the warning that names tables whose owner this role is not, so that a restore would fail on them."""
    if connections[alias].vendor != "postgresql":
        return []
    with connections[alias].cursor() as cursor:
        return [f"{one.message}\nhint: {one.hint}" for one in left_out_findings(_rights(cursor, found))]


def require_accepted(found: Iterable[LeftOut], accepted: Collection[str]) -> None:
    """Raise Refused when tables of the site's own apps stand in schemas that the backup does not hold."""
    schemas = [one for one in found if one.kind is LeftOutKind.SCHEMA]
    if schemas and SCHEMAS not in accepted:
        named = first_of([f"{one.name} ({one.facts})" for one in schemas], 5)
        raise Refused(
            f"tables of this site's apps stand in schemas that a backup by Django does not hold: {named}",
            hint="back up the whole database: korrigo-backup backup full; or leave them out: --accept schemas",
        )


def other_databases(alias: str) -> Iterator[LeftOut]:
    """Yield the other databases of the settings that models may have rows in."""
    ours = _place(alias)
    seen = {ours}
    for other in connections:
        place = _place(other)
        if place in seen or connections[other].vendor in {"dummy", "unknown"}:
            continue
        seen.add(place)
        held = [m for m in apps.get_models() if m._meta.managed and router.allow_migrate_model(other, m)]  # noqa: SLF001
        if held:
            yield LeftOut(LeftOutKind.DATABASE, f"{other}, database {place[0]}", f"{len(held)} models")


def _place(alias: str) -> tuple[str, str, str]:
    chosen = connections[alias].settings_dict
    return str(chosen.get("NAME") or ""), str(chosen.get("HOST") or ""), str(chosen.get("PORT") or "")


def _storages(found: Iterable[Table], alias: str) -> Iterator[LeftOut]:
    for table in found:
        for column in table.columns:
            if isinstance(column.field, models.FileField) and stored_elsewhere(column.field.storage):
                rows = models.QuerySet(table.model, using=alias).order_by().exclude(**{column.attname: None})
                if count := rows.exclude(**{column.attname: ""}).count():
                    storage = column.field.storage.__class__.__name__  # also of a lazy storage
                    yield LeftOut(LeftOutKind.STORAGE, f"{table.label}.{column.name}", f"{count} files in {storage}")


def _tables(cursor: Any, found: Sequence[Table]) -> Iterator[LeftOut]:
    schemas = {_schema(table.relation.name) for table in found if table.relation}
    held = {table.relation.name for table in found if table.relation}
    plain, qualified = _tables_of_models(cursor)
    cursor.execute(_TABLES, [sorted(schemas)])
    elsewhere: dict[str, int] = {}
    for schema, name, shown, here, rows in cursor.fetchall():
        if here and shown not in held | qualified and name != commit.TABLE:
            facts = f"about {int(rows)} rows" if rows > 0 else ""
            yield LeftOut(LeftOutKind.TABLE, shown, facts)
        elif not here and shown not in held | qualified and name in plain:
            elsewhere[schema] = elsewhere.get(schema, 0) + 1
    for schema, count in elsewhere.items():
        yield LeftOut(LeftOutKind.SCHEMA, schema, f"{count} tables")


def _schema(name: str) -> str:
    """Return the plain name of the schema in a qualified, quoted name."""
    if not name.startswith('"'):
        return name.partition(".")[0]
    return name[1:].partition('".')[0].replace('""', '"')


def _tables_of_models(cursor: Any) -> tuple[set[str], set[str]]:
    """Return the names of the tables of all installed models, as the models and as the database have them."""
    found = [m._meta for m in apps.get_models(include_auto_created=True) if not m._meta.proxy]  # noqa: SLF001
    plain = {meta.db_table for meta in found if meta.managed}
    every = {meta.db_table for meta in found} | {MigrationRecorder.Migration._meta.db_table}  # noqa: SLF001
    return plain, {one.name for one in relations(every, cursor.db, columns=False).values()}


def _columns(found: Iterable[Table]) -> Iterator[LeftOut]:
    """Yield columns of the models' tables that no model has.

    Raises Refused for a column that a row cannot do without: no restore could insert it.
    """
    for table in found:
        where = table.relation.name if table.relation else table.name
        known = {field.column for field in table.model._meta.local_concrete_fields}  # noqa: SLF001
        for name, column in table.relation.columns.items() if table.relation else ():
            if name in known or column.generated:
                continue
            shown = f"{table.name}.{name}"
            if column.not_null and column.bare:
                raise Refused(
                    f"no model has the column {shown}, and no row can do without it: a restore could not insert rows",
                    hint=f'ALTER TABLE {where} ALTER COLUMN "{name}" DROP NOT NULL,'
                    " or give it a default; or back up by method 1: korrigo-backup backup full",
                )
            yield LeftOut(LeftOutKind.COLUMN, shown, column.declared)


def _large_objects(cursor: Any) -> Iterator[LeftOut]:
    cursor.execute(_LARGE_OBJECTS)
    if count := cursor.fetchone()[0]:
        yield LeftOut(LeftOutKind.LARGE_OBJECT, f"{count} of them")


def _rights(cursor: Any, found: Sequence[Table]) -> Iterator[LeftOut]:
    cursor.execute(_NOT_OWNED, [[table.relation.name for table in found if table.relation]])
    for (name,) in cursor.fetchall():
        yield LeftOut(LeftOutKind.RIGHT, name)
