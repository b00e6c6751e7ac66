"""Rows of a Django backup, read from its fixture object by object, in constant memory; no code of the site runs.

An object becomes a row: its fields are named as the columns of its table, its values are texts as COPY writes them. A
value that is no number and no text in JSON stays as its JSON.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact import fixture
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.errors import ProofFailed
from korrigo_backup.rescue.saved.rows import NULL, SavedRow, cell_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from korrigo_backup.artifact.manifest import ModelColumns

_NULL = b"null"
_BOOLEAN = {b"true": b"t", b"false": b"f"}

_MOMENT = re.compile(rb"(\d{4,6}-\d\d-\d\d)T(\d\d:\d\d:\d\d(?:\.\d+)?)(?:\+00:00|Z)")
"""A time as JSON has it, which COPY writes otherwise."""


class _Object(msgspec.Struct):
    model: str
    fields: dict[str, msgspec.Raw]
    pk: msgspec.Raw = msgspec.Raw(_NULL)
    json_null: tuple[str, ...] = ()
    text: dict[str, str | None] = {}


class SavedObjects:
    """The objects of a fixture, as rows of the tables of `models`, which gives them by the label of the model."""

    def __init__(self, source: str, models: Mapping[str, ModelColumns]) -> None:
        self._source = source
        self._labels = {normal_name(one.table): (label, one) for label, one in models.items()}

    def rows(self, chunks: Iterable[bytes], tables: Collection[str]) -> Iterator[tuple[str, SavedRow]]:
        """Yield the rows of some tables, each with its table; raises ProofFailed for a fixture that is damaged."""
        wanted = {label: (table, one) for table in tables if table in self._labels
                  for label, one in (self._labels[table],)}  # fmt: skip
        begins = tuple(f'{{"model":"{label}",'.encode() for label in wanted)
        for number, raw in fixture.objects(chunks, self._source):
            if raw.startswith(_OURS) and not raw.startswith(begins):
                continue
            try:
                found = _DECODER.decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
                raise ProofFailed(
                    f"{self._source}: object at {number}: {problem}",
                    hint="use another backup: korrigo-backup list shows them",
                ) from None
            if there := wanted.get(found.model.lower()):
                yield there[0], _row(found, there[1])


_OURS = b'{"model":"'
_DECODER = msgspec.json.Decoder(_Object)


def _row(found: _Object, model: ModelColumns) -> SavedRow:
    values = {model.key: bytes(found.pk)} if model.key and bytes(found.pk) != _NULL else {}
    values |= {name: bytes(raw) for name, raw in found.fields.items()}
    cells = {
        model.columns.get(name, name): _NULL_TEXT if raw == _NULL and name in found.json_null else _cell(raw)
        for name, raw in values.items()
    }
    for name, text in found.text.items():
        cells[model.columns.get(name, name)] = NULL if text is None else cell_of(text)
    return SavedRow(tuple(cells), tuple(cells.values()), "UTF8")


_NULL_TEXT = b"null"


def _cell(raw: bytes) -> bytes:
    if raw == _NULL:
        return NULL
    if raw.startswith(b'"'):
        return cell_of(msgspec.json.decode(raw, type=str))
    return _BOOLEAN.get(raw) or cell_of(raw.decode())


def as_copied(row: SavedRow) -> dict[str, bytes]:
    """Return the cells of a row by column, times as COPY writes them in UTC: as the erasure ledger has them."""
    return {name: _copied(cell) for name, cell in zip(row.columns, row.cells, strict=True)}


def _copied(cell: bytes) -> bytes:
    found = _MOMENT.fullmatch(cell)
    return found[1] + b" " + found[2] + b"+00" if found else cell
