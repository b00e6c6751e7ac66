"""Remove files from the media store that no listing names any more.

All listings in the backup directory are read first, those of other sites and unsigned ones, too. If one of them cannot
be read, nothing is removed. The removal can be stopped anywhere: only files that no backup names are removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.artifact.kinds import LISTING_SUFFIX
from korrigo_backup.artifact.naming import MEDIA_STORE, parse
from korrigo_backup.errors import KorrigoBackupError, PartlyDone
from korrigo_backup.media.store import listing
from korrigo_backup.media.store.objects import MediaStore
from korrigo_backup.system.files import explained, open_plain

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog

_FEW = 20
"""So many files may be removed at once, whatever share of the store they are."""

_AT_ONCE = 1_000_000
"""Checksums in memory at once, about 100 MB; for more the listings are read several times."""

_SHA256_DIGITS = 64
_SHELVES = 256


@dataclass(frozen=True)
class Swept:
    """The files that were removed, and their bytes."""

    files: int = 0
    bytes: int = 0


def sweep(catalog: Catalog, *, allow_many: bool = False) -> Swept:
    """Remove the stored files that no listing names; the caller holds the lock of the backup directory.

    Raises PartlyDone, with nothing removed from the store, if a listing cannot be read, or if more than half of the
    store would go and that is not allowed.
    """
    store = MediaStore(catalog.directory)
    if not store.directory.is_dir():
        return Swept()
    try:
        with explained(f"read {store.directory}"):
            garbage, total = _garbage(store, catalog.directory)
    except KorrigoBackupError as problem:
        raise PartlyDone(
            f"no file of the media store is removed: {problem.message}",
            hint="repair or move away that listing, then run korrigo-backup prune --apply",
            state="the media store is as it was",
        ) from None
    if len(garbage) > _FEW and len(garbage) * 2 > total and not allow_many:
        raise PartlyDone(
            f"{len(garbage)} of {total} files of the media store are named by no backup any more",
            hint="see whether media backups were lost (korrigo-backup list --kind media); if it is meant:"
            " korrigo-backup prune --apply --allow-many",
            state="the media store is as it was",
        )
    size = 0
    with explained(f"remove files that no backup names from {store.directory}"):
        for name in garbage:
            size += store.path(name).stat().st_size
            store.remove(name)
    return Swept(len(garbage), size)


def _garbage(store: MediaStore, directory: Path) -> tuple[list[str], int]:
    """Return the stored files that no listing names, and the number of all stored files."""
    listings = sorted(path for path in _entries(directory) if path.name.endswith(LISTING_SUFFIX))
    shelves = store.shelves()
    total = sum(1 for _ in store.names(shelves))
    rounds = 1 + total // _AT_ONCE
    found = []
    for number in range(rounds):
        first, last = number * _SHELVES // rounds, (number + 1) * _SHELVES // rounds
        named = {name for path in listings for name in _named(path, first, last)}
        share = [shelf for shelf in shelves if first <= int(shelf.name, 16) < last]
        found += [name for name in store.names(share) if bytes.fromhex(name) not in named]
    return found, total


def _entries(directory: Path) -> Iterator[Path]:
    """Yield the entries of the backup directory and of the directories in it: a Django backup has its listing inside.

    OSError for a Django backup that cannot be read; another directory that cannot be read holds no backup.
    """
    for path in directory.iterdir():
        yield path
        if path.is_dir() and not path.is_symlink() and path.name != MEDIA_STORE:
            try:
                yield from path.iterdir()
            except PermissionError:
                if parse(path.name):
                    raise


def _named(path: Path, first: int, last: int) -> Iterator[bytes]:
    """Yield the checksums in a listing whose first byte is at least `first` and less than `last`."""
    try:
        file = open_plain(path)
    except (OSError, ValueError) as problem:
        raise KorrigoBackupError(f"{path.name} cannot be read: {problem}", hint=f"ls -la {path}") from None
    with file:
        for block in listing.unpacked(file, path.name):
            if block[_SHA256_DIGITS : _SHA256_DIGITS + 1] == b" ":
                name = bytes.fromhex(listing.word(block, path.name))
                if first <= name[0] < last:
                    yield name
