"""Record erasures on request in the ledger, so that no restore brings the rows back. Nothing is deleted here.

A row that is still live is recorded all the same, with a warning: the site's own deletion, with its signals, files and
other systems, is the site's matter, and may come in a moment. The files that only it and its dependents name are
recorded with it, so that media that are restored alone lack them, too.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.signature import Key
from korrigo_backup.core.counted import counted, rows_by_table
from korrigo_backup.core.excerpt import listed
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.core.paths import on_one_line, printable
from korrigo_backup.erasure.entry import Entry, Subject, file_hash, row_hash
from korrigo_backup.erasure.marker import mark_ledger
from korrigo_backup.erasure.rows import files_of_rows
from korrigo_backup.errors import (
    Cancelled,
    KorrigoBackupError,
    PartlyDone,
    ProofFailed,
    Unreachable,
    UsageError,
)
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.postgres.site_path import use_role_path
from korrigo_backup.rescue.forget.named_rows import NamedRows, live_again, named_rows, rows_nowhere
from korrigo_backup.rescue.forget.older_names import not_searched
from korrigo_backup.rescue.forget.rules import rules_entry
from korrigo_backup.rescue.forget.way_back import clean_records
from korrigo_backup.rescue.history.files import relative, saved_file
from korrigo_backup.rescue.points import read_points
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Listener, silent
from korrigo_backup.site.erasures import entries_about, path_columns, scope_of
from korrigo_backup.system.files import explained, private_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.erasure.ledger import ErasureLedger
    from korrigo_backup.rescue.site_tables import NamedRow
    from korrigo_backup.site.site import Site


@dataclass(frozen=True)
class ForgetOptions:
    """The erased objects, as a person writes them, paths of files; the reason, which names nobody."""

    objects: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    reason: str = ""
    dry_run: bool = False


class Forgotten(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that `forget` has recorded, or would record. `live` are the rows that are still in the live database.

    `files` counts the files, those of live rows among them; `known` the rows and files that the ledger had already.
    """

    rows: dict[str, int]
    files: int
    known: int
    live: tuple[str, ...]
    ledger: str
    findings: tuple[Finding, ...] = ()
    records: dict[str, int] = {}
    """The rows that were taken out of the records by which operations are undone, by the stamp of the operation."""

    @property
    def count(self) -> int:
        """How many rows and files are new in the ledger."""
        return sum(self.rows.values()) + self.files - self.known


def forget(
    site: Site,
    catalog: Catalog,
    ledger: ErasureLedger,
    options: ForgetOptions,
    *,
    now: datetime,
    confirm: Callable[[tuple[str, ...]], bool],
    listen: Listener = silent,
) -> Forgotten:
    """Record rows and files in the ledger; return their numbers, and which of them are still live.

    `confirm` is asked about rows that neither the site nor a backup has. Raises Cancelled if it says no, UsageError
    without an object or file and for a key that is none, NotFound for an unknown table, Unreachable
    for a row without the database, UnreadableLedger.
    """
    if not options.objects and not options.files:
        raise UsageError("name what was erased", hint="korrigo-backup forget accounts.User:12, or --file scans/12.pdf")
    ledger.read()
    named = named_rows(site, catalog, options.objects)
    nowhere = tuple(dict.fromkeys(row.name for row in rows_nowhere(site, catalog, named)))
    if nowhere and not options.dry_run and not confirm(nowhere):
        raise Cancelled("Nothing was recorded", hint="see the key; to record it all the same, answer yes")
    named = replace(named, nowhere=nowhere)
    return record(site, catalog, ledger, options, named, now=now, listen=listen)


def record(
    site: Site,
    catalog: Catalog,
    ledger: ErasureLedger,
    options: ForgetOptions,
    named: NamedRows,
    *,
    now: datetime,
    of_rows: Sequence[str] = (),
    by: str = "",
    listen: Listener = silent,
) -> Forgotten:
    """Record rows that were found, and files: those of `options`, and `of_rows` those that the rows have named.

    `by` is who asked for it, besides the user of this command.
    """
    key = _key(ledger, options)
    user = f"{journal.user()}, asked by {by}" if by else journal.user()
    head = Entry(
        time=now, scope=scope_of(site), subject=Subject.ROW, hash="", key=key.id, by=user,
        reason=on_one_line(options.reason),
    )  # fmt: skip
    made = list(_entries(head, key, named))
    if named.description:
        made = [rules_entry(head, key, site, named.description, named.tables), *made]
    typed = _typed_files(site, options.files)
    root = str(site.media.root) if site.media else ""
    files = dict.fromkeys(typed, False) | dict.fromkeys((relative(one, root) for one in of_rows), True)
    files |= dict.fromkeys(_files_of(site, ledger, made, key), True)
    made += [
        msgspec.structs.replace(
            head, subject=Subject.FILE, hash=file_hash(key, path), of_row=of_row, live=typed.get(path, bool(named.live))
        )
        for path, of_row in files.items()
    ]
    known = {one.identity for one in ledger.read()}
    standing = (*named.live, *(printable(path) for path, is_live in typed.items() if is_live))
    done = Forgotten(
        rows=_by_table(named.rows),
        files=len(files),
        known=sum(1 for one in made if one.subject is not Subject.RULES and one.identity in known),
        live=standing,
        ledger=str(ledger.path),
        findings=(
            *_findings(standing, replace(named, nowhere=(*named.nowhere, *_files_nowhere(site, catalog, typed)))),
            *not_searched(catalog, made, named.tables),
        ),
    )
    if not options.dry_run:
        with explained(f"use the backup directory {catalog.directory}"):
            private_directory(catalog.directory)
        mark_ledger(catalog.directory, ledger, about_to_begin=True)
        with journal.recorded(catalog.directory, site, Verb.FORGET, _subject(done), listener=listen):
            ledger.append(made)
    with nullcontext() if options.dry_run else _recorded():
        held, more = clean_records(site, catalog, made, {**ledger.keyring.by_id, key.id: key}, dry_run=options.dry_run)
    done = msgspec.structs.replace(done, records=held, findings=(*done.findings, *more))
    if not options.dry_run and (back := _back_meanwhile(site, named)):
        again = replace(named, live=(*named.live, *back))
        later = record(site, catalog, ledger, options, again, now=datetime.now(UTC), of_rows=of_rows, by=by)
        return msgspec.structs.replace(done, live=later.live, findings=later.findings)
    return done


@contextmanager
def _recorded() -> Iterator[None]:
    """Raise PartlyDone for an error after the entry: the records of operations were not all cleaned."""
    try:
        yield
    except KorrigoBackupError as problem:
        raise PartlyDone(
            "recorded in the ledger; but the records by which operations are undone may still hold it:"
            f" {problem.message}",
            hint=problem.hint or "remove the cause, then run the same forget again",
            state="every restore erases it again; the rows in these records were not all taken out",
            id_="erasure.records",
        ) from None


def _back_meanwhile(site: Site, named: NamedRows) -> tuple[str, ...]:
    """Return the rows that became live while they were recorded; without an answer all that were not live before."""
    gone = [row for row in named.rows if row.name not in named.live]
    try:
        return live_again(site, gone) if gone else ()
    except Unreachable:
        return tuple(row.name for row in gone)


def _typed_files(site: Site, files: Sequence[str]) -> dict[str, bool]:
    """Return the paths below the media root, and for each whether it is live, as far as this machine sees it."""
    root = str(site.media.root) if site.media else ""
    paths = dict.fromkeys(relative(text, root) for text in files)
    here = site.media.root if isinstance(site.media, MediaTree) else None
    if folder := next((path for path in paths if here and (here / path).is_dir()), None):
        raise UsageError(f"{printable(folder)} is a directory", hint="name each of its files with --file")
    return {path: here is not None and os.path.lexists(here / path) for path in paths}


def _files_nowhere(site: Site, catalog: Catalog, typed: Mapping[str, bool]) -> Iterator[str]:
    """Yield the files that neither the site nor one of its media backups has; none where that is not known."""
    left = [path for path, is_live in typed.items() if not is_live] if isinstance(site.media, MediaTree) else []
    media = read_points(catalog).media if left else ()
    for path in left:
        with suppress(ProofFailed, FileNotFoundError):
            if not any(saved_file(one, path) for one in media):
                yield printable(path)


def _files_of(site: Site, ledger: ErasureLedger, made: Sequence[Entry], key: Key) -> frozenset[str]:
    """Return the files that only live rows name which the new entries would erase."""
    if not any(one.live for one in made):
        return frozenset()
    rules = [one for one in entries_about(site, None) if one.subject is Subject.RULES]
    entries = [*rules, *made]
    with site.postgres.session() as session:
        session.run("BEGIN")
        session.adapt()
        use_role_path(session)
        try:
            return files_of_rows(session, entries, {**ledger.keyring.by_id, key.id: key}, path_columns(site, entries))
        finally:
            session.run("ROLLBACK")


def _key(ledger: ErasureLedger, options: ForgetOptions) -> Key:
    """Return the signing key; a dry run makes no key, and any other key gives it the same numbers."""
    if options.dry_run and not ledger.keyring.keys:
        return Key(b"")
    return ledger.keyring.signing()


def _entries(head: Entry, key: Key, named: NamedRows) -> Iterator[Entry]:
    found = {(row.table.table, tuple(row.key.items())): row.name in named.live for row in named.rows}
    for (table, cells), is_live in found.items():
        columns = tuple(name for name, _ in cells)
        hashed = row_hash(key, table, cells)
        yield msgspec.structs.replace(head, hash=hashed, table=table, columns=columns, live=is_live)


def _by_table(rows: Sequence[NamedRow]) -> dict[str, int]:
    found: dict[str, set[tuple[tuple[str, bytes], ...]]] = {}
    for row in rows:
        found.setdefault(row.table.table, set()).add(tuple(row.key.items()))
    return {name: len(keys) for name, keys in found.items()}


def _findings(standing: Sequence[str], named: NamedRows) -> Iterator[Finding]:
    if named.nowhere:
        yield warning(
            "erasure.nowhere",
            f"neither the site nor a backup has {listed(named.nowhere)}",
            "see the key; a wrong entry goes with korrigo-backup forget --remove HASH",
        )
    if standing:
        yield warning(
            "erasure.live",
            f"still live: {listed(standing)}",
            "delete it on the site, then run forget again: an entry is about the backups from before it",
        )
    if named.not_asked:
        yield warning(
            "erasure.rules",
            f"the site's Django was not asked ({named.not_asked}): rows that must refer to the erased rows"
            " are erased with them, other references to them are emptied",
            "set [django] manage, then run forget again: the rules of on_delete are then recorded",
        )


def _subject(done: Forgotten) -> str:
    """Return the numbers of recorded rows and files, for the journal: without keys, which are personal data."""
    return ", ".join([*rows_by_table(done.rows), *([counted(done.files, "file")] if done.files else [])])
