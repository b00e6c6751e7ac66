"""Single files are put among the media without following a link."""

import os

import pytest

from korrigo_backup.errors import Refused
from korrigo_backup.media.put import put


def staged_file(tmp_path):
    staged = tmp_path / "staged"
    (staged / "copies").mkdir(parents=True)
    (staged / "copies" / "a.pdf").write_bytes(b"a")
    (staged / "copies").chmod(0o775)
    root = tmp_path / "media"
    root.mkdir()
    return root, staged


def test_a_directory_is_made_with_its_mode(tmp_path):
    root, staged = staged_file(tmp_path)
    put(root, staged, ["copies/a.pdf"], ["copies"])
    assert (root / "copies" / "a.pdf").read_bytes() == b"a"
    assert (root / "copies").stat().st_mode & 0o777 == 0o775


def test_a_link_that_took_the_place_of_a_directory_is_not_followed(tmp_path):
    root, staged = staged_file(tmp_path)
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o700)
    (root / "copies").symlink_to(outside)
    with pytest.raises(Refused, match="no directory any more"):
        put(root, staged, ["copies/a.pdf"], ["copies"])
    assert outside.stat().st_mode & 0o777 == 0o700
    assert list(outside.iterdir()) == []


def test_a_directory_that_was_made_meanwhile_keeps_its_mode(tmp_path):
    root, staged = staged_file(tmp_path)
    (root / "copies").mkdir(mode=0o700)
    put(root, staged, ["copies/a.pdf"], ["copies"])
    assert (root / "copies").stat().st_mode & 0o777 == 0o700


def test_a_directory_that_becomes_a_link_after_the_look_takes_no_file_out_of_the_media(tmp_path, monkeypatch):
    root, staged = staged_file(tmp_path)
    (root / "copies").mkdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    real = os.link

    def raced(*args, **kwargs):
        (root / "copies").rename(root / "copies.old")
        (root / "copies").symlink_to(outside)
        real(*args, **kwargs)

    monkeypatch.setattr(os, "link", raced)
    with pytest.raises(Refused, match="no directory any more"):
        put(root, staged, ["copies/a.pdf"], [])
    assert list(outside.iterdir()) == []
    assert (root / "copies.old" / "a.pdf").read_bytes() == b"a"
