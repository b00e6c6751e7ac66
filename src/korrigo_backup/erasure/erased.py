"""The rows that entries of the ledger name, asked row by row."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from korrigo_backup.erasure.entry import Subject, row_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from korrigo_backup.artifact.signature import Key
    from korrigo_backup.erasure.entry import Entry


@dataclass(frozen=True)
class ErasedKeys:
    """The erased rows: for each table, by the columns of the key, the hashes by the id of their signing key."""

    keys: Mapping[str, Key]
    tables: Mapping[str, Mapping[tuple[str, ...], Mapping[str, set[str]]]] = field(default_factory=dict)

    def holds(self, table: str, row: Mapping[str, bytes]) -> bool:
        """Return whether a row was erased on request.

        `table` is qualified as a dump has it; `row` gives the cells of some columns, the key among them, as COPY writes
        them in UTF-8 under the settings of a proof.
        """
        return any(
            row_hash(self.keys[name], table, [(column, row[column]) for column in columns]) in found
            for columns, hashes in self.tables.get(table, {}).items()
            if all(column in row for column in columns)
            for name, found in hashes.items()
        )


def erased_keys(entries: Iterable[Entry], keys: Mapping[str, Key]) -> ErasedKeys:
    """Return the erased rows of entries; `keys` are the signing keys by id."""
    tables: dict[str, dict[tuple[str, ...], dict[str, set[str]]]] = {}
    for one in entries:
        if one.subject is Subject.ROW:
            tables.setdefault(one.table, {}).setdefault(one.columns, {}).setdefault(one.key, set()).add(one.hash)
    return ErasedKeys(keys, tables)
