"""An entry of the ledger: a row or a file that was erased on request, as a keyed hash.

A row is its table and the cells of its key as COPY writes them in UTF-8. Table and columns are in clear, so that a
restore reads only the tables that entries name; the key itself is hashed with a key derived from the signing key. A
file is its path below the media root.
"""

from __future__ import annotations

import hmac
from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.site_description import PathColumn  # noqa: TC001 - msgspec reads it when it decodes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.artifact.header import ManifestHeader
    from korrigo_backup.artifact.signature import Key

_CONTEXT = b"korrigo-backup erasure ledger 1\n"


class Subject(StrEnum):
    """The subject of an entry: an erased row or file, or the rules of the site's code at that time."""

    ROW = "row"
    FILE = "file"
    RULES = "rules"


class OnDelete(StrEnum):
    """The rule of the site's code for a row that refers to a deleted row (Django's `on_delete`)."""

    CASCADE = "CASCADE"
    SET_NULL = "SET_NULL"
    SET_DEFAULT = "SET_DEFAULT"
    SET = "SET"
    PROTECT = "PROTECT"
    RESTRICT = "RESTRICT"
    DO_NOTHING = "DO_NOTHING"


class Link(msgspec.Struct, frozen=True, omit_defaults=True):
    """A reference to an erased row, and its rule at the time of the erasure: a restore asks no code of the site.

    Columns are plain names, tables qualified as a dump has them. `parent_link`: both rows are one object, so that each
    is erased with the other. In a generic relation `content_type` is the app and
    the model whose number stands in `type_column`.
    """

    table: str
    columns: tuple[str, ...]
    to: str
    to_columns: tuple[str, ...]
    rule: str = ""
    parent_link: bool = False
    type_column: str = ""
    content_type: tuple[str, str] = ("", "")


class Scope(msgspec.Struct, frozen=True):
    """The site that an entry is of. Two sites may share a ledger; the key of a site is no key of another."""

    site: str
    environment: str
    database: str

    def holds(self, head: ManifestHeader | None, live: Scope) -> bool:
        """Return whether an entry of this scope is about an artifact with `head` that `live` restores.

        Site and environment must be the same; the database may be that of the artifact or, after it was renamed, the
        live database. An artifact that names no site is taken for the own site's.
        """
        of = (head.site, head.environment or live.environment) if head and head.site else (live.site, live.environment)
        saved = (head.identity.database if head.identity else head.database) if head else None
        return (self.site, self.environment) == of and self.database in {saved or live.database, live.database}


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An entry. `hash` is that of the row's key or of the file's path, `key` the id of the signing key behind it.

    `mac` seals the whole line. `reason` is in clear: it must name nobody. An entry of rules has `links`, and the
    columns whose values are paths of files, with the prefixes of these values (`roots`); it is written once for each
    change of the code. A file `of_row` was named by an erased row, and is erased unless another row names it. `live`:
    the row or file was still in the site when it was recorded.
    """

    time: datetime
    scope: Scope
    subject: Subject
    hash: str
    key: str
    by: str = ""
    reason: str = ""
    table: str = ""
    columns: tuple[str, ...] = ()
    links: tuple[Link, ...] = ()
    paths: tuple[PathColumn, ...] = ()
    roots: tuple[str, ...] = ()
    of_row: bool = False
    live: bool = False
    mac: str = ""

    @property
    def identity(self) -> tuple[Scope, str, str, bool]:
        """The values that two entries about the same row or file have in common."""
        return self.scope, self.table, self.hash, self.of_row

    def may_go(self, oldest: datetime | None) -> bool:
        """Return whether no backup can hold it any more; `oldest` is the time of the oldest, None without any.

        A row that was still in the site when it was recorded may be in younger backups, too.
        """
        return self.subject is not Subject.RULES and not self.live and (oldest is None or self.time < oldest)

    def is_newer_than(self, others: Sequence[Entry]) -> bool:
        """Return whether the entry says more than others: none is about the same row at this time or later.

        Of rules only the newest in force count: rules that go back to a former form are new again.
        """
        if self.subject is Subject.RULES:
            rules = [one for one in others if one.subject is Subject.RULES and one.scope == self.scope]
            return not rules or rules[-1].hash != self.hash
        return not any(one.identity == self.identity and one.time >= self.time for one in others)

    def is_about_data_of(self, taken: datetime | None) -> bool:
        """Return whether data taken at a time, None if it is not known, may hold the row that was erased.

        Later data cannot: a row with that key is another one, since numbers are given again after a restore. A file
        of a row is never taken for another one: it stays wherever a row names it.
        """
        return self.subject is Subject.RULES or self.of_row or taken is None or self.time >= taken

    def sealed(self, key: Key) -> Entry:
        """Return the entry with its seal."""
        return msgspec.structs.replace(self, mac=self._mac(key))

    def is_sealed(self, key: Key) -> bool:
        """Return whether the entry is as it was written."""
        return hmac.compare_digest(self.mac.encode(), self._mac(key).encode())

    def _mac(self, key: Key) -> str:
        bare = msgspec.structs.replace(self, mac="")
        return _keyed(key, b"line\n" + msgspec.json.encode(bare, order="sorted"))


def row_hash(key: Key, table: str, cells: Sequence[tuple[str, bytes]]) -> str:
    """Return the hash of a row: `cells` are the columns of its key with their values as COPY writes them in UTF-8."""
    parts = [b"row", table.encode(), *(part for name, cell in sorted(cells) for part in (name.encode(), cell))]
    return _keyed(key, b"\t".join(parts))  # no cell of COPY and no name that is hashed here holds a tab unescaped


def file_hash(key: Key, path: str) -> str:
    """Return the hash of a file by its path below the media root."""
    return _keyed(key, b"file\t" + path.encode(errors="surrogateescape"))


def rules_hash(key: Key, links: Sequence[Link], paths: Sequence[PathColumn], roots: Sequence[str]) -> str:
    """Return the hash of rules: equal rules have one entry."""
    return _keyed(key, b"rules\t" + msgspec.json.encode((links, paths, roots), order="sorted"))


def _keyed(key: Key, content: bytes) -> str:
    return hmac.digest(_derived(key.secret), content, "sha256").hex()


@lru_cache(maxsize=8)
def _derived(secret: bytes) -> bytes:
    return hmac.digest(secret, _CONTEXT, "sha256")
