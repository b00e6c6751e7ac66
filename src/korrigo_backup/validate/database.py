"""The parts of a validation that ask the database: content, users, migrations, properties."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.manifest import DatabaseProof, TableProof
from korrigo_backup.artifact.naming import beside
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import listed
from korrigo_backup.core.finding import Finding, Level, error, ok, warning
from korrigo_backup.core.site_description import TableName
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.postgres.databases import Databases
from korrigo_backup.postgres.digest import known_rule, snapshot
from korrigo_backup.postgres.property_differences import property_differences
from korrigo_backup.postgres.relations import relation, relations, standings
from korrigo_backup.postgres.schema import fingerprint
from korrigo_backup.postgres.sequences import SavedSequences, judge_sequences
from korrigo_backup.site.migrations import compare
from korrigo_backup.validate.evaluate import judge_rows, judge_schema, judge_tables, without_erased

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.manifest import DjangoProof
    from korrigo_backup.core.site_description import Description
    from korrigo_backup.postgres.digest import Snapshot, Table
    from korrigo_backup.postgres.relations import Relation
    from korrigo_backup.site.site import Site

    Describe = Callable[[], Description | None]
    """Returns the description by the site's Django, None if it fails."""


def content(
    site: Site,
    artifact: Artifact | None,
    describe: Describe,
    saved: Artifact | None,
    *,
    strict: bool,
    erased: Mapping[str, int] = MappingProxyType({}),
) -> Iterator[Finding]:
    """Yield the findings about tables, rows and sequences, compared with a backup if there is one.

    `erased` are the rows of that backup that its restore has taken out again, by table: they are not missing.

    Sequences are compared with the newest backup, `saved`, although no `artifact` is to be compared. `describe` waits
    for the site's Django, which only a backup by it needs.
    """
    with snapshot(site.postgres) as taken:
        tables = taken.tables()
        expected, problem = _expected(artifact, describe, tables)
        promised = {table.name for table in expected.tables} if expected else set()
        names = [table.name for table in tables if table.condition is None or table.name in promised]
        yield from judge_tables(names, None if expected is None else [table.name for table in expected.tables])
        if problem:
            yield problem
        if expected and artifact:
            now = _proofs(taken, tables, expected)
            views = {table.name for table in tables if table.derived} if erased else set()  # filled again since
            then = [one for one in without_erased(expected.tables, erased) if one.name not in views]
            yield judge_rows(now, then, artifact.name, strict=strict)
            if erased:
                words = f"erased on request, and so not in the site: {counted(sum(erased.values()), 'row')}"
                yield ok("erasure.counted", f"{words} of {artifact.name}")
            yield from judge_schema(fingerprint(taken), expected.schema, artifact.name, strict=strict)
        before, _ = _expected(saved, describe, tables)
        yield from judge_sequences(standings(taken), _saved(saved, before), strict=strict)


def users(site: Site, description: Description | None, saved: Artifact | None) -> Iterator[Finding]:
    """Yield how many users there are, also in the schemas of tenants; none is an error unless none was saved."""
    name = description.users if description else TableName("auth_user")
    if not name.table:
        yield ok("validate.users", "this site has no users")
        return
    found = relations(site.postgres, name.table, name.schema)
    if not found and description is None:
        hint = "if the site has users of its own kind, set [django] manage so that it can be asked"
        yield warning("validate.users", f"there is no table {name.table}", hint)
    elif not found:
        yield error("validate.users", f"the users' table {name.table} is missing", _RESTORE)
    elif count := _count(site, found[:1]):
        yield ok("validate.users", f"Users OK ({count} users)")
    elif count := _count(site, tenants := found[1:_TENANTS]):
        yield ok("validate.users", f"Users OK ({count} users in {len(tenants)} other schemas)")
    elif saved and users_are_as_saved(site, description, saved):
        yield warning("validate.users", f"No users found in {name.table}, as in {saved.name}", _SUPERUSER)
    else:
        yield error("validate.users", f"No users found in {name.table}", _RESTORE)


def users_are_as_saved(site: Site, description: Description | None, saved: Artifact) -> bool:
    """Return whether the users' table has the rows of the newest backup."""
    name = description.users if description else TableName("auth_user")
    found = relation(site.postgres, name.table, name.schema)
    if found is None:
        return False
    with snapshot(site.postgres) as taken:
        tables = [table for table in taken.tables() if table.name == normal_name(found.name)]
        expected, _ = _expected(saved, lambda: description, tables)
        then = {table.name: table for table in expected.tables} if expected else {}
        now = _proofs(taken, tables, expected) if expected else []
    known = bool(now) and now[0].name in then
    return known and judge_rows(now, then.values(), saved.name, strict=True).level is Level.OK


def _count(site: Site, tables: Sequence[Relation]) -> int:
    """Return how many rows there are in all of the tables."""
    each = " UNION ALL ".join(f"SELECT 1 FROM {table.name}" for table in tables)
    return site.postgres.ask(f"SELECT count(*) FROM ({each}) AS rows", int) if tables else 0


def migrations(site: Site, description: Description | None, saved: Artifact | None) -> Iterator[Finding]:
    """Yield whether the applied migrations are those of the code; without Django only how many there are.

    A difference that stood when the newest backup was made, by the same code, is a warning.
    """
    found = relation(site.postgres, "django_migrations")
    if found is None:
        message = "there is no table django_migrations"
        yield (
            error("validate.migrations", message, _MIGRATE)
            if description
            else warning("validate.migrations", message, "right for a site that is not Django's")
        )
        return
    pairs = "SELECT coalesce(json_agg(json_build_array(app, name)), '[]') FROM"
    applied = site.postgres.ask(f"{pairs} {found.name}", list[tuple[str, str]])
    if description is None:
        yield ok("validate.migrations", f"Migrations: {len(applied)} applied (not compared with the code)")
        return
    difference = compare(applied, description.migrations)
    stood = _stood(applied, description, saved)
    level, since = (warning, f" (as in {saved.name})") if saved and stood else (error, "")
    if difference.unapplied:
        number = len(difference.unapplied)
        names = listed(difference.unapplied)
        words = f"{counted(number, 'migration')} of the code {'is' if number == 1 else 'are'} not applied: {names}"
        yield level("validate.migrations", words + since, _MIGRATE)
    if difference.ahead:
        words = f"the database is ahead of the code: {listed(difference.ahead)}"
        yield level("validate.migrations", words + since, "deploy the code that the backup was made with, or newer")
    if difference.gone:
        words = f"{len(difference.gone)} applied migrations are not in the code: {listed(difference.gone)}"
        yield warning("validate.migrations", words, "right after squashing, or when an app was removed")
    if not (difference.unapplied or difference.ahead):
        yield ok("validate.migrations", f"Migrations OK ({len(applied)} applied, none missing)")


def _stood(applied: Sequence[tuple[str, str]], description: Description, saved: Artifact | None) -> bool:
    """Return whether the newest backup has the same applied migrations and was made by the same, known code."""
    manifest = saved.manifest if saved else None
    if manifest is None or not manifest.revision or manifest.revision != description.revision:
        return False
    proof = manifest.database or manifest.django
    return proof is not None and set(proof.migrations) == {f"{app}.{name}" for app, name in applied}


def properties(site: Site, artifact: Artifact | None, *, strict: bool) -> Iterator[Finding]:
    """Yield whether the database carries the saved properties: owner, encoding, locale, settings, grants, limit.

    Without a backup that has them, the newest previous copy is the reference.
    """
    databases, live = Databases(site.postgres), site.postgres.database
    now = databases.properties(live)
    facts = f"owner {now.owner}, {now.encoding_name}, {now.locale}"
    kept = beside(databases.names(), live, "before")
    database = artifact.manifest.database if artifact and artifact.manifest else None
    saved = database.properties if database else None
    if saved is None and not kept:
        yield ok("validate.database", f"Database properties: {facts} (no replaced database is kept to compare with)")
        return
    source = artifact.name if artifact and saved else kept[max(kept)]
    if differing := property_differences(saved or databases.properties(source), now):
        message = f"{live} is not like {source} in: {', '.join(differing)}"
        hint = "right if changed on purpose since; else ALTER DATABASE"
        level = error if strict else warning
        yield level("validate.database", message, hint)
    else:
        yield ok("validate.database", f"Database properties OK ({facts}; as {source})")


def _expected(
    artifact: Artifact | None, describe: Describe, tables: Sequence[Table]
) -> tuple[DatabaseProof | None, Finding | None]:
    """Return the content that a backup promises for the database, or None and, if it should have, why not."""
    if artifact is None or KINDS[artifact.kind].has_files_alone:
        return None, None
    if artifact.problem:
        return None, error("validate.rows", artifact.problem, "use another backup: korrigo-backup list shows them")
    manifest = artifact.manifest
    if manifest and manifest.database:
        return manifest.database, None
    if manifest and manifest.django and (description := describe()):
        return _django_proof(manifest.django, description, tables), None
    why = "its rows are known by model: set [django] manage" if manifest and manifest.django else "it has no manifest"
    return None, warning("validate.rows", f"{artifact.name} cannot be compared: {why}")


def _django_proof(saved: DjangoProof, description: Description, tables: Sequence[Table]) -> DatabaseProof:
    """Return a Method 2 backup's counts by table; its digests are of another kind."""
    by_name = {(table.schema, table.table): table.name for table in tables}
    by_plain = {table.table: table.name for table in tables}
    labelled = [(m.name, m.rows) for m in saved.models if m.name in description.tables]
    known = [(description.tables[label], rows) for label, rows in labelled]
    proofs = tuple(
        TableProof(by_name.get((one.schema or "", one.table)) or by_plain.get(one.table, one.table), rows)
        for one, rows in known
    )
    places = dict(zip((label for label, _ in labelled), proofs, strict=True))
    split = ((one, *one.name.rpartition(".")) for one in saved.sequences)
    sequences = tuple(
        replace(one, name=f"{places[label].name}.{column}") for one, label, _, column in split if label in places
    )
    return DatabaseProof(
        name="",
        server_version="",
        client_version="",
        digest=None,
        tables=proofs,
        sequences=(*sequences, *saved.own_sequences),
    )


def _proofs(taken: Snapshot, tables: Sequence[Table], expected: DatabaseProof) -> list[TableProof]:
    wanted = {table.name for table in expected.tables}
    return [taken.prove(table, rule=known_rule(expected.digest)) for table in tables if table.name in wanted]


def _saved(saved: Artifact | None, proof: DatabaseProof | None) -> SavedSequences | None:
    if saved is None or proof is None:
        return None
    rows = {table.name: table.rows for table in proof.tables}
    return SavedSequences(saved.name, {normal_name(one.name): one for one in proof.sequences}, rows)


_TENANTS = 101
"""Tables of users that are counted at most: the common table, and those of a hundred tenants."""

_RESTORE = "restore the backup again, or go back: korrigo-backup rollback"
_SUPERUSER = "python manage.py createsuperuser"
_MIGRATE = "python manage.py migrate, with the code that is to run"
