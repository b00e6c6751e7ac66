"""Only what ran is started: Compose starts what a service depends on as well, so that is looked at first."""

from dataclasses import replace
from typing import Any

import pytest

from korrigo_backup.compose.container import Container
from korrigo_backup.compose.services import ComposeServices, asleep, in_order
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.site.health import Health

DEPENDS = {
    "nginx": {"backend"},
    "celery": {"backend", "redis"},
    "backend": {"db", "redis"},
    "db": set(),
    "redis": set(),
}


def present(*stopped):
    return {
        name: Container(name, name, name not in stopped, "", None, frozenset(needs), ())
        for name, needs in DEPENDS.items()
    }


@pytest.mark.contract("R8")
@pytest.mark.parametrize(
    ("services", "stopped", "found"),
    [
        (["nginx", "celery"], ("nginx", "celery", "backend"), {"backend"}),
        (["nginx", "backend"], ("nginx", "backend"), set()),
        (["nginx"], ("nginx", "redis"), {"redis"}),
        (["db"], ("db", "backend"), set()),
        (["gone"], ("db",), set()),
    ],
)
def test_what_does_not_run_and_is_depended_on_is_found(services, stopped, found):
    assert asleep(services, present(*stopped)) == found


class Scripted:
    """A project whose containers are, at each question, the next of a list; the last stays."""

    shown = "docker compose"

    def __init__(self, *states):
        self.states = list(states)

    def containers(self):
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def container(name, **known):
    usual: dict[str, Any] = {
        "running": True,
        "status": "running",
        "health": None,
        "depends_on": frozenset(),
        "mounts": (),
    }
    return Container(name, name, **usual | known)


def seen(**health):
    return [
        container(name, health=state, depends_on=frozenset({"db"}), limit=0.0 if state else None)
        for name, state in health.items()
    ]


def scripted(*states, limit=None):
    project: Any = Scripted(*states)
    return ComposeServices(project, "db", "web", None, (), None, limit)


def awaited(*states, unwell=(), limit=5.0, names=("web", "worker")):
    services = scripted(*states, limit=limit)
    return services.await_health(names, Health(frozenset(unwell)), lambda _: None)


@pytest.mark.contract("R8")
def test_a_service_that_is_starting_is_waited_for():
    assert awaited(seen(web="starting", worker=None), seen(web="healthy", worker=None)) == ()


@pytest.mark.contract("R8")
def test_a_service_that_the_engine_calls_unhealthy_ends_the_wait_at_once():
    with pytest.raises(KorrigoBackupError, match=r"not healthy after 0 s: worker \(unhealthy\)") as caught:
        awaited(seen(web="starting", worker="unhealthy"), limit=1e6)
    assert caught.value.hint == "see why: docker compose logs worker"


@pytest.mark.contract("R8")
def test_a_service_that_was_unhealthy_before_is_named_and_fails_nothing():
    assert awaited(seen(web="healthy", worker="unhealthy"), unwell=["worker"]) == ("worker (unhealthy)",)


def test_a_check_of_its_own_gives_the_time_unless_a_limit_is_configured():
    services = scripted(seen(web="starting"))
    assert services._limit([container("a", health="starting", limit=195.0)]) == 195
    assert services._limit([container("a")]) == 60
    assert replace(services, health_timeout=7)._limit(seen(web="starting")) == 7


@pytest.mark.contract("R8")
def test_a_service_starts_after_its_dependencies():
    order = [one.service for one in in_order(list(reversed(present().values())))]
    assert order.index("db") < order.index("backend") < order.index("nginx")
    assert order.index("redis") < order.index("backend") < order.index("celery")


def test_a_circle_of_dependencies_is_started_all_the_same():
    one, other = (container(a, running=False, depends_on=frozenset({b})) for a, b in (("a", "b"), ("b", "a")))
    assert in_order([one, other]) == [one, other]


def test_a_service_whose_container_is_gone_is_named_and_not_started():
    services = scripted(seen(web="healthy"))
    with pytest.raises(KorrigoBackupError, match="no container of worker any more") as caught:
        services.start(["web", "worker"])
    assert caught.value.hint == "make it: docker compose up -d worker"
