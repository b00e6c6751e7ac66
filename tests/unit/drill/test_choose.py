"""A restore point whose media do not fit in the place of a drill."""

from types import SimpleNamespace
from typing import Any

import pytest

from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.drill import choose
from korrigo_backup.drill.choose import NO_MEDIA, fitting
from korrigo_backup.errors import NotFound, Unreachable
from korrigo_backup.places.place import PlaceName

POINT = SimpleNamespace(name="restore_point_20260204_030000.json")
CATALOG: Any = None
MEDIA = SimpleNamespace(kind=Kind.MEDIA, manifest=SimpleNamespace(media=SimpleNamespace(bytes=5_000_000)))
DUMP = SimpleNamespace(kind=Kind.SQL, manifest=SimpleNamespace(media=None))


def place(free, name=PlaceName.STAGING) -> Any:
    return SimpleNamespace(name=name, label="on staging", free=free)


def drilled(at: Any, found: list[Any]) -> Any:
    point: Any = POINT
    return fitting(CATALOG, point, at, found)


@pytest.fixture
def parts(monkeypatch):
    monkeypatch.setattr(choose, "components", lambda *_: (DUMP, MEDIA))


def test_media_that_fit_are_drilled(parts):
    found = list[Any]()
    assert drilled(place(lambda: (None, 5_000_000)), found) is POINT
    assert drilled(place(lambda: (None, None)), found) is POINT
    assert found == []


def test_without_room_the_database_alone_is_drilled_and_other_places_are_named(parts):
    found = list[Any]()
    assert drilled(place(lambda: (None, 10)), found) is DUMP
    assert [one.id for one in found] == [NO_MEDIA]
    assert found[0].hint.endswith("--place beside or --place local")


@pytest.mark.promise("P1")
def test_a_point_that_lacks_a_component_is_left_to_the_drill_which_records_that(monkeypatch):
    def gone(*_):
        raise NotFound("media_backup_… is gone", hint="copy it back")

    monkeypatch.setattr(choose, "components", gone)
    assert drilled(place(lambda: (None, 10)), []) is POINT


def test_a_place_that_does_not_answer_is_left_to_the_drill(parts):
    def silent():
        raise Unreachable("staging does not answer", hint="start it")

    assert drilled(place(silent), []) is POINT
