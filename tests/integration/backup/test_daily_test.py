"""The runbook's daily test of the backup, as its script."""

import shutil

import pytest

from sandbox import KORRIGO, PROJECT

DAMAGING = """#!/bin/sh
{0} "$@" || exit
[ "$1" = verify ] || printf x | dd of=backups/db_backup_latest.sql.gz bs=1 seek=500 conv=notrunc status=none
"""
"""A command after whose backup the disk changes a byte of it."""


@pytest.mark.contract("D1")
def test_the_backup_of_the_day_is_made_and_read_to_its_last_row(site):
    done = site.script("test_backup.sh")
    (dump,) = site.backups.glob("db_backup_2*.sql.gz")
    lines = done.out.splitlines()
    assert lines[0] == "=== TEST BACKUP QUOTIDIEN ==="
    assert "✅ BACKUP TEST PASSED" in lines
    assert f"✅ Backup validation passed: {dump}" in lines
    assert lines[-2].startswith("📊 Backup size: ")
    assert lines[-1].startswith("🕒 Backup age: 20")


@pytest.mark.contract("D1")
def test_a_backup_that_cannot_be_made_or_is_damaged_fails_the_test(site):
    done = site.script("test_backup.sh", env={"POSTGRES_PASSWORD": "wrong"}, code=1)
    assert "❌ Backup failed" in done.out
    assert "PASSED" not in done.out
    place = site.home / "scripts"
    place.mkdir()
    shutil.copy(PROJECT / "scripts" / "test_backup.sh", place)
    (site.home / ".venv" / "bin").mkdir(parents=True)
    command = site.home / ".venv" / "bin" / "korrigo-backup"
    command.write_text(DAMAGING.format(KORRIGO))
    command.chmod(0o755)
    done = site.run([str(place / "test_backup.sh")], code=1)
    assert "❌ Corrupted backup" in done.out
    assert "PASSED" not in done.out
