"""Read back a new backup, decoded as a restore would decode it, before its success is reported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.artifact.fixture import objects
from korrigo_backup.djangoapp.fixture.rows import RowDecoder
from korrigo_backup.djangoapp.load.load import tables_of
from korrigo_backup.errors import ProofFailed
from korrigo_backup.system.progress import reading
from korrigo_backup.system.streams import HashingReader
from korrigo_backup.verify import django_artifact as artifact

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from korrigo_backup.artifact.manifest import Manifest

_BATCH = 500
"""Lines decoded at once, which is quicker than one by one."""


def count_rows(directory: Path, manifest: Manifest, alias: str) -> int:
    """Decode every object of the fixture against the models, hold the file against the manifest, return their number.

    Raises ProofFailed for a row that no restore could read.
    """
    _, found = tables_of(alias, manifest)
    decoding = _Reading({table.label: RowDecoder(table, frozenset()) for table in found})
    name = manifest.database_backup or ""
    try:
        with artifact.open_member(directory, name) as file, reading("reading the rows of the backup", file):
            reader = HashingReader(file)
            decoding.read(objects(reader, name), name)
            artifact.expect(manifest, name, reader.sha256, reader.size)
    except ProofFailed as problem:
        raise ProofFailed(
            f"a restore could not read this backup, so it was not made: {problem.message}",
            hint="make the backup by method 1: korrigo-backup backup full; and report this row",
        ) from None
    return decoding.rows


class _Reading:
    """Objects collected table by table and decoded in batches."""

    def __init__(self, decoders: dict[str, RowDecoder]) -> None:
        self._decoders = decoders
        self._decoder: RowDecoder | None = None
        self._lines: list[bytes] = []
        self.rows = 0

    def read(self, found: Iterable[tuple[int, bytes]], name: str) -> None:
        """Decode all objects of a fixture."""
        prefix = b"\n"
        for number, raw in found:
            if not raw.startswith(prefix) or len(self._lines) == _BATCH:
                self._finish(name, number)
                prefix = self._choose(raw, f"{name}: object at {number}")
            self._lines.append(raw)
        self._finish(name, self.rows)

    def _choose(self, raw: bytes, where: str) -> bytes:
        if self._decoder is None or not raw.startswith(self._decoder.prefix):
            label = artifact.decode_header(raw, where).model
            self._decoder = self._decoders.get(label)
            if self._decoder is None:
                raise ProofFailed(
                    f"{where}: an object of {label}, which is not a model of the backup", hint="report it"
                )
        return self._decoder.prefix

    def _finish(self, name: str, number: int) -> None:
        if self._decoder and self._lines and not self._decoder.is_readable(self._lines):
            for raw in self._lines:
                where = f"{name} before {number}"
                row, _ = self._decoder.decode(raw, where)
                self._decoder.check(row, where)
        self.rows += len(self._lines)
        self._lines.clear()
