"""Fixtures of the reference site, for tests of what needs a real Django."""

from demosite import demo, seeded

__all__ = ["demo", "seeded"]
