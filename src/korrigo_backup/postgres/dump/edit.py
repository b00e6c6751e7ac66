"""A dump loaded into a database: its text edited in known places, a foreign dump rewritten."""

from __future__ import annotations

from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.dump.foreign import as_data
from korrigo_backup.postgres.dump.guard import failures
from korrigo_backup.postgres.dump.load import load_shared
from korrigo_backup.postgres.dump.place import naming, require_permitted
from korrigo_backup.system.progress import reading
from korrigo_backup.system.streams import HashingReader, gunzip

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from korrigo_backup.postgres.client import Postgres
    from korrigo_backup.postgres.dump.guard import Edit, Failure
    from korrigo_backup.postgres.dump.scan import Places, Sort


@dataclass(frozen=True)
class Loaded:
    """The result of a load: the SHA-256 of the file as it was read, and the guarded statements that failed."""

    sha256: str
    failed: tuple[Failure, ...]


def load(
    server: Postgres,
    file: IO[bytes],
    source: str,
    *,
    database: str,
    edits: tuple[Edit, ...] = (),
    foreign: Collection[Sort] | None = None,
    restricted: bool = False,
) -> Loaded:
    r"""Load a dump into an empty database; return the SHA-256 of the file as read now, and the failed statements.

    An SQL error stops it, unless the statement is guarded (`guard.py`): `edits` are made in the dump. A `foreign`
    dump is rewritten (`foreign.py`), without the given sorts of statements. `restricted`: psql knows `\restrict`.
    Raises KorrigoBackupError with the server's words, ProofFailed if the text of an edit is not in the dump.
    """
    file.seek(0)
    reader = HashingReader(file)
    pieces = gunzip(reader, source)
    script = edited(pieces, edits, source)
    if foreign is not None:
        script = as_data(script, source, foreign)
    with reading("loading the dump", file) as work, nullcontext() if foreign is None else naming(file, source, edits):
        failed = load_shared(server, script, source, database=database, restricted=restricted, work=work)
    for _ in reader:  # bytes after the last gzip member count for the checksum, too
        pass
    sha256, without_success = reader.sha256, failures(failed)
    if foreign is not None:
        require_permitted(file, source, edits, without_success)
    return Loaded(sha256, without_success)


def edited(pieces: Iterable[bytes], edits: Iterable[Edit], source: str) -> Iterator[bytes]:
    """Yield the pieces with other texts in some known places, given in any order; a text may lie across pieces."""
    places, offset, rest = deque(sorted(edits, key=lambda one: (one[0], len(one[1])))), 0, b""
    for piece in pieces:
        data, rest = rest + piece, b""
        start = 0
        while places and places[0][0] < offset + len(data):
            place, text, new = places[0]
            at = place - offset
            if at + len(text) > len(data):
                rest = data[at:]
                break
            if data[at : at + len(text)] != text:
                raise ProofFailed(
                    f"{source} changed while it was read", hint="find the program that writes to it, then retry"
                )
            yield data[start:at] + new
            start = at + len(text)
            places.popleft()
        yield data[start : len(data) - len(rest)]
        offset += len(data) - len(rest)


def without(places: Places) -> tuple[Edit, ...]:
    """Return the edits that leave out the texts of some places."""
    return tuple((offset, text, b"") for offset, text in places)
