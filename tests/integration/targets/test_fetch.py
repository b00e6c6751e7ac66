"""Files that are here already when a backup is fetched: kept, mended, or not touched."""

import gzip

import pytest

from sandbox import MEDIA
from targetsite import cloud, configure


def damage(path):
    """Flip a bit; the size stays."""
    content, mode = bytearray(path.read_bytes()), path.stat().st_mode
    content[len(content) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)
    path.chmod(mode)


def stored(site):
    return sorted((site.backups / "media-store").glob("??/*"))


def test_a_damaged_stored_file_is_replaced_by_the_one_from_the_target(site, s3):
    configure(site, "[media]\nstore = true", cloud(site, s3, more="seal = false"), s3=s3)
    listing = site.backup_media()
    site.korrigo("copy")
    victim, *others = [path for path in stored(site) if path.stat().st_size]
    damage(victim)
    times = {path: path.stat().st_mtime_ns for path in others}
    site.korrigo("verify", listing.name, "--depth", "content", code=9)
    done = site.korrigo("fetch", "cloud", listing.name)
    assert f"media-store/{victim.parent.name}/{victim.name}: damaged here, replaced" in done.out
    site.korrigo("verify", listing.name, "--depth", "content")
    assert victim.stat().st_mode & 0o777 == 0o400
    assert {path: path.stat().st_mtime_ns for path in others} == times
    assert "replaced" not in site.korrigo("fetch", "cloud", listing.name).out


def test_a_damaged_stored_file_stays_if_that_on_the_target_is_damaged_as_well(site, s3):
    configure(site, "[media]\nstore = true", cloud(site, s3, more="seal = false"), s3=s3)
    listing = site.backup_media()
    site.korrigo("copy")
    victim = next(path for path in stored(site) if path.stat().st_size)
    damage(victim)
    bad = victim.read_bytes()
    (place,) = (s3.data / site.database).iterdir()
    damage(place / "media-store" / victim.parent.name / victim.name)
    site.korrigo("fetch", "cloud", listing.name, code=9)
    assert victim.read_bytes() == bad


@pytest.mark.parametrize("damaged", ["db_backup_{}.sql.gz", "db_backup_{}.sql.gz.manifest.json"])
def test_a_damaged_file_of_a_backup_is_replaced_by_the_one_from_the_target(site, s3, damaged):
    configure(site, cloud(site, s3, more="seal = false"), s3=s3)
    dump = site.backup()
    site.korrigo("copy")
    path = site.backups / damaged.format(dump.name.removeprefix("db_backup_").removesuffix(".sql.gz"))
    good = path.read_bytes()
    damage(path)
    done = site.korrigo("fetch", "cloud", dump.name)
    assert f"{path.name}: damaged here, replaced by the copy on cloud" in done.out
    assert path.read_bytes() == good
    site.korrigo("verify", dump.name)


@pytest.mark.promise("P10")
def test_another_file_of_the_same_name_is_not_replaced(site, s3):
    configure(site, cloud(site, s3, more="seal = false"), s3=s3)
    dump = site.backup()
    site.korrigo("copy")
    dump.with_name(dump.name + ".manifest.json").unlink()
    dump.write_bytes(gzip.compress(b"-- made by hand"))
    content = dump.read_bytes()
    assert "is there, and differs from the copy" in site.korrigo("fetch", "cloud", dump.name, code=9).err
    assert dump.read_bytes() == content


def test_a_night_counts_the_files_of_the_media_store_that_it_frees(site):
    configure(site, "[media]\nstore = true\n[nightly]\ndrill = false")
    site.write("pages/large.bin", bytes(3 * 1024 * 1024))
    with_large = site.backup_media()
    site.aged(with_large, 40)
    for path in (with_large, with_large.with_name(with_large.name + ".manifest.json")):
        path.unlink()
    (site.media / "pages/large.bin").unlink()
    without = site.backup_media()
    for days in (2, 9, 16, 23, 29):  # no long silence, and less than half of the backups go
        site.aged(without, days)
    done = site.korrigo("nightly", "--full")
    assert "🧹 Cleaned 1 old backups, 3.0M freed" in done.out
    assert "media store: 1 file, 3.0M, that no backup names" in done.out
    assert len(stored(site)) == len(MEDIA)
