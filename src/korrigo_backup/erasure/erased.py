"""The rows and files that entries of the ledger name, asked one by one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING

from korrigo_backup.erasure.entry import Subject, file_hash, row_hash

_UUID = re.compile(rb"[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}")
_UUID_LENGTHS = frozenset({32, 36})

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.erasure.entry import Entry


@dataclass(frozen=True)
class ErasedKeys:
    """The erased rows: for each table, by the columns of the key, the hashes by the id of their signing key.

    `files` are the hashes of erased files, `files_of_rows` of those that are erased unless a row names them.
    """

    keys: Mapping[str, Key]
    tables: Mapping[str, Mapping[tuple[str, ...], Mapping[str, set[str]]]] = field(default_factory=dict)
    files: Mapping[str, set[str]] = field(default_factory=dict)
    files_of_rows: Mapping[str, set[str]] = field(default_factory=dict)

    def holds_file(self, path: str) -> bool:
        """Return whether a file was erased on request by its own name."""
        return any(file_hash(self.keys[name], path) in found for name, found in self.files.items())

    def holds_file_of_row(self, path: str) -> bool:
        """Return whether an erased row has named a file."""
        return any(file_hash(self.keys[name], path) in found for name, found in self.files_of_rows.items())

    def holds(self, table: str, row: Mapping[str, bytes]) -> bool:
        """Return whether a row was erased on request.

        `table` is qualified as a dump has it; `row` gives the cells of some columns, the key among them, as COPY writes
        them in UTF-8 under the settings of a proof. A UUID is the same with and without its hyphens: its column may
        have been text before.
        """
        return any(
            row_hash(self.keys[name], table, list(zip(columns, cells, strict=True))) in found
            for columns, hashes in self.tables.get(table, {}).items()
            if all(column in row for column in columns)
            for cells in product(*(_written(row[column]) for column in columns))
            for name, found in hashes.items()
        )


def _written(cell: bytes) -> tuple[bytes, ...]:
    """Return the ways in which a value may have been written when its row was erased."""
    if len(cell) not in _UUID_LENGTHS or not _UUID.fullmatch(cell):
        return (cell,)
    plain = cell.replace(b"-", b"")
    hyphened = b"-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))
    return tuple({cell, plain, hyphened})


def journaled_hash(key: Key, path: str) -> str:
    """Return the beginning of the hash of a file, as the journal of a restore keeps it."""
    return file_hash(key, path)[:_JOURNALED]


_JOURNALED = 24
"""Hexadecimal digits."""


@dataclass(frozen=True)
class ErasedPaths:
    """The files that a restore has erased, by their hashes in its line of the journal."""

    keys: Collection[Key] = ()
    hashes: Collection[str] = ()

    def __contains__(self, path: object) -> bool:
        """Return whether a file was erased."""
        if not isinstance(path, str) or not self.hashes:
            return False
        return any(journaled_hash(key, path) in self.hashes for key in self.keys)


def erased_keys(entries: Iterable[Entry], keys: Mapping[str, Key]) -> ErasedKeys:
    """Return the erased rows and files of entries; `keys` are the signing keys by id."""
    tables: dict[str, dict[tuple[str, ...], dict[str, set[str]]]] = {}
    files: dict[str, set[str]] = {}
    of_rows: dict[str, set[str]] = {}
    for one in entries:
        if one.subject is Subject.ROW:
            tables.setdefault(one.table, {}).setdefault(one.columns, {}).setdefault(one.key, set()).add(one.hash)
        elif one.subject is Subject.FILE:
            (of_rows if one.of_row else files).setdefault(one.key, set()).add(one.hash)
    return ErasedKeys(keys, tables, files, of_rows)
