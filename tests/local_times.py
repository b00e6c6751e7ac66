"""Local times, as the names of backups have them."""

from datetime import datetime


def stamped(year=2026, month=2, day=4, hour=3, minute=0, second=0):
    """A local time for names."""
    return datetime(year, month, day, hour, minute, second).astimezone()
