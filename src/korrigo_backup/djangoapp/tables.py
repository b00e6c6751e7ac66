"""Which models are data, in an order in which each stands after those it refers to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connections, models, router

from korrigo_backup.djangoapp.fields import Column, column
from korrigo_backup.djangoapp.pgcatalog import Relation, relations
from korrigo_backup.errors import Refused, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from korrigo_backup.djangoapp.naturalkeys import NaturalKeys
    from korrigo_backup.djangoapp.pgcatalog import DatabaseColumn

EXCLUDED = ("contenttypes", "auth.Permission", "sessions")
"""What the runbook's command leaves out: made by `migrate`, or of no use in another database."""

_HEAVY = (models.BinaryField, models.TextField, models.JSONField)
FEW, MANY = 200, 2000
"""Rows read at once from a table that may have large values, and from any other."""


@dataclass(frozen=True)
class Texts:
    """The columns that a backup holds as text, by label and name; None for a backup that holds none as text."""

    columns: Mapping[str, Mapping[str, str]] | None


@dataclass(frozen=True, eq=False)
class Table:
    """One model's own table: `label` as in fixtures (`exams.copy`), `name` in the database, its own columns.

    `pk` is the column whose value stands beside the fields in a fixture: None when the key is composite, or
    refers to a content type or permission and therefore is written as a field, by name. `relation` is the table as
    PostgreSQL has it. `exact`: see fields.column.
    """

    model: Any
    label: str
    name: str
    columns: tuple[Column, ...]
    pk: Column | None
    relation: Relation | None = None
    exact: bool = False

    @property
    def fields(self) -> tuple[Column, ...]:
        """The columns that stand among the fields."""
        return tuple(column for column in self.columns if column is not self.pk)

    @property
    def text_columns(self) -> dict[str, str]:
        """The columns that a backup holds as PostgreSQL's text, with their types."""
        there = self.relation.columns if self.relation else {}
        return {column.name: there[column.column].declared for column in self.columns if column.as_text}

    @property
    def chunk(self) -> int:
        """How many rows may be read at once."""
        return FEW if any(isinstance(column.field, _HEAVY) for column in self.columns) else MANY

    def rows(self, alias: str) -> Any:
        """Return an iterator over all rows, as tuples in the order of `columns`, through no manager at all."""
        order = [field.attname for field in getattr(self.model._meta, "pk_fields", [self.model._meta.pk])]  # noqa: SLF001
        query = models.QuerySet(self.model, using=alias).order_by(*order)
        return query.values_list(*(column.select for column in self.columns)).iterator(chunk_size=self.chunk)


def data_models(alias: str, exclude: Iterable[str] = ()) -> list[Any]:
    """Return the models whose rows a backup of `alias` holds.

    Left out are those of `exclude` (labels of apps or models; UsageError for an unknown one), proxies, models of
    other databases, and unmanaged models that are not over a table. Of two models over one table the managed
    one counts, else the one with more columns.
    """
    apps_out, models_out = _excluded((*(name for name in EXCLUDED if _is_known(name)), *exclude))
    chosen: dict[str, Any] = {}
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta  # noqa: SLF001 - Django's documented name
        if meta.proxy or meta.swapped or meta.app_label in apps_out or model in models_out:
            continue
        if not router.allow_migrate_model(alias, model) or not (meta.managed or _is_table(alias, meta.db_table)):
            continue
        rival = chosen.get(meta.db_table)
        if rival is None or _weight(model) > _weight(rival):
            chosen[meta.db_table] = model
    return _in_order(chosen.values())


def tables(models_: Iterable[Any], alias: str, keys: NaturalKeys, texts: Texts | None = None) -> tuple[Table, ...]:
    """Return how to read and write the tables of the given models, for a new backup.

    `texts` is for one that exists: its columns of text by label, None inside for a backup of a former version.
    """
    models_, connection = list(models_), connections[alias]
    found = relations((model._meta.db_table for model in models_), connection)  # noqa: SLF001
    return tuple(_table(model, connection, keys, found.get(model._meta.db_table), texts) for model in models_)  # noqa: SLF001


def require_tables(found: Iterable[Any], alias: str) -> None:
    """Raise Refused when a model has no table yet."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
    missing = [
        model._meta.label  # noqa: SLF001
        for model in found
        if model._meta.db_table not in there and not _is_table(alias, model._meta.db_table)  # noqa: SLF001
    ]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise Refused(
            f"the database {alias!r} has no table for {missing[0]}{more}",
            hint="make the tables first: python manage.py migrate",
        )


def _table(model: Any, connection: Any, keys: NaturalKeys, relation: Relation | None, texts: Texts | None) -> Table:
    meta = model._meta  # noqa: SLF001
    there = relation.columns if relation else {}
    known = texts.columns if texts else {}
    exact = relation is not None and known is not None
    saved = known.get(meta.label_lower, {}) if known is not None else {}
    columns = tuple(
        column(
            field,
            keys,
            connection,
            there.get(field.column),
            exact=exact,
            as_text=None if texts is None else field.name in saved,
        )
        for field in meta.local_concrete_fields
        if not getattr(field, "generated", False) and not (exact and _is_generated(there.get(field.column)))
    )
    pk = next((c for c in columns if c.field is meta.pk and not c.natural), None)
    return Table(model, meta.label_lower, meta.db_table, columns, pk, relation, exact)


def _is_generated(there: DatabaseColumn | None) -> bool:
    """Tell whether the database computes a column although the model does not say so."""
    return there is not None and there.generated


def _weight(model: Any) -> tuple[bool, int, str]:
    meta = model._meta  # noqa: SLF001
    return meta.managed, len(meta.local_concrete_fields), meta.label_lower


def _is_known(name: str) -> bool:
    return bool(apps.is_installed(f"django.contrib.{name.partition('.')[0]}"))


def _excluded(names: Iterable[str]) -> tuple[set[str], set[Any]]:
    apps_out: set[str] = set()
    models_out: set[Any] = set()
    for name in names:
        try:
            if "." in name:
                models_out.add(apps.get_model(name))
            else:
                apps_out.add(apps.get_app_config(name).label)
        except (LookupError, ValueError):
            raise UsageError(
                f"--exclude {name}: there is no such app or model", hint="write an app label, or app_label.ModelName"
            ) from None
    return apps_out, models_out


def _is_table(alias: str, name: str) -> bool:
    connection = connections[alias]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            quoted = connection.ops.quote_name(name)
            cursor.execute("SELECT relkind IN ('r', 'p') FROM pg_class WHERE oid = to_regclass(%s)", [quoted])
            return (cursor.fetchone() or (False,))[0] is True
        found = connection.introspection.get_table_list(cursor)
    return any(info.name == name and info.type == "t" for info in found)


def _in_order(found: Iterable[Any]) -> list[Any]:
    """Return the models sorted so that targets stand first; a circle is entered at its first label."""
    ordered: dict[Any, None] = {}
    wanted = sorted(found, key=lambda model: str(model._meta.label_lower))  # noqa: SLF001
    members, entered = set(wanted), set()

    def visit(start: Any) -> None:
        path = [(start, iter(_targets(start)))]
        entered.add(start)
        while path:
            model, targets = path[-1]
            following = next((t for t in targets if t in members and t not in entered), None)
            if following is None:
                ordered[model] = None
                path.pop()
            else:
                entered.add(following)
                path.append((following, iter(_targets(following))))

    for model in wanted:
        if model not in entered:
            visit(model)
    return list(ordered)


def _targets(model: Any) -> list[Any]:
    fields = model._meta.local_concrete_fields  # noqa: SLF001
    return [field.remote_field.model._meta.concrete_model for field in fields if field.is_relation]  # noqa: SLF001
