"""The digest of a model: the sum, modulo 2^128, of a hash of each of its rows' lines.

It does not depend on the order of rows. The line is that of the dump, so what is proven after a load is what a
new dump of the loaded rows would hold, every microsecond and every digit. Numbers of content types and
permissions do not count, their names do. It finds damage and loss, not forgery.
"""

from __future__ import annotations

from hashlib import blake2b
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
    """Row count and digest of one model, row by row."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._rows = 0
        self._sum = 0

    def add(self, line: bytes) -> None:
        """Count one row's line."""
        self._rows += 1
        self._sum += int.from_bytes(blake2b(line, digest_size=_BYTES).digest())

    @property
    def proof(self) -> TableProof:
        """What was counted so far."""
        return TableProof(self._label, self._rows, f"{self._sum % _MODULUS:032x}")


def lines(table: Table, alias: str) -> Iterator[bytes]:
    """Yield the line of each row that a table has now: written by PostgreSQL where it can, else here."""
    connection = connections[alias]
    if select := pglines.statement(table, connection):
        yield from pglines.lines(select, connection)
    else:
        encode = RowEncoder(table).encode
        for row in table.rows(alias):
            yield encode(row)


def prove(tables: Iterable[Table], alias: str) -> tuple[TableProof, ...]:
    """Return the proof of the rows that the database has now, for each table."""
    proofs = []
    for table in tables:
        digest = Digest(table.label)
        for line in lines(table, alias):
            digest.add(line)
        proofs.append(digest.proof)
    return tuple(proofs)
