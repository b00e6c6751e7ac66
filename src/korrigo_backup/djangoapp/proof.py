"""The digest of a model: the sum, modulo 2^128, of a hash of each of its rows' lines.

It does not depend on the order of rows. The line is that of the dump, so the proof after a load covers every byte of a
new dump of the loaded rows, every microsecond and every digit. Numbers of content types and permissions do not count,
their names do. It finds damage and loss, not forgery.
"""

from __future__ import annotations

from hashlib import blake2b
from itertools import islice
from typing import TYPE_CHECKING

from django.db import connections

from korrigo_backup.djangoapp import pglines
from korrigo_backup.djangoapp.rows import RowEncoder
from korrigo_backup.domain.manifest import TableProof

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.djangoapp.tables import Table

RULE = "django-lines/blake2b-128/sum-2"
"""Names the rule above in manifests; a change of the rule is a new name."""

_BYTES = 16
_MODULUS = 1 << (8 * _BYTES)


class Digest:
    """Row count and digest of a model, row by row."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._rows = 0
        self._sum = 0

    def add(self, lines: Iterable[bytes]) -> None:
        """Count the lines of some rows."""
        total, rows, whole = 0, 0, int.from_bytes
        for line in lines:
            total += whole(blake2b(line, digest_size=_BYTES).digest())
            rows += 1
        self._sum += total
        self._rows += rows

    @property
    def proof(self) -> TableProof:
        """The count and the digest so far."""
        return TableProof(self._label, self._rows, f"{self._sum % _MODULUS:032x}")


def batches(table: Table, alias: str) -> Iterator[list[bytes]]:
    """Yield the lines of the rows that a table has now: written by PostgreSQL where it can, else here."""
    connection = connections[alias]
    if select := pglines.statement(table, connection):
        yield from pglines.batches(select, connection)
        return
    lines = map(RowEncoder(table).encode, table.rows(alias))
    while batch := list(islice(lines, table.chunk)):
        yield batch


def prove(tables: Iterable[Table], alias: str) -> tuple[TableProof, ...]:
    """Return the proof of the rows that the database has now, for each table."""
    proofs = []
    for table in tables:
        digest = Digest(table.label)
        for batch in batches(table, alias):
            digest.add(batch)
        proofs.append(digest.proof)
    return tuple(proofs)
