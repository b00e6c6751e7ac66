"""A Method 2 backup by one command from the host, for a site whose manage.py runs on this machine."""

import json
import shlex

import pytest

from demosite import MANAGE
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


def test_a_backup_with_a_failing_manage_py_leaves_no_files_and_reports_the_cause(demo):
    with nothing_changes(demo):
        done = demo.korrigo("backup", "full", "--method", "django", code=2, env={"KORRIGO_BACKUP_MANAGE": "/nowhere"})
        demo.korrigo("backup", "db", "--method", "django", code=2)
    assert "cannot run /nowhere" in done.err
    assert demo.hidden() == set()


@pytest.mark.contract("K3")
def test_prune_removes_the_media_that_a_restore_by_manage_py_alone_has_kept(demo):
    manage = [*shlex.split(MANAGE)]
    demo.run([*manage, "backup", "--include-media", "--output-dir", str(demo.backups)], env=demo.env)
    (made,) = demo.backups.glob("korrigo_backup_*")
    done = demo.run([*manage, "restore", str(made), "--stamp", "20200101_000000"], env=demo.env)
    previous = demo.media / ".before-20200101_000000"
    assert f"Previous media kept in: {previous}" in done.out
    assert previous.name in demo.korrigo("prune").out
    demo.korrigo("prune", "--apply")
    assert not previous.exists()


def test_schemas_that_it_does_not_hold_are_accepted_from_the_host_too(demo):
    demo.sql("CREATE SCHEMA tenant; CREATE TABLE tenant.exams_copy AS SELECT * FROM exams_copy")
    refused = demo.korrigo("backup", "full", "--method", "django", code=4)
    assert "leave them out: --accept schemas" in refused.err
    assert "korrigo-backup backup full --method django" in demo.korrigo("status", code=10).out
    done = demo.korrigo("backup", "full", "--method", "django", "--accept", "schemas")
    assert "tables of the site's apps in other schemas" in done.out


def test_links_owners_and_bits_of_the_media_that_it_does_not_hold_are_named(demo):
    (demo.media / "link").symlink_to("copies")
    (demo.media / "copies").chmod(0o2775)
    done = demo.korrigo("backup", "full", "--method", "django")
    (made,) = demo.backups.glob("korrigo_backup_*")
    for printed in (done.out, demo.korrigo("plan", made).out, demo.korrigo("verify", made).out):
        assert "⚠️ media: symbolic link left out: link" in printed
        assert "⚠️ media: owner or set-ID bits left out: copies" in printed
