"""The artifact of a drill: the newest that can be loaded, with its media or without them."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from korrigo_backup.artifact.components import components
from korrigo_backup.artifact.kinds import KINDS, WITH_DUMP, Kind
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.core.size import human
from korrigo_backup.errors import KorrigoBackupError, NotFound, Refused
from korrigo_backup.places.place import other_places

if TYPE_CHECKING:
    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.drill.copying import Copying
    from korrigo_backup.places.place import Place

RECENT = timedelta(days=8)
"""The age, before the newest backup, up to which a weekly restore point is drilled instead of it."""

NO_MEDIA = "drill.media"
"""The id of the finding of a drill of the database alone, where the media were wanted, too."""


def newest_loadable(catalog: Catalog, *, with_media: bool = False) -> Artifact:
    """Return the newest good restore point or database backup, else the newest Django backup; raises NotFound.

    With `with_media` a restore point that is `RECENT` goes before a newer backup of the database alone.
    """
    found = []
    for kind in WITH_DUMP:
        with suppress(NotFound):
            found.append(catalog.find("latest", kind))
    if found:
        newest = max(one.created for one in found)
        first = [one for one in found if with_media and KINDS[one.kind].components and newest - one.created <= RECENT]
        return max(first or found, key=lambda one: (one.created, bool(KINDS[one.kind].components)))
    with suppress(NotFound):
        return catalog.find("latest", Kind.DJANGO)
    return catalog.find("latest")


def fitting(catalog: Catalog, point: Artifact, place: Place, found: list[Finding]) -> Artifact:
    """Return the database of a restore point if its media do not fit in the place, with a finding; else the point.

    A point that lacks a component, or a place that does not answer, is found again by the drill, which records it.
    """
    try:
        parts = components(catalog, point)
        needs = sum(one.manifest.media.bytes for one in parts if one.manifest and one.manifest.media)
        database = next((one for one in parts if KINDS[one.kind].is_dump), None)
        free = place.free()[1] if needs and database else None
    except KorrigoBackupError:
        return point
    if database is None or free is None or free >= needs:
        return point
    elsewhere = other_places(place.name)
    words = (
        f"the media of {point.name} are not restored: they need {human(needs)} {place.label}, {human(free)} are free"
    )
    found.append(warning("drill.media", words, f"make room, or drill in another place: {elsewhere}"))
    return database


def copied(catalog: Catalog, artifact: Artifact, copying: Copying) -> Artifact:
    """Return the artifact that is copied: without a directory for files the database of a restore point alone.

    Raises Refused for an artifact without a dump, or that this site has not signed: the functions of its tables run
    with the rights of our role when values are replaced. UsageError for rules of tables that the dump does not have.
    """
    database = next((one for one in components(catalog, artifact) if KINDS[one.kind].is_dump), None)
    if database is None:
        raise Refused(
            f"{artifact.name} holds no dump that could be anonymised", hint="name a dump or a restore point: list"
        )
    if database.authenticity is not Authenticity.AUTHENTIC:
        raise Refused(
            f"{database.name} is not signed with this site's key: no anonymised copy is made of it",
            hint="make a backup of the site that it was restored to, and anonymise that",
        )
    copying.anonymiser.require_names(database)
    return artifact if copying.to else database
