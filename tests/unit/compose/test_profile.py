"""What a project needs of its machine: registries, variables told by images, mounts; and whose containers they are."""

from dataclasses import replace
from pathlib import Path

import pytest

from korrigo_backup.compose import machine_needs
from korrigo_backup.compose import profile as compose_profile
from korrigo_backup.compose.container import Container
from korrigo_backup.compose.elsewhere import made_elsewhere
from korrigo_backup.compose.profile import Bind, Profile, profile, registry_of, variables_of
from korrigo_backup.compose.project import Project
from korrigo_backup.kit.archive import LARGEST_FILE
from korrigo_backup.kit.readme import Needs, ReadmeFacts, readme


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("postgres:15-alpine", "docker.io"),
        ("library/postgres", "docker.io"),
        ("ghcr.io/school/backend:1", "ghcr.io"),
        ("localhost/backend", "localhost"),
        ("registry:5000/backend", "registry:5000"),
        ("harbor.school.example/x/y@sha256:00", "harbor.school.example"),
    ],
)
def test_the_registry_is_the_first_part_that_is_a_host(image, registry):
    assert registry_of(image) == registry


@pytest.mark.parametrize(
    ("written", "runs", "variables"),
    [
        ("ghcr.io/${OWNER}/b:${SHA:-latest}", "ghcr.io/school/b:3f9c", {"OWNER": "school", "SHA": "3f9c"}),
        ("${REGISTRY:?set it}/b:${SHA}", "localhost:5000/b:7", {"REGISTRY": "localhost:5000", "SHA": "7"}),
        ("$IMAGE", "a/b:c", {"IMAGE": "a/b:c"}),
        ("${A}${B}", "ab", {}),  # in two ways
        ("${A}/x:${A}", "y/x:y", {"A": "y"}),
        ("${A}/x:${A}", "y/x:z", {}),
        ("a/b:1", "a/b:2", {}),
        ("a/b:${SHA}", "other/b:2", {}),
    ],
)
def test_compose_variables_are_derived_from_the_running_image(tmp_path, written, runs, variables):
    file = tmp_path / "compose.yml"
    file.write_text(f"services: {{web: {{image: '{written}'}}, db: {{build: .}}}}\n")
    assert variables_of(Project((), (file,), {}), {"web": runs}) == variables


def test_a_variable_that_has_its_value_already_is_not_reported(tmp_path):
    file = tmp_path / "compose.yml"
    file.write_text("services: {web: {image: '${REGISTRY}/b:${SHA}'}}\n")
    (tmp_path / ".env").write_text("REGISTRY=r.example\n")
    assert variables_of(Project((), (file,), {}), {"web": "r.example/b:9"}) == {"SHA": "9"}
    assert variables_of(Project((), (file,), {"SHA": "9"}), {"web": "r.example/b:9"}) == {}
    other = tmp_path / "other.env"
    other.write_text("SHA=9\n")
    assert variables_of(Project((), (file,), {}, env_file=other), {"web": "r.example/b:9"}) == {"REGISTRY": "r.example"}


def test_the_output_of_compose_is_the_profile(monkeypatch):
    output = {
        "services": {
            "web": {
                "image": "ghcr.io/x/web",
                "volumes": [
                    {"type": "bind", "source": "/srv/a.py", "target": "/a.py", "read_only": True},
                    {"type": "volume", "source": "seed", "target": "/seed", "read_only": True},
                    {"type": "volume", "source": "data", "target": "/data"},
                    {"type": "tmpfs", "target": "/tmp"},
                ],
            },
            "worker": {"image": "w", "build": {"context": "."},
                       "volumes": [{"type": "bind", "source": "/srv/a.py", "target": "/a.py"}]},
        },
        "networks": {"default": {"name": "p_default"}, "o": {"name": "infra", "external": True}},
        "volumes": {"data": {"name": "p_data"}, "old": {"external": True},
                    "seed": {"driver_opts": {"o": "rw,bind", "device": "/srv/seed", "type": "none"}}},
    }  # fmt: skip
    monkeypatch.setattr(compose_profile, "resolved", lambda _: output)
    found = profile(Project((), (), {}))
    assert found == Profile(
        binds=(
            Bind(Path("/srv/a.py"), ("web", "worker"), writable=True),
            Bind(Path("/srv/seed"), ("web",), writable=False),
        ),
        networks=("infra",),
        volumes=("old",),
        images={"web": "ghcr.io/x/web"},
    )
    assert found.registries == ("ghcr.io",)
    monkeypatch.setattr(compose_profile, "resolved", lambda _: {"services": []})
    assert profile(Project((), (), {})) is None


def test_settings_go_into_the_kit_and_data_does_not(tmp_path, monkeypatch):
    settings, data, large = tmp_path / "settings", tmp_path / "data", tmp_path / "large"
    for place in (settings, data, large):
        place.mkdir()
        (place / "file").write_text("x")
    (large / "film").write_bytes(b"")
    with (large / "film").open("r+b") as film:
        film.truncate(LARGEST_FILE + 1)
    (settings / "__pycache__").mkdir()
    (settings / "__pycache__" / "a.pyc").write_bytes(b"")
    found = Profile(
        binds=(
            Bind(settings, ("web",), writable=False),
            Bind(data, ("web",), writable=True),
            Bind(large, ("web",), writable=False),
            Bind(large / "film", ("web",), writable=False),
            Bind(tmp_path / "gone", ("web",), writable=False),
            Bind(Path("/etc/localtime"), ("web",), writable=False),
            Bind(Path("/proc/meminfo"), ("web",), writable=False),
        ),
        networks=("infra",),
        volumes=("old",),
        images={"web": "ghcr.io/x/web:${SHA}"},
    )
    monkeypatch.setattr(machine_needs, "profile", lambda _: found)
    monkeypatch.setattr(machine_needs, "_images", lambda _: {"web": "ghcr.io/x/web:1"})
    monkeypatch.setattr(machine_needs, "_inspected", lambda *_: {"Driver": "overlay", "Attachable": True})
    machine = machine_needs.machine_of(Project((), (), {}))
    assert machine.files == (settings / "file",)
    assert machine.needs.directories == (str(data), str(large))
    assert machine.needs.left_out == (str(large), str(large / "film"), str(tmp_path / "gone"))
    assert machine.needs.networks == (("--driver", "overlay", "--attachable", "infra"),)
    assert machine.needs.registries == ("ghcr.io",)


def test_the_readme_brings_up_the_database_alone_before_the_site():
    facts = ReadmeFacts("korrigo", "production", "/srv/k", "korrigo-backup", "/srv/b", "viatique", "u",
                  compose=("docker", "compose", "-f", "c.yml"))  # fmt: skip
    needs = Needs(
        (("infra",),), ("old",), ("/srv/data",), ("/srv/film",), ("ghcr.io",), (("SHA", "a b"),), (("web", "w:1"),)
    )
    text = readme(replace(facts, needs=needs), ())
    for line in (
        "docker network inspect infra > /dev/null || docker network create infra",
        "docker volume create old ",
        "mkdir -p /srv/data",
        "ls -d /srv/film ",
        "docker login ghcr.io",
        "export SHA='a b' ",
        "# web ran w:1",
    ):
        assert f"\n{line}" in text
    database, site = text.index("up -d --wait db\n"), text.index("up -d --build --wait\n")
    assert database < text.index("korrigo-backup rebuild") < site < text.index("korrigo-backup validate")


def container(directory, *files):
    return replace(one_container(), directory=str(directory), files=tuple(map(str, files)))


def one_container():
    return Container("1", "web", running=True, status="running", health=None, depends_on=frozenset(), mounts=())


def test_containers_made_from_another_directory_are_reported(tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    for place in (here, there):
        place.mkdir()
        (place / "c.yml").write_text("services: {}\n")
    (tmp_path / "link").symlink_to(here)
    project = Project((), (here / "c.yml",), {})
    assert made_elsewhere(project, (container(there, there / "c.yml"),)) == there
    assert made_elsewhere(project, (container(here, here / "c.yml"),)) is None
    assert made_elsewhere(project, (container(tmp_path / "link"),)) is None
    assert made_elsewhere(project, (container(tmp_path / "gone"),)) is None  # moved, or renamed
    assert made_elsewhere(project, (container(there, here / "c.yml"),)) is None  # --project-directory
    assert made_elsewhere(project, (container(""),)) is None  # Compose v1
    assert made_elsewhere(replace(project, started_from=there), (container(there),)) is None
    assert made_elsewhere(replace(project, files=()), (container(there),)) is None
