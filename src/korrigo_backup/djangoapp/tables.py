"""Which models are data, in an order in which each stands after those it refers to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connections, models, router
from django.db.migrations.loader import MigrationLoader

from korrigo_backup.djangoapp.fields import Column, column
from korrigo_backup.djangoapp.pgcatalog import Relation, relations
from korrigo_backup.errors import Refused, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from korrigo_backup.djangoapp.naturalkeys import NaturalKeys
    from korrigo_backup.djangoapp.pgcatalog import DatabaseColumn

EXCLUDED = ("contenttypes", "auth.Permission", "sessions")
"""Models that the runbook's command leaves out: made by `migrate`, or of no use in another database."""

_HEAVY = (models.BinaryField, models.TextField, models.JSONField)
FEW, MANY = 200, 2000
"""Rows read at once from a table that may have large values, and from any other."""

Row = tuple[Any, ...]
"""Decoded values in the order of a table's columns."""


@dataclass(frozen=True)
class Texts:
    """The columns that a backup holds as text, by label and name.

    `columns` is None for a backup of a former version, which holds none as text; with `is_new` they are still to be
    found, for a new backup.
    """

    columns: Mapping[str, Mapping[str, str]] | None = None
    is_new: bool = False


NEW = Texts(is_new=True)
FORMER = Texts()


@dataclass(frozen=True, eq=False)
class Table:
    """The table of a model: `label` as in fixtures (`exams.copy`), `name` in the database, its own columns.

    `pk` is the column whose value stands next to the fields in a fixture: None if the key is composite, or refers to a
    content type or permission and therefore is written as a field, by name. `relation` is the table as PostgreSQL has
    it. `exact`: see fields.column. With `referred_by` (models and their fields) only the rows count that those refer
    to.
    """

    model: Any
    label: str
    name: str
    columns: tuple[Column, ...]
    pk: Column | None
    relation: Relation | None = None
    exact: bool = False
    referred_by: tuple[tuple[Any, Any], ...] = ()

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
        if self.referred_by:
            query = query.filter(self._is_referred())
        return query.values_list(*(column.select for column in self.columns)).iterator(chunk_size=self.chunk)

    def _is_referred(self) -> models.Q:
        found = models.Q()
        for model, field in self.referred_by:
            keys = models.QuerySet(model).order_by().filter(**{f"{field.attname}__isnull": False})
            found |= models.Q(**{f"{field.target_field.attname}__in": keys.values(field.attname)})
        return found


def referred_models(found: Iterable[Any], exclude: Iterable[str] = ()) -> list[tuple[Any, tuple[tuple[Any, Any], ...]]]:
    """Return models whose rows are left out by default but for those that the models `found` refer to: sessions.

    Each comes with the models and fields that refer to it. A model that the caller excludes by name is left out whole.
    """
    if not apps.is_installed("django.contrib.sessions") or "sessions" in {name.partition(".")[0] for name in exclude}:
        return []
    session = apps.get_model("sessions.session")
    referring = tuple(
        (model, field)
        for model in found
        for field in model._meta.local_concrete_fields  # noqa: SLF001 - Django's documented name
        if field.is_relation and field.remote_field.model is session
    )
    return [(session, referring)] if referring else []


def data_models(alias: str, exclude: Iterable[str] = (), *, of_extensions: bool = False) -> list[Any]:
    """Return the models whose rows a backup of `alias` holds.

    Left out are those of `exclude` (labels of apps or models; UsageError for an unknown label), proxies, models of
    other databases, and unmanaged models that are not over a table, or over a partition or the table of an extension
    (spatial_ref_sys; backups of former versions have it: `of_extensions`). Of two models over the same table the
    managed model counts, else the model with more columns.
    """
    apps_out, models_out = _excluded((*(name for name in EXCLUDED if _is_known(name)), *exclude))
    chosen: dict[str, Any] = {}
    for model in apps.get_models(include_auto_created=True):
        meta = model._meta  # noqa: SLF001 - Django's documented name
        if meta.proxy or meta.swapped or meta.app_label in apps_out or model in models_out:
            continue
        if not router.allow_migrate_model(alias, model) or not (meta.managed or _is_data(alias, meta, of_extensions)):
            continue
        rival = chosen.get(meta.db_table)
        if rival is None or _weight(model) > _weight(rival):
            chosen[meta.db_table] = model
    return _in_order(chosen.values())


def tables(
    models_: Iterable[Any],
    alias: str,
    keys: NaturalKeys,
    texts: Texts = FORMER,
    referred: Iterable[tuple[Any, tuple[tuple[Any, Any], ...]]] = (),
) -> tuple[Table, ...]:
    """Return how to read and write the tables of the given models, in a backup that holds `texts`.

    `referred` are models of which only some rows count (referred_models); their tables stand first.
    """
    only, connection = dict(referred), connections[alias]
    wanted = [*only, *models_]
    found = relations((model._meta.db_table for model in wanted), connection)  # noqa: SLF001
    return tuple(
        replace(
            _table(model, connection, keys, found.get(model._meta.db_table), texts),  # noqa: SLF001
            referred_by=only.get(model, ()),
        )
        for model in wanted
    )


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
            hint=_how_to_make_tables(connection),
        )


def _how_to_make_tables(connection: Any) -> str:
    """Return how tables come to be that are not there: `migrate` makes none of a migration that is recorded as done."""
    loader = MigrationLoader(connection)
    if any(leaf not in loader.applied_migrations for leaf in loader.graph.leaf_nodes()):
        return "make the tables first: python manage.py migrate"
    return "migrate makes none, since all migrations are recorded; a backup of the database does: restore latest"


def _table(model: Any, connection: Any, keys: NaturalKeys, relation: Relation | None, texts: Texts) -> Table:
    meta = model._meta  # noqa: SLF001
    there = relation.columns if relation else {}
    exact = relation is not None and (texts.is_new or texts.columns is not None)
    saved = (texts.columns or {}).get(meta.label_lower, {})
    if relation is None:
        _require_portable(meta.label_lower, saved)
    columns = tuple(
        column(
            field,
            keys,
            connection,
            there.get(field.column),
            exact=exact,
            as_text=None if texts.is_new else field.name in saved,
        )
        for field in meta.local_concrete_fields
        if not getattr(field, "generated", False) and not (exact and _is_generated(there.get(field.column)))
    )
    pk = next((c for c in columns if c.field is meta.pk and not c.natural), None)
    return Table(model, meta.label_lower, meta.db_table, columns, pk, relation, exact)


_PORTABLE = ("character", "text", "citext", "smallint", "integer", "bigint")
"""Types whose text every engine reads."""


def _require_portable(label: str, saved: Mapping[str, str]) -> None:
    """Raise Refused for a column whose text only PostgreSQL reads."""
    for name, type_ in saved.items():
        if type_.endswith("[]") or not type_.startswith(_PORTABLE):
            raise Refused(
                f"the backup holds {label}.{name} as PostgreSQL's {type_}, which this database engine does not read",
                hint="restore it into PostgreSQL, or make a backup with --exclude for that model",
            )


def _is_generated(there: DatabaseColumn | None) -> bool:
    """Return whether the database computes a column although the model does not declare it."""
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


def _is_data(alias: str, meta: Any, of_extensions: bool) -> bool:  # noqa: FBT001
    """Return whether an unmanaged model's table holds rows of the site."""
    connection = connections[alias]
    if connection.vendor != "postgresql":
        return _is_table(alias, meta.db_table)
    found = relations([meta.db_table], connection, columns=False).get(meta.db_table)
    if found is None or not found.is_table or found.is_partition:
        return False
    return of_extensions or not found.of_extension


def _is_table(alias: str, name: str) -> bool:
    connection = connections[alias]
    if connection.vendor == "postgresql":
        found = relations([name], connection, columns=False).get(name)
        return found is not None and found.is_table
    with connection.cursor() as cursor:
        listed = connection.introspection.get_table_list(cursor)
    return any(info.name == name and info.type == "t" for info in listed)


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
