"""The services of a staging site are stopped during a drill and started at its end, however it ends."""

from types import SimpleNamespace
from typing import Any

import pytest

from korrigo_backup.errors import ProofFailed, Unreachable, World
from korrigo_backup.places.staging import StagingServices
from korrigo_backup.run.step import silent


class StagingProject:
    """A Compose project that notes its calls; with `broken` its services do not start."""

    def __init__(self, *, broken: bool = False) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.broken = broken

    def containers(self):
        return [SimpleNamespace(service="backend"), SimpleNamespace(service="db")]

    def call(self, *words: str) -> None:
        self.calls.append(words)
        if self.broken and words[0] == "start":
            raise Unreachable("Docker does not answer", hint="start it")


def services(project: Any) -> StagingServices:
    return StagingServices(project, ("backend", "worker"))


def test_the_services_that_have_a_container_are_stopped_and_started():
    project = StagingProject()
    with services(project).stopped(silent):
        assert project.calls == [("stop", "backend")]
    assert project.calls == [("stop", "backend"), ("start", "backend")]


@pytest.mark.parametrize("ending", [ProofFailed("rows differ", hint="look"), KeyboardInterrupt()])
def test_they_are_started_after_a_failure_too(ending):
    project = StagingProject()
    with pytest.raises(type(ending)), services(project).stopped(silent):
        raise ending
    assert project.calls[-1] == ("start", "backend")


def test_services_that_do_not_start_are_an_error():
    with pytest.raises(Unreachable), services(StagingProject(broken=True)).stopped(silent):
        pass


@pytest.mark.promise("P1")
def test_the_verdict_about_the_backup_stays_and_names_the_stopped_services():
    with pytest.raises(ProofFailed) as raised, services(StagingProject(broken=True)).stopped(silent):
        raise ProofFailed("rows differ", hint="look")
    assert raised.value.world is World.CHANGED
    assert raised.value.state == "services of the staging site are stopped: backend: Docker does not answer"
