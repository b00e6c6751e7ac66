"""Fixtures of the reference site with a Django backup."""

from wreckedsite import in_place, saved, wrecked

__all__ = ["in_place", "saved", "wrecked"]
