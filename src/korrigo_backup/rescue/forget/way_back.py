"""The records by which operations are undone, in which erased rows still stand: these lines are taken out.

An undo leaves an erased row out anyway, with all that hangs on it; the record holds its key all the same, and the
values that a restore of a table or a revert has replaced. A row that is still live stays in the record: the undo of its
undelete deletes it.
"""

from __future__ import annotations

import os
from collections import Counter
from contextlib import contextmanager, nullcontext
from itertools import islice
from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.excerpt import listed
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.erasure.erased import erased_keys
from korrigo_backup.errors import Locked, Refused, Unreachable, UsageError
from korrigo_backup.postgres.site_path import use_own_path
from korrigo_backup.postgres.sql import identifier, literal
from korrigo_backup.postgres.tables import read_row_tables
from korrigo_backup.recovery.put_files import file_records
from korrigo_backup.recovery.undelete import DONE, PENDING, UNDOING, RecordedRow, record_path, records, write_record
from korrigo_backup.rescue.objects import parse_object
from korrigo_backup.rescue.relations import read_foreign_keys
from korrigo_backup.rescue.saved.rows import cell_of
from korrigo_backup.rescue.staged_rows import SETTINGS
from korrigo_backup.site.erasures import entries_about
from korrigo_backup.system.files import explained, open_plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.erasure.entry import Entry
    from korrigo_backup.erasure.erased import ErasedKeys
    from korrigo_backup.recovery.undelete import RecordedTable, UndeleteHead
    from korrigo_backup.rescue.relations import RowRelation
    from korrigo_backup.site.site import Site

_Row = tuple[int, tuple[str | None, ...]]
"""A row of a record: the number of its table in the head, and its key."""


def clean_records(
    site: Site, catalog: Catalog, made: Sequence[Entry], keys: Mapping[str, Key], *, dry_run: bool
) -> tuple[dict[str, int], tuple[Finding, ...]]:
    """Take erased rows out of the records of a site; return the numbers of lines by stamp, and findings about others.

    `made` are entries that the ledger may not have yet. A dry run changes nothing. Without the lock of the backup
    directory no record is touched: a finding says so.
    """
    heads = records(catalog.directory, site.name, DONE)
    of_files = file_records(catalog.directory, site.name, DONE)
    heads += [head for state in (PENDING, UNDOING) for head in records(catalog.directory, site.name, state)]
    if not heads and not of_files:
        return {}, ()
    try:
        with nullcontext() if dry_run else catalog.exclusive("forget"):
            cleaned, found = _clean(site, catalog.directory, made, keys, dry_run=dry_run)
            return cleaned, (*found, *_of_killed_runs(site, catalog.directory, made, keys))
    except (Locked, Unreachable) as problem:
        return {}, (
            warning(
                "erasure.records",
                "the records by which operations are undone may hold what was erased, and were not searched:"
                f" {problem.message}",
                "run forget again afterwards",
            ),
        )


def _clean(
    site: Site, directory: Path, made: Sequence[Entry], keys: Mapping[str, Key], *, dry_run: bool
) -> tuple[dict[str, int], tuple[Finding, ...]]:
    cleaned, live, unknown, hanging, named = dict[str, int](), list[str](), list[str](), list[str](), list[str]()
    for head in records(directory, site.name, DONE):
        erased = erased_keys([*entries_about(site, None, copied=head.created), *made], keys)
        if any(erased.holds_file(one.path) or erased.holds_file_of_row(one.path) for one in head.files):
            named.append(head.stamp)
        path = record_path(directory, head.stamp, DONE)
        with _reading(path):
            found, hang = _held(site, path, head, erased)
            stay, is_unknown = _live(site, head, [row for row, removed in found.items() if not removed])
        gone = found.keys() - stay
        if is_unknown:
            unknown.append(head.stamp)
        elif stay:
            live.append(head.stamp)
        if hang:
            hanging.append(head.stamp)
        if gone:
            cleaned[head.stamp] = len(gone)
        if gone and not dry_run:
            asked = tuple(_without(text, {key for _, key in gone}) for text in head.asked)
            taken = Counter(head.erased) + Counter(_name(head.tables[number]) for number, _ in gone)
            rest = msgspec.structs.replace(head, asked=asked, erased=dict(taken))
            write_record(directory, rest, _other_lines(path, gone), state=DONE)
    for one in file_records(directory, site.name, DONE):
        erased = erased_keys([*entries_about(site, None, copied=one.created), *made], keys)
        if any(erased.holds_file(file.path) or erased.holds_file_of_row(file.path) for file in one.files):
            named.append(one.stamp)
    return cleaned, tuple(_findings(live, unknown, hanging, named))


def _of_killed_runs(site: Site, directory: Path, made: Sequence[Entry], keys: Mapping[str, Key]) -> Iterator[Finding]:
    """Yield the finding about records of killed runs that hold erased rows: the end of these runs needs them whole."""
    left = list[str]()
    for state in (PENDING, UNDOING):
        for head in records(directory, site.name, state):
            erased = erased_keys([*entries_about(site, None, copied=head.created), *made], keys)
            path = record_path(directory, head.stamp, state)
            with _reading(path):
                found, hang = _held(site, path, head, erased)
            if (
                found
                or hang
                or any(erased.holds_file(one.path) or erased.holds_file_of_row(one.path) for one in head.files)
            ):
                left.append(head.stamp)
    if left:
        yield warning(
            "erasure.records",
            f"the records of {listed(left)}, which a killed run has left in its middle, hold what was erased",
            "korrigo-backup doctor --fix finishes that run; then run forget again",
        )


def _findings(
    live: Sequence[str], unknown: Sequence[str], hanging: Sequence[str], named: Sequence[str]
) -> Iterator[Finding]:
    if live:
        yield warning(
            "erasure.records",
            f"the records by which {listed(live)} can be undone hold erased rows still: these are live",
            "delete them on the site and run forget again; or undo it: korrigo-backup rollback --undo"
            f" {quote(live[0])}",
        )
    if unknown:
        yield warning(
            "erasure.records",
            f"the records by which {listed(unknown)} can be undone hold erased rows still: their tables, or columns of"
            " their keys, have other names now, so nobody can tell whether these rows are live",
            "they go after 20 later operations; or give the tables their former names, and run forget again",
        )
    if hanging:
        yield warning(
            "erasure.records",
            f"the records by which {listed(hanging)} can be undone hold removed rows still that refer to erased rows",
            "the undo leaves them out; they go after 20 later operations, or with the undo:"
            f" korrigo-backup rollback --undo {quote(hanging[0])}",
        )
    if named:
        yield warning(
            "erasure.records",
            f"the records by which {listed(named)} can be undone name erased files still",
            "they go after 20 later operations of their kind, or with the undo:"
            f" korrigo-backup rollback --undo {quote(named[0])}",
        )


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Raise Refused for a record that cannot be read whole."""
    try:
        with explained(f"read {path}"):
            yield
    except (ValueError, IndexError):
        raise Refused(
            f"the record {path} is damaged",
            hint="move it away, its operation can then not be undone; then run the same forget again",
        ) from None


def _rows(path: Path) -> Iterator[tuple[bytes, RecordedRow]]:
    with open_plain(path) as file, os.fdopen(file.fileno(), "rb", closefd=False) as lines:
        for line in islice(lines, 1, None):
            yield line, msgspec.json.decode(line, type=RecordedRow)


def _held(site: Site, path: Path, head: UndeleteHead, erased: ErasedKeys) -> tuple[dict[_Row, bool], bool]:
    """Return the erased rows of a record; true for those that the operation has removed.

    `hang` says whether a removed row that stays in the record refers to an erased row: the undo leaves it out, with all
    that hangs on it, and needs it to know these.
    """
    found, hang = dict[_Row, bool](), False
    if not erased.tables:
        return found, hang
    names = [_name(one) for one in head.tables]
    above = _relations(site, set(names), erased)
    for _, row in _rows(path):
        name, key = names[row.table], head.tables[row.table].key
        if erased.holds(name, _cells(zip(key, row.key, strict=True))):
            found[row.table, row.key] = row.removed is not None
        removed = row.removed or {}
        for one in above.get(name, ()) if removed else ():
            values = (removed.get(column) for column in one.columns)
            if erased.holds(one.to, _cells(zip(one.to_columns, values, strict=True))):
                hang = True
    return found, hang


def _relations(site: Site, names: set[str], erased: ErasedKeys) -> dict[str, list[RowRelation]]:
    """Return the foreign keys by which rows of some tables are deleted with an erased row, by table."""
    found: dict[str, list[RowRelation]] = {}
    with site.postgres.session(options=SETTINGS) as session:
        use_own_path(session)
        for one in read_foreign_keys(session):
            if one.table in names and one.to in erased.tables and one.cascades:
                found.setdefault(one.table, []).append(one)
    return found


def _cells(values: Iterable[tuple[str, str | None]]) -> dict[str, bytes]:
    return {column: cell_of(value) for column, value in values if value is not None}


def _live(site: Site, head: UndeleteHead, rows: Sequence[_Row]) -> tuple[set[_Row], bool]:
    """Return those of some rows that stay, and whether any of them is not known to be live.

    It is live, or its table, or a column of its key, is not there under its name now.
    """
    stay, unknown = set[_Row](), False
    by_table = {number: [key for n, key in rows if n == number] for number, _ in rows}
    if not by_table:
        return stay, unknown
    with site.postgres.session(options=SETTINGS) as session:
        use_own_path(session)
        tables = read_row_tables(session)
        for number, keys in by_table.items():
            table, there = head.tables[number], tables.get(_name(head.tables[number]))
            if there is None or not set(table.key) <= set(there.columns):
                stay |= {(number, one) for one in keys}
                unknown = True
                continue
            key = f"ARRAY[{', '.join(f'l.{identifier(name)}::text' for name in table.key)}]::text[]"
            found = session.ask(
                f"SELECT coalesce(json_agg(DISTINCT {key}), '[]') FROM ONLY {there.sql} l"
                f" WHERE {key} IN ({', '.join(_array(one) for one in keys)})",
                list[tuple[str | None, ...]],
            )
            stay |= {(number, one) for one in found}
    return stay, unknown


def _array(key: Sequence[str | None]) -> str:
    return f"ARRAY[{', '.join('NULL' if one is None else literal(one) for one in key)}]::text[]"


def _name(table: RecordedTable) -> str:
    return normal_name(f"{identifier(table.schema)}.{identifier(table.table)}")


def _other_lines(path: Path, gone: set[_Row]) -> Iterator[bytes]:
    for line, row in _rows(path):
        if (row.table, row.key) not in gone:
            yield line.rstrip(b"\n")


def _without(asked: str, keys: set[tuple[str | None, ...]]) -> str:
    """Return the words for asked rows without an erased key, and without a condition, which may hold its values."""
    try:
        typed = parse_object(asked)
    except UsageError:
        return asked.partition(" where ")[0]
    return f"{typed.model}:…" if typed.values in keys else asked
