"""The entries of a site's audit tables about a row: those of the live database, and of the newest dump."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.history.audit_tables import CONTENT_TYPES, AuditEntry, audit_tables, entry, together
from korrigo_backup.rescue.objects import plain_parts
from korrigo_backup.rescue.saved.rows import cell_text, every_row, find_rows, open_saved_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.postgres.dump.rows import TableText
    from korrigo_backup.rescue.history.audit_tables import AuditTable
    from korrigo_backup.rescue.saved.rows import SavedRow
    from korrigo_backup.rescue.site_tables import NamedRow, SiteTables
    from korrigo_backup.site.site import Site

MOST = 1000
"""Entries about a row that are read from a table, the newest first."""

_NAMES = ("username", "email", "name")
"""Columns of a table of users that name a user, best first."""

# The table that a column of users refers to, with its key.
_USERS = """
SELECT to_json(coalesce((
  SELECT json_build_array(quote_ident(n.nspname) || '.' || quote_ident(c.relname), k.attname)
  FROM pg_constraint f JOIN pg_class c ON c.oid = f.confrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = f.conkey[1] AND a.attname = {column}
  JOIN pg_attribute k ON k.attrelid = f.confrelid AND k.attnum = f.confkey[1]
  WHERE f.contype = 'f' AND cardinality(f.conkey) = 1 AND f.conrelid = {table}::regclass LIMIT 1), '[]'))
"""


def read_audit(
    site: Site,
    dumps: Sequence[Artifact],
    taken: Snapshot | None,
    tables: SiteTables,
    row: NamedRow,
    configured: str = "",
) -> tuple[AuditEntry, ...]:
    """Return the entries about a row, oldest first; none for a key of several columns, which no such table knows."""
    if len(row.values) != 1:
        return ()
    (key,) = row.key
    live = {name: one.columns for name, one in tables.live.items() if name not in tables.unreadable}
    known = audit_tables(live, row.table.table, key, configured)
    now = [one for table in known for one in _live(taken, table, live, row)] if taken else []
    if not dumps or not (known or taken is None or tables.unreadable):
        return tuple(now)
    return together(now, _saved(site, dumps[-1], row, key, configured))


def _live(taken: Snapshot, table: AuditTable, live: Mapping[str, Sequence[str]], row: NamedRow) -> Iterator[AuditEntry]:
    schema, plain = plain_parts(table.table)
    source = f"{identifier(schema)}.{identifier(plain)}"
    user = _user(taken, table, live, source)
    fields = {table.moment: f"t.{identifier(table.moment)}::text"}
    fields |= {name: f"t.{identifier(name)}::text" for name in (table.action, table.message) if name}
    fields |= {table.user: user} if table.user else {}
    pairs = ", ".join(f"{literal(name)}, {text}" for name, text in fields.items())
    conditions = f"t.{identifier(table.key)}::text = {literal(_key_text(row))}"
    if table.content_type:
        conditions += f" AND t.{identifier(table.content_type)} IN ({_content_types(live, row)})"
    asked = (
        f"SELECT coalesce(json_agg(json_build_object({pairs})), '[]') FROM (SELECT * FROM {source} t WHERE {conditions}"
        f" ORDER BY t.{identifier(table.moment)} DESC LIMIT {MOST}) t"
    )
    for values in taken.ask(asked, list[dict[str, str | None]]):
        if made := entry(table, values):
            yield made


def _content_types(live: Mapping[str, Sequence[str]], row: NamedRow) -> str:
    """Return the query of the content types that a row may have: by its model, else by its table."""
    types = next((name for name in live if plain_parts(name)[1] == CONTENT_TYPES), None)
    if types is None:
        return "NULL"
    schema, plain = plain_parts(types)
    separator, wanted = (".", row.table.label) if row.table.label else ("_", plain_parts(row.table.table)[1])
    return (
        f"SELECT id FROM {identifier(schema)}.{identifier(plain)}"
        f" WHERE app_label || {literal(separator)} || model = {literal(wanted)}"
    )


def _user(taken: Snapshot, table: AuditTable, live: Mapping[str, Sequence[str]], source: str) -> str:
    """Return the SQL of a user's name: a column of the table that the column of the audit table refers to."""
    if not table.user:
        return "NULL"
    own = f"t.{identifier(table.user)}"
    found = taken.ask(_USERS.format(column=literal(table.user), table=literal(source)), list[str])
    if not found:
        return f"{own}::text"
    users, key = found
    name = next((name for name in _NAMES if name in live.get(users, ())), None)
    if name is None:
        return f"{own}::text"
    asked = f"SELECT u.{identifier(name)}::text FROM {users} u WHERE u.{identifier(key)} = {own}"
    return f"coalesce(({asked}), {own}::text)"


def _saved(site: Site, dump: Artifact, row: NamedRow, key: str, configured: str) -> list[AuditEntry]:
    """Return the entries in a dump; users are named by their keys. A dump that cannot be read has none."""
    proof = dump.manifest.database if dump.manifest else None
    names = [one.name for one in proof.tables] if proof else []
    candidates = _candidates(names, row, configured)
    if not candidates:
        return []

    def read(text: TableText) -> tuple[AuditTable | None, list[SavedRow]]:
        if plain_parts(text.table)[1] == CONTENT_TYPES:
            return None, [one for one in every_row(text) if _is_type_of(one.values(), row)]
        (table,) = audit_tables({text.table: text.columns}, row.table.table, key, configured) or (None,)
        return table, list(find_rows(text, {table.key: row.key[key]}))[-MOST:] if table else []

    try:
        with open_saved_rows(dump, site.postgres.access) as rows:
            found = rows.read(dict.fromkeys(candidates, read))
    except KorrigoBackupError:
        return []
    types = {one.values().get("id") for table, seen in found.values() if table is None for one in seen}
    entries = (
        entry(table, values)
        for table, seen in found.values()
        if table is not None
        for values in (one.values() for one in seen)
        if not table.content_type or values.get(table.content_type) in types
    )
    return [one for one in entries if one]


def _candidates(names: Sequence[str], row: NamedRow, configured: str) -> list[str]:
    """Return the tables of a dump that may be audit tables, by their names, and that of the content types."""
    assumed = ("object_id", "action_time", "history_date", *row.key)
    audits = [one.table for one in audit_tables(dict.fromkeys(names, assumed), row.table.table, next(iter(row.key)),
                                                configured)]  # fmt: skip
    return [*audits, *(name for name in names if plain_parts(name)[1] == CONTENT_TYPES)] if audits else []


def _is_type_of(values: Mapping[str, str | None], row: NamedRow) -> bool:
    """Return whether a row of django_content_type is that of a row's model, which its table may have to tell."""
    app, model = values.get("app_label") or "", values.get("model") or ""
    if row.table.label:
        return f"{app}.{model}" == row.table.label
    return f"{app}_{model}" == plain_parts(row.table.table)[1]


def _key_text(row: NamedRow) -> str:
    return cell_text(next(iter(row.key.values())), "UTF8") or ""
