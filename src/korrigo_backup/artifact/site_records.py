"""The records of sites next to their artifacts: signed files that name a site and the places of its database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.draft import names_in
from korrigo_backup.artifact.identity import SiteRecord, merged
from korrigo_backup.artifact.naming import PARTIAL_PREFIX, SITE_PREFIX, SITE_SUFFIX
from korrigo_backup.artifact.signature import Authenticity, sign
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.system import files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.identity import Owner
    from korrigo_backup.artifact.keyring import Keyring
    from korrigo_backup.artifact.reader import Reader

_LARGEST = 1024 * 1024
"""Bytes read of the record of a site."""


class SiteRecords:
    """The records in a directory of artifacts."""

    def __init__(self, directory: Path, keyring: Keyring | None, reader: Reader) -> None:
        self._directory = directory
        self._keyring = keyring
        self._reader = reader

    def sites(self, artifacts: Iterable[Artifact]) -> list[SiteRecord]:
        """Return the sites that have artifacts here: from their own records, and from signed manifests."""
        signed = {Authenticity.AUTHENTIC} if self._keyring and self._keyring.keys else set(Authenticity)
        return merged(self._signed(), [a.header for a in artifacts if a.header and a.authenticity in signed])

    def note(self, record: SiteRecord) -> None:
        """Write the record of a site, signed; an equal record stays as it is."""
        place = self._directory / f"{SITE_PREFIX}{record.id}{SITE_SUFFIX}"
        if self._keyring is None or self._read(place) == record:
            return
        with files.explained(f"write {place}"):
            fresh = place.with_name(f"{PARTIAL_PREFIX}{place.name}")
            fresh.unlink(missing_ok=True)
            try:
                files.write_private(fresh, sign(msgspec.json.encode(record), self._keyring.signing()))
                fresh.replace(place)
            finally:
                fresh.unlink(missing_ok=True)  # of a run that was interrupted here
            files.fsync_directory(self._directory)

    def has_own(self, owner: Owner | None) -> bool:
        """Return whether a record signed with a key that is here is this site's; without an owner, any site's."""
        return any(_is_own(record, owner) for record in self._signed())

    def _signed(self) -> Iterator[SiteRecord]:
        """Yield the records that are signed with a key that is here."""
        with files.explained(f"read the backup directory {self._directory}"):
            names = [n for n in names_in(self._directory) if n.startswith(SITE_PREFIX) and n.endswith(SITE_SUFFIX)]
        for name in sorted(names):
            if record := self._read(self._directory / name):
                yield record

    def _read(self, place: Path) -> SiteRecord | None:
        """Return the record in a file, None if the file is missing or not signed with a key of this site."""
        try:
            raw = files.read_plain(place, _LARGEST)
            record = msgspec.json.decode(raw, type=SiteRecord)
            return record if self._reader.authenticity(raw) is Authenticity.AUTHENTIC else None
        except (OSError, ValueError, KorrigoBackupError):
            return None


def _is_own(record: SiteRecord, owner: Owner | None) -> bool:
    if owner is None:  # `manage.py backup`: any site that this key has signed for
        return True
    named = (record.site, record.environment) == (owner.site, owner.environment)
    return named and any(place.database == owner.database for place in record.places)
