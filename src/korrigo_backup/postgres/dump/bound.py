"""Extensions that can stand in one database of a server alone: a staged database is loaded without them.

pg_cron refuses to be made in any database but the one that `cron.database_name` names, which is the live one. The
statements of such an extension are taken out of the load, and executed in the live database after the swap.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.core.sqlname import plain_name
from korrigo_backup.postgres.dump.extension_rows import diverted
from korrigo_backup.postgres.dump.rows import tables
from korrigo_backup.postgres.dump.scan import Sort

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from korrigo_backup.artifact.manifest import DatabaseProof
    from korrigo_backup.postgres.dump.guard import Edit
    from korrigo_backup.postgres.dump.scan import ScanResult


@dataclass(frozen=True)
class Bound:
    """An extension, the server's setting that names its database, and the schema of its tables."""

    extension: str
    setting: str
    schema: str
    grants: Sort

    def owns(self, name: str) -> bool:
        """Return whether a table or sequence of that name belongs to the extension."""
        return name.startswith(f"{self.schema}.")

    def concerns(self, name: str) -> bool:
        """Return whether an object of the fingerprint is of its schema; owners and grants begin with the object."""
        return self.owns(name) or f" {self.schema}." in name or name.startswith(f"schema {self.schema} ")


CRON = Bound("pg_cron", "cron.database_name", "cron", Sort.OF_CRON)
KNOWN = (CRON,)


_NAMED = re.compile(rb'(?:CREATE|COMMENT\s+ON)\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?("(?:[^"]|"")+"|[^\s;"]+)')
"""The name is only the word behind EXTENSION: the author of a dump may have written another name anywhere else."""


def bound_in(saved: DatabaseProof, scan: ScanResult | None = None) -> tuple[Bound, ...]:
    """Return the extensions of that kind that a backup holds, by its manifest or by the dump itself."""
    names = {plain_name(one.name) for one in saved.schema if one.kind == "extension"}
    return tuple(one for one in KNOWN if one.extension in names or (scan and any(_creation(scan, one))))


def without_bound(saved: DatabaseProof, bound: Bound) -> DatabaseProof:
    """Return the expected proof of a staged database that was loaded without the extension."""
    its = {("extension", bound.extension), ("comment", f"extension {bound.extension}"), ("schema", bound.schema)}
    return replace(
        saved,
        tables=tuple(one for one in saved.tables if not bound.owns(one.name)),
        sequences=tuple(one for one in saved.sequences if not bound.owns(one.name)),
        schema=tuple(one for one in saved.schema if not (bound.concerns(one.name) or (one.kind, one.name) in its)),
    )


def taken_out(scan: ScanResult, bound: Bound) -> Iterator[Edit]:
    """Yield the edits that take the extension out of a dump."""
    for offset, text in (*_creation(scan, bound), *_afterwards(scan, bound)):
        yield offset, text, b""
    yield from diverted(scan, [name for name in scan.writes if bound.owns(name)])


def script(scan: ScanResult, bound: Bound, pieces: Iterable[bytes], source: str) -> Iterator[bytes]:
    """Yield the SQL that makes the extension with its rows and rights, from the pieces of the decompressed dump."""
    for _, text in _creation(scan, bound):
        yield text + b"\n"
    for one in tables(pieces, source, {name for name in scan.writes if bound.owns(name)}):
        yield b"SET LOCAL client_encoding = '%b';\n" % one.encoding.encode()
        yield scan.writes[one.table][1] + b"\n"
        for line in one.lines:
            yield line + b"\n"
        yield b"\\.\n"
    for name, (_, text) in scan.writes.items():
        if bound.owns(name) and not text.startswith(b"COPY"):
            yield text + b"\n"
    for _, text in _afterwards(scan, bound):
        yield text + b"\n"


def _creation(scan: ScanResult, bound: Bound) -> Iterator[tuple[int, bytes]]:
    return (place for place in scan.places[Sort.EXTENSION] if _speaks_of(place[1], bound))


def _afterwards(scan: ScanResult, bound: Bound) -> Iterator[tuple[int, bytes]]:
    yield from (place for place in scan.places[Sort.EXTENSION_COMMENT] if _speaks_of(place[1], bound))
    yield from scan.places[bound.grants]


def _speaks_of(statement: bytes, bound: Bound) -> bool:
    """Return whether a statement about an extension is about this extension."""
    found = _NAMED.match(statement)
    return found is not None and plain_name(found[1].decode(errors="replace")) == bound.extension
