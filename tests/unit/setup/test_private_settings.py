"""The password that `init` keeps, and the lines that keep files with secrets out of git."""

from pathlib import Path

import pytest

from korrigo_backup.core.secret import Secret
from korrigo_backup.setup import gitignore, login
from korrigo_backup.system.dotenv import read_dotenv


@pytest.mark.promise("P7")
@pytest.mark.parametrize("password", ["plain", "it's", 'a "quote" $HOME \\', "two words # no comment", "é€"])
def test_a_kept_password_is_read_as_it_was_and_only_by_its_owner(tmp_path, password):
    own = tmp_path / "korrigo-backup.env"
    own.write_text("BACKUP_DIR=/srv/backups\nPOSTGRES_PASSWORD=former")
    own.chmod(0o644)
    assert login.keep(tmp_path, Secret(password)) == own
    assert read_dotenv(own, {}) == {"BACKUP_DIR": "/srv/backups", "POSTGRES_PASSWORD": password}
    assert own.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [own]


@pytest.mark.promise("P7")
def test_a_password_that_cannot_be_kept_leaves_no_file_with_it(tmp_path, monkeypatch):
    def full(_: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(Exception, match="No space left"):
        login.keep(tmp_path, Secret("chalk-and-slate"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("former", [b"", b"node_modules/", b"node_modules/\n", b"caf\xe9/\r\n"])
def test_lines_are_added_behind_those_of_the_site_whatever_their_encoding(tmp_path, former):
    (tmp_path / ".gitignore").write_bytes(former)
    gitignore.add(tmp_path, (".env",))
    found = (tmp_path / ".gitignore").read_bytes()
    assert found.startswith(former)
    assert found.splitlines()[-1] == b"/.env"
    assert len(found.splitlines()) == len(former.splitlines()) + 1
