"""All rows of a fixture into a database, in one transaction, and their proof before it commits."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import takewhile
from typing import IO, TYPE_CHECKING, Any

from django.apps import apps
from django.db import DatabaseError, connections, models, transaction

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.djangoapp.fixture import sequences
from korrigo_backup.djangoapp.fixture.migration_state import applied, compare, in_code
from korrigo_backup.djangoapp.fixture.natural_keys import NaturalKeys
from korrigo_backup.djangoapp.fixture.portable import Meanings
from korrigo_backup.djangoapp.fixture.proof import RULE, prove
from korrigo_backup.djangoapp.fixture.tables import Texts, data_models, referred_models, require_tables, tables
from korrigo_backup.djangoapp.load import emptying
from korrigo_backup.djangoapp.load.column_types import Fit, require_columns, require_extensions
from korrigo_backup.djangoapp.load.constraints import Checks
from korrigo_backup.djangoapp.load.decode import FixtureReader
from korrigo_backup.djangoapp.load.insert import Inserter, first_line
from korrigo_backup.djangoapp.load.suspicious import RowChecks
from korrigo_backup.errors import ProofFailed
from korrigo_backup.verify.django_artifact import expect

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from korrigo_backup.artifact.manifest import DjangoProof, Manifest
    from korrigo_backup.djangoapp.fixture.tables import ModelTable
ROLLED_BACK = "the restore was rolled back: the site is as before"


@dataclass(frozen=True)
class Load:
    """A fixture that was checked against the models and may be loaded."""

    alias: str
    manifest: Manifest
    keys: NaturalKeys
    tables: tuple[ModelTable, ...]
    reader: FixtureReader
    objects: int
    warnings: tuple[str, ...]

    @property
    def is_exact(self) -> bool:
        """Whether the fixture holds PostgreSQL's own text of values that are not plain, and all times in UTC."""
        return any(table.exact for table in self.tables)


def prepare(alias: str, manifest: Manifest, file: IO[bytes], *, trusted: bool) -> Load:
    """Read the whole fixture, check every byte against the manifest and every object against the models.

    With `trusted` the backup is known to be this site's own (`suspicious.py`). No data are changed. Raises ProofFailed,
    or Refused if extensions, tables or columns are missing or do not take the saved values.
    """
    name = manifest.database_backup or ""
    if manifest.django:
        require_extensions(manifest.django, alias)
    keys, found = tables_of(alias, manifest)
    require_columns(found)
    reader = FixtureReader(file, name, found, _not_null(found, alias))
    if manifest.django is None:
        reader.read_names()
    watch = RowChecks(found, trusted=trusted)
    fit = Fit(found, manifest.django, alias)
    reader.check(watch, fit)
    expect(manifest, name, reader.sha256, reader.size)
    if manifest.django and manifest.django.rows != reader.objects:
        raise ProofFailed(
            f"{name} holds {reader.objects} objects, the manifest names {manifest.django.rows}",
            hint="use another backup (korrigo-backup list)",
        )
    return Load(alias, manifest, keys, found, reader, reader.objects, (*watch.warnings(alias), *fit.warnings()))


def tables_of(alias: str, manifest: Manifest) -> tuple[NaturalKeys, tuple[ModelTable, ...]]:
    """Return the names of this database and the tables that a backup holds, as it holds them.

    Raises Refused if a table is missing, ProofFailed for a model that this site does not have.
    """
    models, referred = _models(alias, manifest.django)
    require_tables(models, alias)
    keys = NaturalKeys(alias)
    texts = Texts(manifest.django.text_columns if manifest.django else None)
    return keys, tables(models, alias, keys, texts, referred)


def run(load: Load) -> list[str]:
    """Replace the rows of all tables by those of the fixture and prove them; call inside `snapshot.writing`.

    Returns findings about further changes.
    """
    saved = load.manifest.django
    whole = [table for table in load.tables if not table.referred_by]
    with emptying.silent_triggers(load.tables, load.alias):
        aside = emptying.empty(whole, load.alias)
        load.keys.make_missing()
        load.keys.call(saved.permissions if saved else ())
        meanings = None if _is_provable(load) else Meanings(load.alias)
        checks = Checks(load.tables, load.alias, broken_when_saved=meanings is None and _same_migrations(load))
        with checks.deferred(aside):
            counts = _insert(load, meanings, checks)
            expect(load.manifest, load.manifest.database_backup or "", load.reader.sha256, load.reader.size)
        _prove(load, counts, meanings, checks.refusal)
        positions = (saved.sequences, saved.own_sequences) if saved else ((), ())
        notes = sequences.move_up(load.tables, load.alias, *positions)
    notes += checks.notes + _refresh(load.tables, load.alias)
    _forget_cached_rows()
    return notes


def _models(alias: str, proof: DjangoProof | None) -> tuple[list[Any], list[tuple[Any, Any]]]:
    """Return the models that the backup took, also where it found no row, and those of which it took some rows."""
    if proof is None:
        return data_models(alias), []
    known = data_models(alias, of_extensions=True)
    taken, partly = {model.name for model in proof.models}, {model.name for model in proof.referred}
    found = [model for model in known if _label(model) in taken]
    referred = [one for one in referred_models(found) if _label(one[0]) in partly]
    unknown = (taken | partly) - {_label(model) for model in (*found, *(model for model, _ in referred))}
    if unknown:
        raise ProofFailed(
            f"the backup holds {first_of(sorted(unknown), 5)}, which this site does not have",
            hint="use the revision of the code that made the backup (manage.py showmigrations)",
        )
    return found, referred


def _label(model: Any) -> str:
    return str(model._meta.label_lower)  # noqa: SLF001 - Django's documented name


def _not_null(found: Iterable[ModelTable], alias: str) -> dict[str, frozenset[str]]:
    """Return the columns that the database itself does not let be NULL; the models may differ."""
    connection = connections[alias]
    if connection.vendor == "postgresql":
        return {
            table.name: frozenset(name for name, column in table.relation.columns.items() if column.not_null)
            for table in found
            if table.relation
        }
    with connection.cursor() as cursor:
        return {
            table.name: frozenset(
                info.name
                for info in connection.introspection.get_table_description(cursor, table.name)
                if not info.null_ok
            )
            for table in found
        }


def _insert(load: Load, meanings: Meanings | None, checks: Checks) -> dict[str, int]:
    inserters: dict[str, Inserter] = {}
    for table in load.tables:
        if table.referred_by:
            _delete(load, table)
    current: Inserter | None = None
    label = ""
    for table, row, size in load.reader.rows():
        if meanings:
            meanings.add_decoded(table, row)
        if current is None or table.label != label:
            label = table.label
            current = inserters.setdefault(label, Inserter(table, load.alias, checks.gave_way))
        current.add(row, size)
    for inserter in inserters.values():
        inserter.finish()
    return {label: inserter.count for label, inserter in inserters.items()}


def _delete(load: Load, table: ModelTable) -> None:
    """Delete the rows of a table that the fixture brings; all others stay."""
    pk = table.pk
    head = takewhile(lambda one: one[0].referred_by, load.reader.rows())  # they stand first
    keys = [row[table.columns.index(pk)] for one, row, _ in head if one is table] if pk else []
    models.QuerySet(table.model, using=load.alias).filter(pk__in=keys)._raw_delete(load.alias)  # noqa: SLF001


def _is_provable(load: Load) -> bool:
    """Return whether the manifest's digests can be compared with this database's rows, text for text."""
    proof = load.manifest.django
    return proof is not None and proof.digest == RULE and proof.engine == connections[load.alias].vendor


def _same_migrations(load: Load) -> bool:
    saved = load.manifest.django
    return saved is not None and not compare(saved.migrations, in_code(), applied(load.alias))


def _prove(load: Load, counts: dict[str, int], meanings: Meanings | None, refusal: ProofFailed | None) -> None:
    """Raise ProofFailed if the tables do not hold the saved rows; `refusal` is the error of a broken constraint."""
    if meanings is not None:
        found = Meanings(load.alias)
        found.read_all(load.tables, load.alias)
        differing = meanings.differing(found)
    else:
        differing = _differing(load)
    if differing:
        raise refusal or ProofFailed(
            f"after the load {first_of(differing, 5)} differed from the backup"
            f" ({sum(counts.values())} rows were inserted)",
            hint="look for triggers, rules or column types that change values; the backup itself is intact",
            state=ROLLED_BACK,
        )


def _differing(load: Load) -> list[str]:
    """Return the tables that do not hold the manifest's rows.

    Compared by text; if only the text differs (another version of ours wrote it), the file's own lines must have the
    manifest's digests, and the rows must mean the same as those lines.
    """
    saved = load.manifest.django
    wanted = {proof.name: proof for proof in (*saved.models, *saved.referred)} if saved else {}
    suspects = {proof.name for proof in prove(load.tables, load.alias) if proof != wanted[proof.name]}
    if not suspects:
        return []
    altered = {proof.name for proof in load.reader.digests(suspects) if proof != wanted[proof.name]}
    meanings, found = Meanings(load.alias), Meanings(load.alias)
    for table, row, _ in load.reader.rows():
        if table.label in suspects:
            meanings.add_decoded(table, row)
    found.read_all((table for table in load.tables if table.label in suspects), load.alias)
    return sorted(altered | set(meanings.differing(found)))


def _forget_cached_rows() -> None:
    if apps.is_installed("django.contrib.contenttypes"):
        apps.get_model("contenttypes.contenttype").objects.clear_cache()
    if apps.is_installed("django.contrib.sites"):
        apps.get_model("sites.site").objects.clear_cache()


# Views and materialised views that read the tables, through any number of other views; the longest way counts, so that
# a view comes after those it reads. A view cannot read itself: the way ends.
_OVER = """
WITH RECURSIVE over (oid, depth) AS (
    SELECT unnest(%s::regclass[])::oid, 0
    UNION
    SELECT r.ev_class, o.depth + 1
    FROM over o JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = o.oid
                                AND d.classid = 'pg_rewrite'::regclass
    JOIN pg_rewrite r ON r.oid = d.objid AND r.ev_class <> o.oid
)
SELECT c.oid::regclass::text FROM over o JOIN pg_class c ON c.oid = o.oid
WHERE c.relkind = 'm' AND c.relispopulated GROUP BY c.oid ORDER BY max(o.depth), 1
"""


def _refresh(tables: Sequence[ModelTable], alias: str) -> list[str]:
    """Fill the materialised views over `tables`; return a sentence for each that could not be and stays as it was."""
    messages: list[str] = []
    connection = connections[alias]
    if connection.vendor != "postgresql" or not tables:
        return messages
    with connection.cursor() as cursor:
        cursor.execute(_OVER, [[connection.ops.quote_name(table.name) for table in tables]])
        for (name,) in cursor.fetchall():
            try:
                with transaction.atomic(using=alias):
                    cursor.execute(f"REFRESH MATERIALIZED VIEW {name}")
            except DatabaseError as problem:
                messages.append(
                    f"the materialised view {name} was not refreshed: {first_line(problem)}:"
                    f" REFRESH MATERIALIZED VIEW {name}"
                )
    return messages
