"""A target as a site uses it: whether copies are sealed, to whom, and for how long they stay there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from korrigo_backup.targets.port import Target


@dataclass(frozen=True)
class Destination:
    """A target. `recipients` are the public keys that copies are sealed to, empty if they are not sealed.

    Each object gets a retention of `lock_days` (0: none) that the server must keep. With `legal_hold` the objects of an
    artifact on hold get a legal hold there.
    """

    target: Target
    recipients: tuple[str, ...] = ()
    off_site: bool = True
    lock_days: int = 0
    legal_hold: bool = False
    may_delete: bool = False

    @property
    def name(self) -> str:
        """The name of the target."""
        return self.target.name

    @property
    def seals(self) -> bool:
        """Whether what leaves this host is sealed."""
        return bool(self.recipients)
