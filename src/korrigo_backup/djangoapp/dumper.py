"""All rows of a database as a Django fixture, one object a line, and their proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db import connections

from django import get_version
from korrigo_backup.djangoapp import migrations, sequences
from korrigo_backup.djangoapp.naturalkeys import NaturalKeys
from korrigo_backup.djangoapp.outside import left_out, require_accepted
from korrigo_backup.djangoapp.pgcatalog import extensions_of_types
from korrigo_backup.djangoapp.proof import RULE, Digest, batches
from korrigo_backup.djangoapp.snapshot import reading
from korrigo_backup.djangoapp.tables import NEW, data_models, referred_models, tables
from korrigo_backup.domain.manifest import DjangoProof
from korrigo_backup.formats.fixture import CLOSING, OPENING, SEPARATOR, indented

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import IO

    from korrigo_backup.djangoapp.tables import Table
    from korrigo_backup.domain.manifest import TableProof

_BUFFER = 1024 * 1024
"""Bytes collected before they are written."""


def dump(
    alias: str,
    out: IO[bytes],
    *,
    exclude: Iterable[str] = (),
    indent: int | None = None,
    accept: Collection[str] = (),
) -> DjangoProof:
    """Write the fixture of a moment of the database to `out` and return its proof.

    Raises Refused for objects that a backup must not leave out silently and `accept` does not name (outside.py).
    """
    exclude = tuple(exclude)
    models = data_models(alias, exclude)
    with reading(alias, models):
        keys = NaturalKeys(alias)
        found = tables(models, alias, keys, NEW, referred_models(models, exclude))
        missing = left_out(found, alias)
        require_accepted(missing, accept)
        writer = _ArrayWriter(out, indent)
        proofs = {table: _dump_table(table, alias, writer) for table in found}
        writer.close()
        return DjangoProof(
            django_version=get_version(),
            engine=connections[alias].vendor,
            digest=RULE,
            models=tuple(proof for table, proof in proofs.items() if not table.referred_by),
            migrations=migrations.applied(alias),
            sequences=sequences.positions(found, alias),
            text_columns={table.label: columns for table in found if (columns := table.text_columns)},
            referred=tuple(proof for table, proof in proofs.items() if table.referred_by),
            own_sequences=sequences.positions_alone(alias),
            permissions=keys.own_permissions(),
            left_out=missing,
            type_extensions=extensions_of_types(
                (table.relation for table in found if table.relation), connections[alias]
            ),
        )


def _dump_table(table: Table, alias: str, writer: _ArrayWriter) -> TableProof:
    digest = Digest(table.label)
    for batch in batches(table, alias):
        digest.add(batch)
        writer.add(batch)
    return digest.proof


class _ArrayWriter:
    """Writes objects as a JSON array, each on a line of its own, or indented for people."""

    def __init__(self, out: IO[bytes], indent: int | None) -> None:
        self._out = out
        self._indent = indent
        self._parts: list[bytes] = [OPENING]
        self._size = 0
        self._any = False

    def add(self, lines: Sequence[bytes]) -> None:
        """Write some objects."""
        if self._indent is not None:
            lines = [indented(line, self._indent) for line in lines]
        if self._any:
            self._parts.append(SEPARATOR)
        self._parts.append(SEPARATOR.join(lines))
        self._any = True
        self._size += len(self._parts[-1])
        if self._size > _BUFFER:
            self._flush()

    def close(self) -> None:
        """Write the end of the array."""
        self._parts.append(CLOSING if self._any else CLOSING.lstrip())
        self._flush()

    def _flush(self) -> None:
        self._out.write(b"".join(self._parts))
        self._parts.clear()
        self._size = 0
