"""Fixtures of the reference site with a Django backup, imported here alone: every import of one makes it once more."""

from wreckedsite import in_place, saved, wrecked

__all__ = ["in_place", "saved", "wrecked"]
