"""A Method 2 backup by one command from the host, for a site whose manage.py runs on this machine."""

import json

import pytest

from sandbox import nothing_changes


@pytest.mark.contract("B5")
def test_one_command_makes_verifies_and_signs_a_django_backup(demo):
    before = demo.content(), demo.tree()
    done = demo.korrigo("backup", "full", "--method", "django")
    assert (demo.content(), demo.tree()) == before
    (made,) = demo.backups.glob("korrigo_backup_*")
    manifest = json.loads((made / "manifest.json").read_text())
    assert f"Backup created: {made}" in done.out
    assert (manifest["kind"], manifest["site"], manifest["environment"]) == ("django", "korrigo", "production")
    assert manifest["backup_dir"] == str(made)
    assert manifest["includes_media"] is True
    assert manifest["auth"]["key"]
    assert demo.json("list", "--kind", "django")["items"][0]["proof"] == "rows"
    assert "signature authentic" in demo.korrigo("show", made).out
    demo.korrigo("verify", made)
    assert demo.hidden() == set()


def test_a_manage_py_that_fails_leaves_no_backup_and_says_why(demo):
    with nothing_changes(demo):
        done = demo.korrigo("backup", "full", "--method", "django", code=2, env={"KORRIGO_BACKUP_MANAGE": "/nowhere"})
        demo.korrigo("backup", "db", "--method", "django", code=2)
    assert "cannot run /nowhere" in done.err
    assert demo.hidden() == set()
