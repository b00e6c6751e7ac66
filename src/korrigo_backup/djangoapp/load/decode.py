"""A fixture read object by object and checked against the models; twice: to know that it is right, and to load it."""

from __future__ import annotations

from typing import IO, TYPE_CHECKING

from korrigo_backup.artifact.fixture import is_ours, objects
from korrigo_backup.djangoapp.fixture.named import NaturalKeyIndex, has_names
from korrigo_backup.djangoapp.fixture.proof import Digest
from korrigo_backup.djangoapp.fixture.rows import RowDecoder
from korrigo_backup.errors import ProofFailed
from korrigo_backup.system.progress import reading
from korrigo_backup.system.streams import HashingReader
from korrigo_backup.verify.django_artifact import decode_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from korrigo_backup.artifact.manifest import TableProof
    from korrigo_backup.djangoapp.fixture.rows import LinkRows
    from korrigo_backup.djangoapp.fixture.tables import ModelTable, Row
    from korrigo_backup.djangoapp.load.column_types import Fit
    from korrigo_backup.djangoapp.load.suspicious import RowChecks


class FixtureReader:
    """A fixture file and the tables that its objects may belong to.

    It may be read several times; `objects`, `sha256` and `size` are those of the last complete run.
    """

    def __init__(
        self, file: IO[bytes], source: str, tables: Iterable[ModelTable], not_null: Mapping[str, frozenset[str]]
    ) -> None:
        self._file = file
        self._source = source
        self._is_ours = is_ours(file)
        self._decoders = {table.label: RowDecoder(table, not_null.get(table.name, frozenset())) for table in tables}
        self.objects = 0
        self.sha256 = ""
        self.size = 0

    def read_names(self) -> None:
        """Read the names of all objects with a name; for files of other programs, which may use them."""
        named = NaturalKeyIndex()
        decoders = {label: one for label, one in self._decoders.items() if has_names(one.table.model)}
        self._file.seek(0)
        for number, raw in objects(HashingReader(self._file), self._source):
            label = decode_header(raw, f"{self._source}: object at {number}").model.lower()
            if label in decoders:
                decoders[label].scan(raw, named)
        named.settle()
        for decoder in self._decoders.values():
            decoder.use(named)

    def check(self, *watches: RowChecks | Fit) -> None:
        """Decode and check every object and show it to `watches`. Raises ProofFailed at the first that is wrong."""
        with reading("reading the rows of the backup", self._file):
            for decoder, row, where, _ in self._read():
                decoder.check(row, where)
                for watch in watches:
                    if decoder.table.label in watch.labels:
                        watch.see(decoder.table.label, row, where)

    def rows(self) -> Iterator[tuple[ModelTable, Row, int]]:
        """Yield table, row and the size of its text in bytes, in the order of the file."""
        with reading("loading the rows", self._file):
            for decoder, row, _, size in self._read():
                yield decoder.table, row, size

    def digests(self, labels: Iterable[str]) -> list[TableProof]:
        """Return rows and digest of the file's own lines, for the tables asked for."""
        found = {label: Digest(label) for label in labels}
        self._file.seek(0)
        for _, raw in objects(HashingReader(self._file), self._source):
            digest = found.get(decode_header(raw, self._source).model)
            if digest:
                digest.add((raw,))
        return [digest.proof for digest in found.values()]

    def _read(self) -> Iterator[tuple[RowDecoder, Row, str, int]]:
        self._file.seek(0)
        reader = HashingReader(self._file)
        numbers = dict.fromkeys(self._decoders, 0)
        decoder, count = None, 0
        for number, raw in objects(reader, self._source):
            where = f"{self._source} {'line' if self._is_ours else 'object'} {number}"
            if decoder is None or not raw.startswith(decoder.prefix):
                decoder = self._decoder(raw, where)
            row, links = decoder.decode(raw, where)
            count += 1
            yield decoder, row, where, len(raw)
            for link, targets in links.items():
                yield from self._links(link, targets, decoder.own_key(row), where, numbers)
        self.objects, self.sha256, self.size = count, reader.sha256, reader.size

    def _links(
        self, link: LinkRows, targets: object, source: object, where: str, numbers: dict[str, int]
    ) -> Iterator[tuple[RowDecoder, Row, str, int]]:
        through = self._decoders.get(link.label)
        if through is None or not isinstance(targets, list):
            raise _stranger(where, f"a list of links into {link.label}")
        for target in targets:
            numbers[link.label] += 1
            yield through, through.link_row(link, numbers[link.label], source, target, where), where, 0

    def _decoder(self, raw: bytes, where: str) -> RowDecoder:
        label = decode_header(raw, where).model.lower()
        if (decoder := self._decoders.get(label)) is None:
            raise _stranger(where, f"an object of {label}")
        return decoder


def _stranger(where: str, what: str) -> ProofFailed:
    return ProofFailed(
        f"{where}: {what}, which this site does not have or a restore never writes",
        hint="use the revision of the code that made the backup (manage.py showmigrations), or another backup",
    )
