"""The configuration above the present directory: whose it may be."""

import os
from pathlib import Path

import pytest

from korrigo_backup.config.place import FILE_NAME, _trusted, directory_above
from korrigo_backup.errors import UsageError

STRANGER = 4_000_000


@pytest.fixture
def below(tmp_path):
    (tmp_path / "below").mkdir()
    return tmp_path / "below"


def test_the_nearest_directory_above_with_a_configuration_is_found(tmp_path, below):
    assert directory_above(below) is None
    (tmp_path / FILE_NAME).touch()
    assert directory_above(below) == tmp_path
    (below / FILE_NAME).touch()
    assert directory_above(below) is None


@pytest.mark.promise("P10")
@pytest.mark.parametrize("owner_of", ["stat", "lstat"])
def test_neither_a_file_nor_a_link_of_another_user_is_taken(tmp_path, below, monkeypatch, owner_of):
    """A link in a shared directory to a file of the victim would make that directory its site, with a foreign .env."""
    (tmp_path / "own.toml").touch()
    (tmp_path / FILE_NAME).symlink_to("own.toml")
    assert directory_above(below) == tmp_path
    real = getattr(Path, owner_of)

    def foreign(path: Path, **options: bool) -> os.stat_result:
        found = real(path, **options)
        return os.stat_result((*found[:4], STRANGER, *found[5:10])) if path.name == FILE_NAME else found

    monkeypatch.setattr(Path, owner_of, foreign)
    with pytest.raises(
        UsageError, match=f"belongs to user {STRANGER}, and is not used from a directory below"
    ) as refused:
        directory_above(below)
    assert refused.value.hint == (
        f"if you trust it, go there: cd {tmp_path}; or name it: --config {tmp_path / FILE_NAME}"
    )


@pytest.mark.parametrize(("user", "is_trusted"), [(0, True), (STRANGER, False)])
def test_the_user_who_called_sudo_is_trusted_by_root_alone(monkeypatch, user, is_trusted):
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert (1234 in _trusted({"SUDO_UID": "1234"})) is is_trusted
    assert _trusted({"SUDO_UID": "x"}) == _trusted({}) == {0, user}


def test_the_owner_of_the_present_directory_is_no_reason_to_trust(tmp_path, below, monkeypatch):
    (tmp_path / FILE_NAME).touch()
    real = Path.stat

    def foreign(path: Path, **options: bool) -> os.stat_result:
        found = real(path, **options)
        ours = path in {below, tmp_path / FILE_NAME}
        return os.stat_result((*found[:4], STRANGER, *found[5:10])) if ours else found

    monkeypatch.setattr(Path, "stat", foreign)
    with pytest.raises(UsageError):
        directory_above(below)
