"""The saved states of a site, in the order of time."""

from datetime import timedelta
from pathlib import Path

import pytest

from korrigo_backup.artifact.artifact import Artifact
from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.manifest import Manifest
from korrigo_backup.artifact.naming import compose, stamp
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.errors import UsageError
from korrigo_backup.rescue.points import Window, chosen, media_of, read_moment, read_window
from local_times import stamped

NOW = stamped(2026, 2, 4)


def artifact(days, kind=Kind.SQL, *, origin=Origin.ROUTINE, authenticity=Authenticity.AUTHENTIC, **fields):
    created = NOW - timedelta(days=days)
    manifest = Manifest(
        timestamp=stamp(created),
        includes_media=False,
        database_backup=fields.pop("database", None),
        media_backup=fields.pop("media", None),
        backup_dir="",
    )
    return Artifact(
        directory=Path("/backups"),
        name=compose(kind, origin, stamp(created)),
        kind=kind,
        origin=origin,
        stamp=stamp(created),
        created=created,
        size=1,
        source=manifest,
        authenticity=authenticity,
        **fields,
    )


def point(days, dump, media):
    return artifact(days, Kind.POINT, database=dump.name, media=media.name)


def test_dumps_and_media_are_in_the_order_of_time_whatever_their_origin():
    old, safety, new = artifact(3), artifact(2, origin=Origin.SAFETY), artifact(1)
    media = artifact(1, Kind.MEDIA)
    points = chosen([new, media, old, safety], Window())
    assert points.dumps == (old, safety, new)
    assert points.media == (media,)


def test_what_is_altered_or_of_another_site_is_no_point():
    forged, foreign = artifact(3, authenticity=Authenticity.FORGED), artifact(2, ours=False)
    points = chosen([forged, foreign, artifact(1)], Window())
    assert len(points.dumps) == 1
    assert [name for name, _ in points.passed_over] == [forged.name]


def test_the_media_of_a_dump_are_those_of_its_restore_point():
    dump, near, own = artifact(5), artifact(5.1, Kind.MEDIA), artifact(4, Kind.MEDIA)
    points = chosen([dump, near, own, point(4, dump, own)], Window())
    assert media_of(points, dump) == own


def test_without_a_restore_point_the_media_nearest_in_time_are_taken():
    dump, near, far = artifact(5), artifact(5.1, Kind.MEDIA), artifact(2, Kind.MEDIA)
    assert media_of(chosen([dump, near, far], Window()), dump) == near


def test_a_window_holds_its_ends():
    window = Window(NOW - timedelta(days=2), NOW)
    assert [one.created for one in chosen([artifact(0), artifact(2), artifact(2.1)], window).dumps] == [
        NOW - timedelta(days=2),
        NOW,
    ]


def test_a_day_ends_at_its_end():
    window = read_window("2026-05-04", "2026-05-04")
    assert window.since
    assert window.until
    assert window.until - window.since > timedelta(hours=23)


@pytest.mark.parametrize("text", ["yesterday", "", "2026-13-01", "0001-01-01"])
def test_another_text_is_no_time(text):
    with pytest.raises(UsageError, match="not a time"):
        read_moment(text)


def test_a_window_does_not_end_before_it_begins():
    with pytest.raises(UsageError, match="before"):
        read_window("2026-05-05", "2026-05-04")
