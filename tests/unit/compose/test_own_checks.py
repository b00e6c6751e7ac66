"""Containers through the engine's own commands: asked by label, checked by us, stopped side by side, workers first."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from health_server import answering
from korrigo_backup.compose import checks as compose_checks
from korrigo_backup.compose import project as compose
from korrigo_backup.compose.checks import OwnChecks
from korrigo_backup.compose.project import Project, find_program
from korrigo_backup.compose.services import ComposeServices
from korrigo_backup.site.health import Health

DOCKER = r"""#!/bin/sh
echo "$*" >>"$LOG"
case "$1" in
compose) echo one two ;;
ps) echo one two ;;
inspect) cat "$CONTAINERS" ;;
exec) shift 2; exec "$@" ;;
esac
"""


def inspected(service, *, check=None, health="starting", shell=None, image="", depends_on="", port=None):
    bound = {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]} if port else {}
    return {
        "Id": f"id-{service}",
        "Image": image,
        "State": {
            "Running": True,
            "Status": "running",
            "StartedAt": "2026-01-02T03:04:05Z",
            "ExitCode": 0,
            "Health": {"Status": health} if check else None,
        },
        "Config": {
            "Labels": {
                "com.docker.compose.project": "site",
                "com.docker.compose.service": service,
                "com.docker.compose.depends_on": depends_on,
            },
            "Healthcheck": {"Test": check} if check else None,
            "Shell": shell,
        },
        "NetworkSettings": {"Ports": bound},
    }


@dataclass
class Engine:
    project: Project
    log: Path
    containers: Path

    def has(self, *containers):
        self.containers.write_text(json.dumps(containers))

    def called(self):
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def engine(tmp_path, monkeypatch):
    program = tmp_path / "docker"
    program.write_text(DOCKER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(compose_checks, "SETTLING", 0.0)
    log, containers = tmp_path / "log", tmp_path / "containers"
    return Engine(Project(("docker", "compose"), (), {"LOG": str(log), "CONTAINERS": str(containers)}), log, containers)


def test_compose_is_asked_once_which_containers_there_are_and_the_engine_after_that(engine):
    engine.has(inspected("db"))
    for _ in range(3):
        engine.project.containers()
    asked = [line for line in engine.called() if not line.startswith("inspect")]
    assert asked == [
        "compose ps -a -q",
        *["ps -a -q --no-trunc --filter label=com.docker.compose.project=site"] * 2,
    ]


@pytest.mark.parametrize(
    ("check", "shell", "passes"),
    [
        (["CMD", "true"], None, True),
        (["CMD", "false"], None, False),
        (["CMD-SHELL", "true && test a = a"], None, True),
        (["CMD-SHELL", "true && test a = b"], None, False),
        (["CMD-SHELL", "exit 0"], ["/bin/false"], False),
        (["NONE"], None, False),
    ],
)
def test_a_container_that_is_starting_is_healthy_when_its_own_check_passes(engine, check, shell, passes):
    engine.has(inspected("web", check=check, shell=shell))
    assert OwnChecks(engine.project).passes(engine.project.container("web")) is passes


@pytest.mark.parametrize("health", ["unhealthy", "healthy"])
def test_a_service_that_the_engine_checks_is_not_checked_again(engine, health):
    engine.has(inspected("web", check=["CMD", "true"], health=health))
    assert not OwnChecks(engine.project).passes(engine.project.container("web"))
    assert not any(line.startswith("exec") for line in engine.called())


def test_a_check_counts_only_when_the_container_has_run_for_some_seconds(engine, monkeypatch):
    monkeypatch.setattr(compose_checks, "SETTLING", 1000.0)
    engine.has(inspected("web", check=["CMD", "true"]))
    assert not OwnChecks(engine.project).passes(engine.project.container("web"))


def test_a_check_that_hangs_is_begun_once(engine, monkeypatch):
    monkeypatch.setattr(compose_checks, "_LONGEST", 0.1)
    engine.has(inspected("web", check=["CMD", "sleep", "5"]))
    checks, web = OwnChecks(engine.project), engine.project.container("web")
    assert [checks.passes(web) for _ in range(3)] == [False] * 3
    assert sum(line.startswith("exec") for line in engine.called()) == 1


def test_a_restore_does_not_wait_for_the_engines_next_look_at_a_worker(engine):
    engine.has(inspected("web", check=["CMD", "true"]), inspected("worker", check=["CMD-SHELL", "true"]))
    services = ComposeServices(engine.project, "db", "web", None, ("web", "worker"), None)
    assert services.await_health(("web", "worker"), services.look(), lambda _: None) == ()


def test_workers_are_stopped_first_and_all_others_side_by_side(engine):
    engine.has(
        inspected("db"),
        inspected("backend", image="site", depends_on="db"),
        inspected("worker", image="site", depends_on="db,backend"),
        inspected("admin", image="site", depends_on="db", port="8001"),
        inspected("proxy", image="nginx", depends_on="backend"),
    )
    services = ComposeServices(engine.project, "db", "backend", None, (), None)
    names = services.running()
    with pytest.raises(Exception, match="runs on although it was stopped"):  # this engine stops nothing
        services.stop(names)
    assert [line for line in engine.called() if line.startswith("stop")] == [
        "stop id-worker",
        "stop id-backend id-admin id-proxy",
    ]


def test_compose_v1_stops_its_services_itself(engine, tmp_path):
    old = tmp_path / "docker-compose"
    old.write_text('#!/bin/sh\necho "v1 $*" >>"$LOG"\ntest "$1" = stop || echo one\n')
    old.chmod(0o755)
    engine.has(inspected("web"))
    project = Project(("docker-compose",), (), engine.project.environment)
    with pytest.raises(Exception, match="runs on although it was stopped"):
        ComposeServices(project, "db", "web", None, ("web",), None).stop(["web"])
    assert "v1 stop web" in engine.called()


def test_the_plugin_is_found_without_running_it_unless_docker_is_a_script(engine, tmp_path, monkeypatch):
    plugin = tmp_path / "config" / "cli-plugins" / "docker-compose"
    plugin.parent.mkdir(parents=True)
    plugin.write_text("#!/bin/sh\n")
    plugin.chmod(0o755)
    environment = engine.project.environment | {"DOCKER_CONFIG": str(tmp_path / "config")}
    assert find_program(environment) == ("docker", "compose")
    assert engine.called() == ["compose version"]
    monkeypatch.setattr(compose, "which", lambda _: sys.executable)
    assert find_program(environment) == ("docker", "compose")
    assert engine.called() == ["compose version"]


def test_our_checks_begin_when_the_address_answers(engine):
    engine.has(inspected("web", check=["CMD", "true"]))
    checked = []

    def answers(_):
        checked.append(any(line.startswith("exec") for line in engine.called()))
        return len(checked) > 3

    services = ComposeServices(engine.project, "db", "web", None, ("web",), None)
    with answering(answers) as port:
        address = Health(url=f"http://127.0.0.1:{port}/")
        assert services.await_health(("web",), address, lambda _: None) == ()
    assert checked[:4] == [False] * 4
    assert any(line.startswith("exec") for line in engine.called())
