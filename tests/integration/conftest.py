"""Fixtures of the reference site with a Django backup, imported here alone: every import of one makes it once more."""

import tempfile
from pathlib import Path

import pytest

from wreckedsite import in_place, saved, wrecked

__all__ = ["in_place", "saved", "wrecked"]


@pytest.fixture
def other_disk(tmp_path):
    """A directory on another file system than that of the backups."""
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system here")
    with tempfile.TemporaryDirectory(dir=memory) as made:
        yield Path(made)
