"""Copies are read back while others are made: neither takes the files of the other away."""

from contextlib import ExitStack

import pytest

from targetsite import cloud, configure


@pytest.fixture
def reader(site, s3):
    from korrigo_backup.cli.fetch import reader  # noqa: PLC0415 - of this test alone

    configure(site, cloud(site, s3, more="seal = false"), s3=s3)
    site.backup()
    return reader(site.wired(), "cloud", None, "any")


def test_a_copy_that_ends_leaves_the_files_of_a_reader(site, reader):
    with reader.directory() as to:
        (to / "object").write_bytes(b"being read")
        site.korrigo("copy")
        assert (to / "object").read_bytes() == b"being read"


def test_a_reader_that_ends_leaves_the_directory_of_a_copy(site, reader):
    spool = site.backups / ".copying-cloud"
    spool.mkdir()
    with reader.directory():
        pass
    assert spool.is_dir()


def test_the_files_of_a_killed_reader_are_removed_and_those_of_another_stay(site, reader):
    with ExitStack() as stack:
        other = stack.enter_context(reader.directory())
        killed = site.backups / ".reading-cloud-killed"
        killed.mkdir()
        (killed / "opened").write_bytes(b"rows of the site")
        with reader.directory():
            assert not killed.exists()
            assert other.is_dir()
    assert not list(site.backups.glob(".reading-*"))
