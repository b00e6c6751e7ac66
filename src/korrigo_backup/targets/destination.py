"""A target as a site uses it: whether copies are sealed, to whom, and for how long they stay there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from korrigo_backup.targets.port import Target


@dataclass(frozen=True)
class Destination:
    """A target. `recipients` are the public keys that copies are sealed to, empty if they are not sealed.

    `locks` is True if each object gets a retention that the server must keep.
    """

    target: Target
    recipients: tuple[str, ...] = ()
    off_site: bool = True
    locks: bool = False

    @property
    def name(self) -> str:
        """The name of the target."""
        return self.target.name

    @property
    def seals(self) -> bool:
        """Whether what leaves this host is sealed."""
        return bool(self.recipients)
