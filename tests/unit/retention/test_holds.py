"""Holds in their file, and what is left when a hold, a signal or a missing right comes while backups are removed."""

import errno
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from korrigo_backup.artifact.artifact import Artifact
from korrigo_backup.artifact.catalog import Catalog
from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.manifest import Manifest
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.errors import Interrupted, Refused
from korrigo_backup.retention import holds
from korrigo_backup.retention.hold import Hold, standing
from korrigo_backup.retention.policy import Decision
from korrigo_backup.retention.prune import Pruning, carry_out
from korrigo_backup.run.step import silent
from korrigo_backup.system import files

NOW = datetime(2026, 2, 4, 12, tzinfo=UTC)


def hold(name, **more):
    return Hold(name=name, reason="appeal", holder="dpo", since=NOW, **more)


@pytest.mark.promise("P4")
@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"null", b"{}", b"[{]", b"\xff", b'[{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}]"],
    ids=["empty", "blank", "null", "object", "cut", "bytes", "deep"],
)
def test_an_empty_or_damaged_file_of_holds_is_refused(tmp_path, content):
    assert holds.read(tmp_path) == ()
    (tmp_path / ".holds.json").write_bytes(content)
    with pytest.raises(Refused, match="cannot be read"):
        holds.read(tmp_path)
    with pytest.raises(Refused, match="cannot be read"):
        holds.add(tmp_path, hold("db"))


def test_the_hold_that_lasts_longer_counts():
    holds_on_it = [
        Hold(name="db", reason=why, holder="ops", since=NOW, until=end)
        for why, end in (("a", NOW + timedelta(days=1)), ("b", None), ("c", NOW + timedelta(days=9)))
    ]
    assert standing(holds_on_it, NOW)["db"].reason == "b"
    assert standing(holds_on_it[::2], NOW)["db"].reason == "c"
    assert standing(holds_on_it[:1], NOW + timedelta(days=2)) == {}


@pytest.mark.promise("P4")
def test_a_hold_added_to_a_point_during_pruning_keeps_its_parts(tmp_path):
    names = ["db_backup_20260101_000000.sql.gz", "media_backup_20260101_000000.tar.gz"]
    manifest = Manifest(
        timestamp="20260101_000000", includes_media=True, database_backup=names[0], media_backup=names[1], backup_dir=""
    )
    point = artifact(tmp_path / "restore_point_20260101_000000.json", Kind.POINT, manifest)
    parts = [artifact(tmp_path / name, kind, None) for name, kind in zip(names, (Kind.SQL, Kind.MEDIA), strict=True)]
    other = artifact(tmp_path / "db_backup_20251231_000000.sql.gz", Kind.SQL, None)
    leaving = Pruning(tuple(Decision(one, remove=True, reason="old") for one in [*parts, other, point]))
    holds.add(tmp_path, hold(point.name))
    assert carry_out(Catalog(tmp_path), leaving, now=NOW, listen=silent) == 1
    assert [one.path.exists() for one in (point, *parts, other)] == [True, True, True, False]


def artifact(path, kind, manifest):
    path.write_bytes(b"x")
    return Artifact(
        directory=path.parent,
        name=path.name,
        kind=kind,
        origin=Origin.ROUTINE,
        stamp="20260101_000000",
        created=NOW - timedelta(days=34),
        size=1,
        source=manifest,
        authenticity=Authenticity.UNSIGNED,
    )


@pytest.fixture
def zone():
    def use(name):
        os.environ["TZ"] = name
        time.tzset()

    before = os.environ.get("TZ")
    yield use
    os.environ.pop("TZ") if before is None else use(before)
    time.tzset()


@pytest.mark.parametrize("name", ["Pacific/Auckland", "America/Los_Angeles"])
def test_the_end_of_a_hold_is_shown_as_the_local_day_that_was_given(zone, name):
    zone(name)
    until = datetime(2026, 12, 31).astimezone().astimezone(UTC)
    assert hold("db", until=until).described() == "held by dpo until 2026-12-31: appeal"


@pytest.mark.parametrize("name", ["Pacific/Auckland", "America/Los_Angeles"])
@pytest.mark.parametrize("stamp", ["00010101_000000", "99991231_235959"])
def test_a_year_that_cannot_be_calculated_with_takes_no_list_with_it(zone, tmp_path, name, stamp):
    zone(name)
    (tmp_path / f"db_backup_{stamp}.sql.gz").write_bytes(b"")
    (tmp_path / "db_backup_20260101_000000.sql.gz").write_bytes(b"")
    found = Catalog(Path(tmp_path)).survey()
    assert [one.stamp for one in found.artifacts] == ["20260101_000000"]
    assert [(one.name[10:25], one.ours) for one in found.strangers] == [(stamp, True)]


@pytest.mark.promise("P3")
def test_a_removal_that_is_cut_off_leaves_no_half_backup(tmp_path, monkeypatch):
    catalog, path = Catalog(tmp_path), tmp_path / "korrigo_backup_20260101_000000"
    path.mkdir()
    for name in ("manifest.json", "db.json", "media.zip"):
        (path / name).write_bytes(b"x")
    (found,) = catalog.artifacts()

    def cut(directory):
        (directory / "db.json").unlink()
        raise Interrupted("")

    with monkeypatch.context() as patched, pytest.raises(Interrupted):
        patched.setattr(files, "remove_tree", cut)
        catalog.remove(found)
    assert catalog.artifacts() == []
    with catalog.exclusive("the next run"):
        assert os.listdir(tmp_path) == [".lock"]


def test_a_directory_that_cannot_be_removed_is_not_in_the_way_of_the_next_run(tmp_path, monkeypatch):
    catalog, path = Catalog(tmp_path), tmp_path / "korrigo_backup_20260101_000000"
    path.mkdir()
    (found,) = catalog.artifacts()

    def shut(directory):
        raise PermissionError(errno.EACCES, "Permission denied", str(directory))

    with monkeypatch.context() as patched, pytest.raises(Refused, match="cannot delete"):
        patched.setattr(files, "remove_tree", shut)
        catalog.remove(found)
    assert path.is_dir()
    with catalog.exclusive("the next run"):
        assert path.is_dir()
