"""Backups whose media files are in the media store: made, verified, restored, pruned."""

import gzip
import hashlib
import os
import shutil
import time
from pathlib import Path

import pytest

from korrigo_backup.errors import PartlyDone, ProofFailed
from korrigo_backup.media.store import save
from sandbox import MEDIA, tree_of

FILES = len(MEDIA)
STORE = {"KORRIGO_BACKUP_MEDIA__STORE": "true"}


@pytest.fixture
def stored(site):
    """A site whose media go to the store."""
    site.configure("[media]\nstore = true\n")
    return site


def objects(site):
    return sorted(path for path in (site.backups / "media-store").glob("??/*"))
