"""A throw-away place for a drill: the port that every place implements."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from korrigo_backup.artifact.manifest import DatabaseProof
    from korrigo_backup.media.port import Tree
    from korrigo_backup.postgres.client import Postgres


class PlaceName(StrEnum):
    """The places of `drill --place`; the value stands in the journal."""

    BESIDE = "beside"
    LOCAL = "local"
    STAGING = "staging"
    COMPOSE = "compose"


def other_places(name: PlaceName) -> str:
    """Return the options of `drill` for the other places, for a hint."""
    others = (one for one in (PlaceName.BESIDE, PlaceName.LOCAL, PlaceName.STAGING) if one is not name)
    return " or ".join(f"--place {one}" for one in others)


class Place(Protocol):
    """A place in which a database and a media tree are loaded, proven and removed again.

    The caller holds the lock of the backup directory, so that a leftover in the place is that of a killed drill.
    """

    @property
    def name(self) -> PlaceName:
        """The name of the place."""
        ...

    @property
    def label(self) -> str:
        """Where that is, in words after "loaded"."""
        ...

    @property
    def confined(self) -> bool:
        """Whether a role without rights must load there: the server runs on the machine of the backups."""
        ...

    def server(self, proof: DatabaseProof | None) -> AbstractContextManager[Postgres]:
        """Yield a server for the saved database, of which `proof` is None without a manifest.

        It is removed at the end of the block if it was made for it.

        Raises Refused if the place cannot be made.
        """
        ...

    def media(self) -> AbstractContextManager[Tree | None]:
        """Yield the tree next to whose live files media are loaded; None without a tree."""
        ...

    def free(self) -> tuple[int | None, int | None]:
        """Return the free bytes for a database and for media, None where they cannot be seen."""
        ...

    def needs(self, database: int) -> int:
        """Return the bytes that a database takes there while it is loaded, with the log of writing it."""
        ...

    def keep(self, server: Postgres, staged: str) -> str:
        """Keep a proven database where the place has one for it; return that name, "" if all is removed."""
        ...

    def left(self) -> tuple[str, ...]:
        """Return the names of the leftovers of killed drills."""
        ...

    def remove_left(self) -> tuple[str, ...]:
        """Remove the leftovers of killed drills and return their names."""
        ...


@dataclass(frozen=True)
class Places:
    """The place of a drill, and another for a database that our role lacks the rights to load there."""

    place: Place
    instead: Place | None = None
