"""The secrets that a report is free of, also where the configuration cannot be read."""

import pytest

from korrigo_backup.cli.setup import diagnose
from korrigo_backup.core.secret import Secret
from korrigo_backup.errors import UsageError
from korrigo_backup.setup.secret_values import secrets_in

BROKEN = """
[database]
password = "of-the-database"
name = "shop"
[backup]
key_file = "/etc/key"
[notify
urls = ["mailto://ops:of-the-mail@example.org", 'plain']
"""


@pytest.fixture
def broken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "korrigo-backup.toml").write_text(BROKEN)
    (tmp_path / ".env").write_text("POSTGRES_PASSWORD=of-the-file\nPOSTGRES_DB=shop\n")
    return tmp_path


@pytest.mark.promise("P7")
def test_a_broken_configuration_and_the_settings_files_give_their_secrets(broken):
    sources = diagnose._without_configuration(UsageError("broken", hint="mend it"), None)
    values = {one.reveal() for one in sources.secrets}
    assert {"of-the-database", "of-the-mail"} <= values
    assert not values & {"shop", "/etc/key"}
    assert sources.environment["POSTGRES_PASSWORD"] == "of-the-file"


def test_a_missing_configuration_has_no_secrets(tmp_path):
    assert secrets_in(tmp_path / "none.toml") == ()
    assert Secret("x") not in secrets_in(tmp_path)
