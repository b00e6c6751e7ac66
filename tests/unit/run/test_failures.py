"""The file of the last failures: whose it is, and that no secret stays in it."""

import os
import pwd
from pathlib import Path

import pytest

from korrigo_backup.cli.program.last_failure import note_failure
from korrigo_backup.core.secret import Secret
from korrigo_backup.run import failures

ERROR = {"id": "x.y", "code": 1, "message": "the site refused: site", "hint": "see the site", "state": "as before"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.promise("P7")
def test_a_password_that_is_an_ordinary_word_does_not_stay_in_the_file(here):
    note_failure("backup", ERROR, [Secret("site")])
    kept = failures.last(os.environ, here)
    assert kept
    assert (kept.message, kept.hint, kept.id) == ("the *** refused: ***", "see the ***", "x.y")


@pytest.mark.parametrize("name", ["HOME", "XDG_STATE_HOME"])
def test_root_does_not_write_in_the_home_that_sudo_has_left(here, monkeypatch, name):
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    root = Path(pwd.getpwuid(0).pw_dir, ".local", "state", "korrigo-backup", "failures.json")
    real = Path.stat

    def foreign(path: Path, **options: bool) -> os.stat_result:
        found = real(path, **options)
        return os.stat_result((*found[:4], 4_000_000, *found[5:10])) if path == here else found

    monkeypatch.setattr(Path, "stat", foreign)
    assert failures.file({"HOME": str(here.parent), name: str(here)}) == root
