"""Two hosts that put at the same time, an answer that was lost, what a killed put leaves in a directory."""

import os
import time
from datetime import timedelta

import pytest

from korrigo_backup.core.secret import Secret
from korrigo_backup.errors import ProofFailed
from korrigo_backup.targets import directory
from korrigo_backup.targets.directory import DirectoryTarget
from korrigo_backup.targets.ledger import Ledger, LedgerLine
from korrigo_backup.targets.s3 import Bucket, S3Target
from targetservers import ACCESS_KEY, SECRET_KEY, client_of, locking_s3_server, sha256_of_file


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with locking_s3_server(tmp_path_factory.mktemp("weed")) as found:
        yield found


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.gz"
    path.write_bytes(b"content" * 1000)
    return path


@pytest.mark.parametrize("theirs", [b"content" * 1000, b"another" * 1000])
def test_an_object_that_appears_between_look_and_put_is_compared(server, source, tmp_path, monkeypatch, theirs):
    bucket = Bucket(bucket=server.bucket, prefix=tmp_path.name, endpoint=server.endpoint,
                    access_key=ACCESS_KEY, secret_key=Secret(SECRET_KEY))  # fmt: skip
    client_of(server).put_object(Bucket=server.bucket, Key=f"{tmp_path.name}/site/a.gz", Body=theirs)
    target = S3Target("cloud", bucket)
    looks = []

    def late(self, key):
        """Look, for the first time before the other host has put its object."""
        looks.append(look(self, key))
        return looks[-1] if len(looks) > 1 else None

    look = S3Target._head
    monkeypatch.setattr(S3Target, "_head", late)
    if theirs == source.read_bytes():
        assert not target.put("site/a.gz", source, sha256_of_file(source)).is_new
    else:
        with pytest.raises(ProofFailed, match="another content"):
            target.put("site/a.gz", source, sha256_of_file(source))


def test_what_a_killed_put_left_in_a_directory_is_removed_a_day_later(tmp_path, source):
    target = DirectoryTarget("disk", tmp_path / "disk")
    (target.root / "site").mkdir(parents=True)
    old, young = target.root / "site" / ".partial-old", target.root / "site" / ".partial-young"
    for path in (old, young):
        path.write_bytes(b"half")
    past = time.time() - timedelta(days=2).total_seconds()
    os.utime(old, (past, past))
    target.put("site/a.gz", source, sha256_of_file(source))
    assert not old.exists()
    assert young.exists()


def test_an_object_that_another_host_puts_meanwhile_is_compared(tmp_path, source, monkeypatch):
    target = DirectoryTarget("disk", tmp_path / "disk")
    target.root.mkdir()

    def late(partial, final):
        final.write_bytes(source.read_bytes())
        raise FileExistsError(str(final))

    monkeypatch.setattr(directory, "rename_new", late)
    assert not target.put("site/a.gz", source, sha256_of_file(source)).is_new


def test_a_large_ledger_is_read_to_its_end(tmp_path, monkeypatch):
    from korrigo_backup.targets import ledger as module  # noqa: PLC0415

    if hasattr(module, "_LARGEST"):
        monkeypatch.setattr(module, "_LARGEST", 10_000)
    ledger = Ledger(tmp_path, "cloud")
    for number in range(200):
        ledger.write(LedgerLine(object=f"o{number}", artifact="a", size=1, sha256="0" * 64))
    assert len(Ledger(tmp_path, "cloud").lines) == 200
