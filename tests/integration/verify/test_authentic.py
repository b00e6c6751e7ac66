"""Only what this site's key has signed is restored; the rest must be meant, and gets no superuser's rights."""

import gzip
import json

import pytest

from sandbox import nothing_changes


def manifest_of(path):
    return path.with_name(path.name + ".manifest.json")


@pytest.mark.promise("P5")
def test_an_unsigned_dump_is_refused_before_anything_is_changed(site):
    made = site.backup()
    raw = json.loads(manifest_of(made).read_text())
    del raw["auth"]
    manifest_of(made).write_text(json.dumps(raw))
    before = site.content()
    with nothing_changes(site):
        done = site.korrigo("restore", made, "--yes", code=4)
        plan = site.korrigo("plan", made, code=4)
    assert "has no signature: its origin is not proven" in done.err
    assert "add --allow-unsigned" in done.err
    assert "has no signature" in plan.out
    site.wreck()
    assert "allowed" in site.korrigo("restore", made, "--yes", "--allow-unsigned").out
    assert site.content() == before


@pytest.mark.promise("P5")
def test_a_file_without_a_manifest_is_refused_too(site):
    foreign = site.home / "db_backup_20260101_030000.sql.gz"
    foreign.write_bytes(site.backup().read_bytes())
    with nothing_changes(site):
        done = site.korrigo("restore", foreign, "--yes", code=4)
    assert "has no manifest, so its origin is unknown" in done.err


@pytest.mark.promise("P5")
def test_an_altered_manifest_is_refused_whatever_is_allowed(site):
    made = site.backup()
    manifest_of(made).write_text(manifest_of(made).read_text().replace('"korrigo"', '"another"'))
    with nothing_changes(site):
        done = site.korrigo("restore", made, "--yes", "--allow-unsigned", "--into-other-site", code=9)
    assert "was altered: its signature does not fit" in done.err
    assert "was altered" in site.korrigo("verify", made, code=9).err


def test_another_key_is_unknown_until_it_is_added_to_the_ring(site):
    made = site.backup()
    key = site.home / ".config" / "korrigo-backup" / "key"
    old = key.read_text()
    key.write_text("ab" * 32 + "\n")
    with nothing_changes(site):
        done = site.korrigo("restore", made, "--yes", code=4)
    assert "was signed with a key that this site does not have" in done.err
    key.write_text("ab" * 32 + "\n" + old)
    site.korrigo("restore", made, "--yes", "--no-safety-backup")


def test_an_old_backup_under_a_newer_name_is_reported_as_renamed(site):
    made = site.backup()
    later = made.with_name("db_backup_20991231_235959.sql.gz")
    manifest_of(made).rename(manifest_of(later))
    made.rename(later)
    assert "was renamed: it was made at" in site.korrigo("plan", later).out
    assert "was renamed: it was made at" in site.korrigo("verify", later).out


@pytest.mark.parametrize(
    "env",
    [{"KORRIGO_BACKUP_SITE": "lycee-hugo"}, {"KORRIGO_BACKUP_ENVIRONMENT": "staging"}],
    ids=["site", "environment"],
)
def test_a_backup_of_another_site_is_refused_unless_it_is_meant_and_its_name_is_typed(site, env):
    made = site.backup()
    before = site.content()
    site.wreck()
    name = env.get("KORRIGO_BACKUP_SITE", "korrigo")
    with nothing_changes(site):
        done = site.korrigo("restore", made, "--yes", code=4, env=env)
        site.korrigo("restore", made, "--into-other-site", code=5, env=env, stdin="yes\n")
    assert "this is a backup of korrigo production, and this site is" in done.err
    assert "--into-other-site" in done.err
    site.korrigo("restore", made, "--into-other-site", env=env, stdin=f"{name}\n")
    assert site.content() == before


@pytest.mark.promise("P5")
def test_verify_reports_the_signature_and_accepts_an_unsigned_file(site):
    made = site.backup()
    assert "signed with this site's key" in site.korrigo("verify", made).out
    manifest_of(made).unlink()
    assert "so its origin is unknown" in site.korrigo("verify", made).out
    assert gzip.decompress(made.read_bytes())
