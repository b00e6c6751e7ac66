"""Mounts of containers: which holds the media, and which services can write there."""

from typing import Any

import pytest

from korrigo_backup.compose import media as compose_media
from korrigo_backup.compose.container import Container, ContainerMount, mount_of, writers
from korrigo_backup.compose.media import media_tree
from korrigo_backup.errors import NotFound
from korrigo_backup.system.run import Completed

DATA = ContainerMount("volume", "/vol/data", "/srv/data", "data")
CODE = ContainerMount("bind", "/home/site", "/srv")
OTHER = ContainerMount("volume", "/vol/other", "/srv/database")


def container(service, *mounts, depends=()):
    return Container(
        service,
        service,
        running=True,
        status="running",
        health=None,
        depends_on=frozenset(depends),
        mounts=tuple(mounts),
    )


@pytest.mark.parametrize(
    ("directory", "mount"),
    [("/srv/data", DATA), ("/srv/data/media", DATA), ("/srv/media", CODE), ("/srv/database", OTHER), ("/app", None)],
)
def test_the_nearest_mount_holds_a_directory(directory, mount):
    assert mount_of([CODE, DATA, OTHER], directory) == mount


@pytest.mark.contract("T3")
def test_a_service_that_has_the_media_s_volume_under_another_name_writes():
    elsewhere = ContainerMount("volume", "/vol/data", "/files", "data")
    reader = ContainerMount("volume", "/vol/data", "/files", "data", rw=False)
    present = [
        container("backend", DATA, depends=["db"]),
        container("importer", elsewhere),
        container("nginx", reader),
        container("db", OTHER),
    ]
    assert writers(present, database="db", media="/srv/data/media") == {"backend", "importer"}


class Here:
    """A project whose one container has a mount; there is no engine."""

    def __init__(self, *mounts):
        self.mounts = mounts
        self.environment = {}

    def container(self, service):
        return container(service, *self.mounts)


def test_media_below_a_mount_are_found_and_code_without_media_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr(compose_media, "run", lambda *_, **__: Completed(0, b"unix:///var/run/docker.sock", ""))
    (tmp_path / "media").mkdir()
    project: Any = Here(ContainerMount("bind", str(tmp_path), "/srv"))

    def root_of(media):
        tree = media_tree(project, "web", media, ("manage.py",))
        return tree.root if tree else None

    assert root_of("/srv/media") == tmp_path / "media"
    assert root_of("/srv") == tmp_path
    assert root_of("/srv/uploads") is None
    assert root_of("/elsewhere") is None


@pytest.mark.promise("P10")
@pytest.mark.parametrize("others", [(), ("db",)])
def test_a_container_is_made_only_in_a_project_that_has_others(others):
    """A project without any may have the wrong name: a container in it would be a second, empty stack."""
    asked = []

    class Missing:
        def __init__(self):
            self.seen = list(others)

        def container(self, service):
            raise NotFound(f"no container of {service}", hint="its name")

        def make_container(self, service):
            asked.append(service)

    project: Any = Missing()
    with pytest.raises(NotFound):
        media_tree(project, "backend", "/app/media", (), lambda _: None)
    assert asked == (["backend"] if others else [])
