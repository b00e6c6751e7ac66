"""Record erasures on request in the ledger, so that no restore brings the rows back. Nothing is deleted here.

A row that is still live is recorded all the same, with a warning: the site's own deletion, with its signals, files and
other systems, is the site's matter, and may come in a moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.signature import Key
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import listed
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.core.paths import on_one_line
from korrigo_backup.erasure.entry import Entry, Link, Subject, row_hash, rules_hash
from korrigo_backup.errors import Unreachable, UsageError
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.rescue.objects import plain_parts
from korrigo_backup.rescue.points import read_points
from korrigo_backup.rescue.site_tables import SiteTables, live_database
from korrigo_backup.restore.erasing import scope_of
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Listener, silent
from korrigo_backup.system.files import explained, private_directory

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from datetime import datetime

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.site_description import DeclaredRelation, Description, TableName
    from korrigo_backup.erasure.ledger import ErasureLedger
    from korrigo_backup.postgres.digest import Snapshot
    from korrigo_backup.rescue.site_tables import NamedRow
    from korrigo_backup.site.site import Site


@dataclass(frozen=True)
class ForgetOptions:
    """The erased objects, as a person writes them; the reason, which names nobody."""

    objects: tuple[str, ...] = ()
    reason: str = ""
    dry_run: bool = False


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that `forget` has recorded, or would record. `live` are the rows that are still in the live database.

    `known` counts the rows that the ledger had already.
    """

    rows: dict[str, int]
    known: int
    live: tuple[str, ...]
    ledger: str
    findings: tuple[Finding, ...] = ()

    @property
    def count(self) -> int:
        """How many rows are new in the ledger."""
        return sum(self.rows.values()) - self.known


def forget(
    site: Site,
    catalog: Catalog,
    ledger: ErasureLedger,
    options: ForgetOptions,
    *,
    now: datetime,
    listen: Listener = silent,
) -> Forgotten:
    """Record rows in the ledger; return their numbers, and which of them are still live.

    Raises UsageError without an object and for a key that is none, NotFound for an unknown table, Unreachable without
    the database, UnreadableLedger.
    """
    if not options.objects:
        raise UsageError("name what was erased", hint="korrigo-backup forget accounts.User:12, or auth_user:12")
    ledger.read()
    with live_database(site) as live:
        if live.taken is None:
            raise Unreachable(live.away, hint="start the database: its server reads the key as the table has it")
        tables = SiteTables(site, read_points(catalog).dumps, live.taken)
        rows = [tables.row(text) for text in options.objects]
        standing = tuple(row.name for row in rows if _is_live(live.taken, tables, row))
        description = tables.description
        names = frozenset(tables.live)
    key = _key(ledger, options)
    made = list(_entries(site, key, rows, options, now))
    if description:
        made = [_rules(site, key, description, names, now), *made]
    known = {one.identity for one in ledger.read()}
    done = Forgotten(
        rows=_by_table(rows),
        known=sum(1 for one in made if one.subject is not Subject.RULES and one.identity in known),
        live=standing,
        ledger=str(ledger.path),
        findings=tuple(_findings(standing, tables.not_asked)),
    )
    if not options.dry_run:
        with explained(f"use the backup directory {catalog.directory}"):
            private_directory(catalog.directory)
        with journal.recorded(catalog.directory, site, Verb.FORGET, _subject(done), listener=listen):
            ledger.append(made)
    return done


def _key(ledger: ErasureLedger, options: ForgetOptions) -> Key:
    """Return the signing key; a dry run makes no key, and any other key gives it the same numbers."""
    if options.dry_run and not ledger.keyring.keys:
        return Key(b"")
    return ledger.keyring.signing()


def _is_live(taken: Snapshot, tables: SiteTables, row: NamedRow) -> bool:
    live = tables.live.get(row.table.table)
    if live is None:
        return False
    kinds = dict(live.key)
    condition = " AND ".join(
        f"{identifier(name)} = {literal(value)}::{kinds[name]}"
        for (name, _), value in zip(live.key, row.values, strict=True)
    )
    schema, table = plain_parts(live.name)
    place = f"{identifier(schema)}.{identifier(table)}"
    return taken.ask(f"SELECT to_json(EXISTS (SELECT FROM ONLY {place} WHERE {condition}))", bool)


def _entries(site: Site, key: Key, rows: Sequence[NamedRow], options: ForgetOptions, now: datetime) -> Iterator[Entry]:
    head = Entry(
        time=now,
        scope=scope_of(site),
        subject=Subject.ROW,
        hash="",
        key=key.id,
        by=journal.user(),
        reason=on_one_line(options.reason),
    )
    for row in dict.fromkeys((one.table.table, tuple(one.key.items())) for one in rows):
        table, cells = row
        columns = tuple(name for name, _ in cells)
        found = row_hash(key, table, cells)
        yield msgspec.structs.replace(head, hash=found, table=table, columns=columns)


def _rules(site: Site, key: Key, description: Description, tables: Collection[str], now: datetime) -> Entry:
    """Return the entry of the rules by which the site's code deletes."""
    links = tuple(link for one in description.relations if (link := _link(one, tables)))
    return Entry(
        time=now,
        scope=scope_of(site),
        subject=Subject.RULES,
        hash=rules_hash(key, links),
        key=key.id,
        links=links,
    )


def _link(one: DeclaredRelation, tables: Collection[str]) -> Link | None:
    table, to = _qualified(one.table, tables), _qualified(one.to, tables)
    if not table or not to:
        return None
    return Link(
        table, one.columns, to, one.to_columns, one.on_delete, one.parent_link, one.type_column, one.content_type
    )


def _qualified(named: TableName, tables: Collection[str]) -> str:
    """Return the live table of a model, "" if there is none: without a schema that in `public`, else the only table."""
    found = [
        name for name in tables if plain_parts(name)[1] == named.table and named.schema in {None, plain_parts(name)[0]}
    ]
    in_public = next((name for name in found if plain_parts(name)[0] == "public"), "")
    return in_public or (found[0] if len(found) == 1 else "")


def _by_table(rows: Sequence[NamedRow]) -> dict[str, int]:
    found: dict[str, set[tuple[tuple[str, bytes], ...]]] = {}
    for row in rows:
        found.setdefault(row.table.table, set()).add(tuple(row.key.items()))
    return {name: len(keys) for name, keys in found.items()}


def _findings(standing: Sequence[str], not_asked: str) -> Iterator[Finding]:
    if standing:
        yield warning(
            "erasure.live",
            f"still live: {listed(standing)}",
            "delete it on the site, then run forget again: an entry is about the backups from before it",
        )
    if not_asked:
        yield warning(
            "erasure.rules",
            f"the site's Django was not asked ({not_asked}): rows that must refer to the erased rows"
            " are erased with them, other references to them are emptied",
            "set [django] manage, then run forget again: the rules of on_delete are then recorded",
        )


def _subject(done: Forgotten) -> str:
    """Return the numbers of recorded rows, for the journal: without keys, which are personal data."""
    return ", ".join(f"{counted(number, 'row')} of {table}" for table, number in done.rows.items())
