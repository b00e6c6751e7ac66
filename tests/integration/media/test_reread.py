"""The stored files are read again in shares: all in time, none twice a day, and a bad file ends no backup."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from korrigo_backup.backup.media_store import reread_share
from korrigo_backup.media.store.objects import MediaStore

NOW = datetime(2026, 5, 4, 3, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    made = MediaStore(tmp_path)
    for number in range(256):
        content = str(number).encode()
        path = made.path(hashlib.sha256(content).hexdigest())
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return made


@pytest.mark.parametrize("days", [1, 7, 30])
def test_all_is_read_in_so_many_nights_with_a_backup_in_any_rhythm(store, days):
    counts = [reread_share(store, NOW + timedelta(days=days * night), 7)[0] for night in range(7)]
    assert sum(counts) == 256
    assert min(counts) > 0


def test_points_through_the_day_read_no_share_twice(store):
    assert reread_share(store, NOW, 7)[0] > 0
    assert [reread_share(store, NOW + timedelta(minutes=15 * number), 7)[0] for number in range(1, 4)] == [0, 0, 0]


def test_one_night_reads_all_in_each_backup(store):
    assert [reread_share(store, NOW, 1)[0] for _ in range(2)] == [256, 256]
    assert reread_share(store, NOW, 0)[0] == 0


def test_an_entry_that_cannot_be_read_as_a_file_is_moved_away(store):
    victim = store.path(next(store.names()))
    victim.unlink()
    victim.symlink_to(victim.name)
    assert reread_share(store, NOW, 1)[1] == [victim.name]
    assert not victim.is_symlink()
