"""The site of an artifact: an identity made once, in every signed manifest and in a record next to the artifacts.

A name that is left at its default does not distinguish two sites. A site is known by its name, its environment, its
database and the identifier of the database cluster (`system_identifier`). A site that moves to another cluster or
renames its database keeps its identity by a restore into an empty database, or by `korrigo-backup adopt`.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.kinds import Origin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from korrigo_backup.artifact.header import ManifestHeader

_NAMESPACE = uuid.UUID("6b6f7272-6967-4f2d-8261-636b75700001")


class Identity(msgspec.Struct, frozen=True):
    """The site in a manifest: UUID, name of the database, identifier of the cluster if it is known.

    The UUID is empty in a manifest of `manage.py backup`, which does not know the name of the site.
    """

    id: str
    database: str
    system: str | None = None


class DatabasePlace(msgspec.Struct, frozen=True):
    """Where a site's database is or was. `system` is None where the role may not read it."""

    database: str
    system: str | None = None


class SiteRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A site in a backup directory. `former` names identities that were made for it by mistake and are its own."""

    id: str
    site: str
    environment: str
    places: tuple[DatabasePlace, ...] = ()
    former: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        """All identities under which artifacts of this site were made."""
        return frozenset({self.id, *self.former})

    def at(self, place: DatabasePlace, former: Iterable[str] = ()) -> SiteRecord:
        """Return the record with a further place."""
        places = tuple(dict.fromkeys((*self.places, place)))
        return msgspec.structs.replace(self, places=places, former=tuple(sorted({*self.former, *former} - {self.id})))


@dataclass(frozen=True)
class Owner:
    """The site that a command is run for. `system` is None if the server was not asked, or the role may not read it."""

    site: str
    environment: str
    database: str
    system: str | None = None

    @property
    def place(self) -> DatabasePlace:
        """Where its database is."""
        return DatabasePlace(self.database, self.system)


class IdentityMatch(StrEnum):
    """How a site stands to the records of a backup directory."""

    OWN = "own"
    NEW = "new"
    MOVED = "moved"
    """A site of this name, environment and database has backups here, made of another cluster."""


@dataclass(frozen=True)
class FoundIdentity:
    """The record of a site, how it was found, and the other sites of the directory."""

    owner: Owner
    known: IdentityMatch
    record: SiteRecord
    others: tuple[SiteRecord, ...] = ()

    @property
    def identity(self) -> Identity:
        """The identity that manifests of this site contain."""
        return Identity(self.record.id, self.owner.database, self.owner.system)


def stand(owner: Owner, records: Iterable[SiteRecord]) -> FoundIdentity:
    """Return how `owner` stands to the sites that have backups in a directory."""
    records = tuple(records)
    alike = [one for one in records if (one.site, one.environment) == (owner.site, owner.environment)]
    same = [one for one in alike if any(place.database == owner.database for place in one.places)]
    own = [one for one in same if any(_is_at(place, owner) for place in one.places)]
    own.sort(key=lambda one: owner.place not in one.places)
    known = IdentityMatch.OWN if own else IdentityMatch.MOVED if same else IdentityMatch.NEW
    record = own[0] if own else _made(owner)
    return FoundIdentity(owner, known, record, tuple(one for one in records if not own or one.id != record.id))


def is_place_of(place: DatabasePlace, standing: FoundIdentity) -> bool:
    """Return whether a database is or was the site's; of a site without a record its name alone decides."""
    if standing.known is not IdentityMatch.OWN:
        return place.database == standing.owner.database
    return any(
        place.database == one.database and (place.system == one.system or None in {place.system, one.system})
        for one in (standing.owner.place, *standing.record.places)
    )


def _is_at(place: DatabasePlace, owner: Owner) -> bool:
    return place.database == owner.database and (place.system == owner.system or None in {place.system, owner.system})


def _made(owner: Owner) -> SiteRecord:
    """Return a new record. The same facts give the same UUID, so a record that was lost is made again."""
    facts = "\0".join((owner.site, owner.environment, owner.database, owner.system or ""))
    made = str(uuid.uuid5(_NAMESPACE, facts))
    return SiteRecord(id=made, site=owner.site, environment=owner.environment, places=(owner.place,))


def merged(records: Iterable[SiteRecord], headers: Iterable[ManifestHeader]) -> list[SiteRecord]:
    """Return the sites of a directory: those recorded, and those that signed manifests name besides."""
    found = {one.id: one for one in records}
    for one in tuple(found.values()):
        for former in one.former:
            found.pop(former, None)
    aliases = {former: one.id for one in found.values() for former in one.former}
    for head in headers:
        if head.identity is None or head.site is None or head.environment is None:
            continue
        name = aliases.get(head.identity.id, head.identity.id)
        place = DatabasePlace(head.identity.database, head.identity.system)
        known = found.get(name) or SiteRecord(id=name, site=head.site, environment=head.environment)
        if place not in known.places:
            found[name] = known.at(place)
    return list(found.values())


def is_ours(head: ManifestHeader | None, owner: Owner, records: Iterable[SiteRecord]) -> bool:
    """Return whether an artifact is of the site `owner`. An artifact without a site is taken for the site's own."""
    if head is None:
        return True
    if head.site is not None and (head.site, head.environment or owner.environment) != (owner.site, owner.environment):
        return False
    if head.identity is not None and not head.identity.id:
        return is_place_of(DatabasePlace(head.identity.database, head.identity.system), stand(owner, records))
    if head.identity is not None:
        own = ids_of(owner, records)
        return head.identity.id in own if own else head.identity.database == owner.database
    if head.database is None or head.origin is not Origin.ROUTINE:
        return True
    places = stand(owner, records).record.places
    return head.database in {owner.database, *(place.database for place in places)}


def ids_of(owner: Owner, records: Iterable[SiteRecord]) -> frozenset[str]:
    """Return every identity whose artifacts are those of `owner`."""
    found = stand(owner, records)
    if found.known is IdentityMatch.OWN:
        same = [
            one
            for one in (found.record, *found.others)
            if (one.site, one.environment) == (owner.site, owner.environment)
            and any(_is_at(place, owner) for place in one.places)
        ]
        return frozenset(name for one in same for name in one.ids)
    return frozenset()
