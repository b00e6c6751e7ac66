"""What the rule of age may remove."""

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from korrigo_backup.domain.artifact import Artifact
from korrigo_backup.domain.manifest import Manifest
from korrigo_backup.domain.naming import Kind, Origin, stamp
from korrigo_backup.domain.retention import older_than
from sandbox import stamped

NOW = stamped(2026, 2, 4)


def artifact(days, *, origin=Origin.ROUTINE, manifest=True):
    created = NOW - timedelta(days=days)
    text = stamp(created)
    told = Manifest(timestamp=text, includes_media=False, database_backup=None, media_backup=None, backup_dir="")
    path = Path(f"db_backup_{text}.sql.gz")
    return Artifact(path, Kind.SQL, origin, text, created, 1, told if manifest else None)


def removed(artifacts, days):
    decisions = older_than(artifacts, days=days, now=NOW)
    assert [d.artifact for d in decisions] == artifacts
    assert all(decision.reason for decision in decisions)
    return [d.artifact for d in decisions if d.remove]


@pytest.mark.contract("K1")
def test_those_older_than_the_days_go_and_the_others_stay():
    old, edge, young, newest = artifact(31), artifact(30), artifact(29), artifact(0)
    assert removed([old, edge, young, newest], 30) == [old]


@pytest.mark.contract("T7")
@pytest.mark.promise("P4")
def test_the_newest_verified_one_stays_whatever_its_age():
    assert removed([artifact(400), artifact(300)], 30) == [artifact(400)]


@pytest.mark.contract("T7")
def test_one_without_a_manifest_is_not_the_newest_verified_one():
    good, unproven = artifact(300), artifact(1, manifest=False)
    assert removed([good, unproven], 30) == []


@pytest.mark.parametrize("days", [0, -1])
def test_zero_days_never_mean_delete_all(days):
    assert removed([artifact(400), artifact(300), artifact(0)], days) == []


def test_safety_backups_and_what_has_no_manifest_are_left_alone():
    safety, unproven = artifact(400, origin=Origin.SAFETY), artifact(400, manifest=False)
    assert removed([safety, unproven, artifact(0)], 30) == []


def test_a_backup_from_the_future_stays():
    assert removed([artifact(-5), artifact(31)], 30) == [artifact(31)]


@pytest.mark.promise("P4")
@given(st.lists(st.integers(-10, 500)), st.integers(-5, 400))
def test_something_verified_always_remains(ages, days):
    artifacts = [artifact(age) for age in ages]
    gone = removed(artifacts, days)
    assert not artifacts or len(gone) < len(artifacts)
    assert all(NOW - one.created > timedelta(days=days) for one in gone)
