"""The contacts are named where help is needed: a stopped site, a failed run, a report (runbook 8.5, 9.3)."""

import pytest

from sandbox import until
from sinks import web

PERSON = '[[contacts.people]]\nrole = "DBA"\nname = "Mme Durand"\nphone = "+33 1 23"\nmail = "dba@example.com"\nscope = "< 4 h"\n'
LINE = "DBA: Mme Durand · +33 1 23 · dba@example.com (< 4 h)"


@pytest.fixture
def called(site):
    (site.home / "korrigo-backup.toml").write_text(PERSON)
    return site


@pytest.mark.contract("X3")
def test_an_error_that_leaves_the_site_stopped_names_the_contacts(called):
    called.backups.mkdir()
    (called.backups / ".services-stopped").write_text("backend\nnginx")
    lines = called.korrigo("backup", code=4).err.splitlines()
    assert lines[-2].startswith("state: STOPPED")
    assert lines[-1] == f"contact: {LINE}"


@pytest.mark.contract("X3")
def test_another_error_and_a_success_name_nobody(called):
    assert "contact:" not in called.korrigo("backup", code=8, env={"POSTGRES_PASSWORD": "wrong"}).output
    assert "contact:" not in called.korrigo("backup").output


@pytest.mark.contract("X3")
def test_the_notification_of_a_failure_names_the_contacts_and_one_of_a_success_does_not(called):
    with web() as hooks:
        env = {"KORRIGO_BACKUP_NOTIFY_URLS": f"json://127.0.0.1:{hooks.port}/hook"}
        called.korrigo("backup", code=8, env=env | {"POSTGRES_HOST": "/nowhere"})
        (failure,) = until(lambda: list(hooks.requests))
        assert f"contact: {LINE}" in failure.json["message"]
        hooks.requests.clear()
        called.korrigo("backup", env=env)
        (recovered,) = until(lambda: list(hooks.requests))
        assert "contact" not in recovered.json["message"]


@pytest.mark.contract("X3")
def test_diagnose_and_status_print_the_contacts(called):
    assert f"   {LINE}\n" in called.korrigo("diagnose").out
    assert f"  {LINE}\n" in called.korrigo("status", code=10).out


def test_a_contact_that_cannot_be_reached_is_refused_in_words(site):
    (site.home / "korrigo-backup.toml").write_text('[[contacts.people]]\nrole = "DBA"\nname = "Mme Durand"\n')
    assert "contacts.people.0: needs a contact, a phone or a mail" in site.korrigo("doctor", code=2).err
