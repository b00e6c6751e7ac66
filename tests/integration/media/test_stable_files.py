"""A backup of media that change while they are read: a file is read again, or named."""

import os
import tarfile
from typing import Any

import pytest

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.backup.media import backup_media
from korrigo_backup.errors import PartlyDone
from korrigo_backup.media import stable
from korrigo_backup.media.stable import StableFile
from korrigo_backup.run.step import ArchivingAgain

pytestmark = [pytest.mark.promise("P1"), pytest.mark.contract("B4")]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(stable, "_PAUSE", 0.001)


def test_a_backup_of_a_file_that_never_rests_ends_with_3_and_names_it(site, monkeypatch):
    monkeypatch.setattr(StableFile, "is_stable", lambda self: self.size != 12 * 500)
    with pytest.raises(PartlyDone, match=r"copies/2026/scan 1\.pdf") as caught:
        site.backup_media()
    assert caught.value.exit_code == 3
    made = site.one("media_backup_*.tar.gz")
    assert site.json("show", made)["manifest"]["media"]["unstable"] == ["copies/2026/scan 1.pdf"]
    with tarfile.open(made) as archive:
        assert "app/media/copies/2026/scan 1.pdf" in archive.getnames()


@pytest.fixture
def uploaded_into(monkeypatch):
    """Let every file be a large one at rest, and one of them be written to once, while it is read."""
    real = StableFile.read

    def write_into(path):
        os.utime(path, (0, 0))
        monkeypatch.setattr(stable, "WHOLE", 10)
        size = path.stat().st_size

        def read(self, wanted=-1):
            if self.size == size and path.stat().st_mtime == 0:
                path.write_bytes(b"new" * size)
            return real(self, wanted)

        monkeypatch.setattr(StableFile, "read", read)

    return write_into


def test_a_large_file_that_begins_to_change_is_archived_once_more(site, uploaded_into):
    path = site.media / "copies/2026/scan 1.pdf"
    uploaded_into(path)
    steps: list[Any] = []
    wired = site.wired()
    backup_media(wired.site(), wired.catalog, now=local_now(), listen=steps.append)
    assert [step for step in steps if step.id == "media.again"] == [ArchivingAgain("copies/2026/scan 1.pdf")]
    made = site.one("media_backup_*.tar.gz")
    assert site.json("show", made)["manifest"]["media"]["unstable"] == []
    with tarfile.open(made) as archive:
        file = archive.extractfile("app/media/copies/2026/scan 1.pdf")
        assert file
        assert file.read() == path.read_bytes()
    assert set(path.read_bytes()) == set(b"new")
