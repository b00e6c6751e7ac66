"""A site with a Django backup, wrecked since: for what restores it from the host."""

import os
import shutil

import pytest

from demosite import MANAGE, TEMPLATE, Validated
from sandbox import USER, connect, quoted

SERVICES = '[services]\nstop = [["sh", "-c", "echo stopped > {0}"]]\nstart = [["sh", "-c", "echo started > {0}"]]\n'

EARLIER = """
import msgspec
from korrigo_backup.djangoapp.probe import describe as module

described = module.describe
module.describe = lambda alias: msgspec.structs.replace(described(alias), stages=False)
"""
"""Settings of a site whose korrigo-backup is an earlier version: it loads no database but that of the settings."""


@pytest.fixture(scope="session")
def saved(seeded):
    """A Django backup of the reference site, made once, of a database of the name that each test's copy has."""
    site = Validated(seeded.server, f"{TEMPLATE}_copy", seeded.home)
    site.extra = {"KORRIGO_BACKUP_MANAGE": MANAGE, "DEBUG": "1"}
    if any(site.backups.glob("korrigo_backup_*")):  # two folders of tests import this fixture
        return site
    with connect(seeded.server) as admin:
        admin.execute(f"CREATE DATABASE {quoted(site.database)} TEMPLATE {TEMPLATE} OWNER {USER}")
        site.korrigo("backup", "full", "--method", "django")
        admin.execute(f"DROP DATABASE {quoted(site.database)}")
    return site


@pytest.fixture
def wrecked(saved, demo):
    """A site with a Django backup (`demo.made`), how it was then (`demo.new`) and how it is now (`demo.old`)."""
    demo.toml(SERVICES.format(demo.home / "services"))
    shutil.copytree(saved.home / ".config", demo.home / ".config")
    shutil.copytree(saved.one("korrigo_backup_*"), demo.backups / saved.one("korrigo_backup_*").name)
    demo.made = demo.one("korrigo_backup_*")
    demo.new = demo.rows(), demo.tree()
    demo.sql("UPDATE exams_exam SET name = 'lost'; DELETE FROM exams_annotation")
    demo.write("intruder.pdf", b"of today")
    demo.any_file("**/*.pdf").write_bytes(b"changed")
    demo.old = demo.rows(), demo.tree()
    assert demo.old != demo.new
    return demo


@pytest.fixture
def in_place(wrecked):
    """The same with an earlier version of korrigo-backup, so that a Django backup is restored in place."""
    wrecked.settings(EARLIER)
    return wrecked


def now(site):
    return site.rows(), site.tree()


def left(site):
    """What a run must not leave: things staged, records, stopped services."""
    names = [name for name in os.listdir(site.media) if name.startswith((".stage", ".journal", ".absent"))]
    names += [name for name in site.databases() if "_stage_" in name or "_back_" in name]
    return names + sorted(site.hidden())
