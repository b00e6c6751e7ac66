"""How Compose is called: without its plugin, with several files, a profile and a project name; nothing is guessed."""

import shutil
from pathlib import Path

import pytest

from compose.test_product import BIN, files, korrigo, rows, typed

PLUGINS = ("/usr/local/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins")
WITHOUT_PLUGIN = """#!/bin/sh
[ "$1" = compose ] && { echo "docker: 'compose' is not a docker command." >&2; exit 1; }
exec %s "$@"
"""
REPORTS = """
services:
  reports:
    image: ${KORRIGO_DB_IMAGE}
    entrypoint: ["sleep", "3600"]
    stop_grace_period: 1s
    profiles: ["reports"]
    depends_on: [db]
"""


@pytest.fixture
def old_fashioned(tmp_path):
    """A directory of programs as on a machine that has docker-compose and no plugin."""
    plugin = next(
        (Path(place) / "docker-compose" for place in PLUGINS if (Path(place) / "docker-compose").exists()), None
    )
    if plugin is None:
        pytest.skip("Compose is not installed as a plugin file here, so it cannot be called as docker-compose")
    (tmp_path / "docker-compose").symlink_to(plugin)
    docker = tmp_path / "docker"
    docker.write_text(WITHOUT_PLUGIN % shutil.which("docker"))
    docker.chmod(0o755)
    return tmp_path


@pytest.mark.contract("C2")
def test_docker_compose_as_a_program_of_its_own_is_taken_where_the_plugin_is_missing(stack, old_fashioned):
    def run(*arguments):
        return typed(stack, "env", f"PATH={old_fashioned}:/usr/bin:/bin", str(BIN / "korrigo-backup"), *arguments)

    saved = rows(stack)
    stack.compose("stop", "celery-beat")
    run("backup")
    stack.sql("UPDATE exams_exam SET name = 'lost'")
    run("restore", "latest", "--yes", "--no-safety-backup")
    assert rows(stack) == saved
    assert stack.states()["celery-beat"].startswith("exited")
    stack.compose("stop", "db")
    output = typed(stack, "env", f"PATH={old_fashioned}:/usr/bin:/bin", str(BIN / "korrigo-backup"), "backup", code=8)
    assert "docker-compose -f infra/docker/docker-compose.prod.yml up -d" in output
    stack.up()


@pytest.mark.contract("C2")
def test_without_docker_the_error_names_both_ways(stack, tmp_path):
    output = typed(stack, "env", f"PATH={tmp_path}", str(BIN / "korrigo-backup"), "backup", code=2)
    assert "neither docker compose nor docker-compose" in output
    assert "POSTGRES_HOST" in output


@pytest.mark.contract("C2")
@pytest.mark.contract("T3")
def test_services_of_a_second_file_and_of_a_profile_are_stopped_and_started_too(stack):
    second = stack.root / "infra" / "docker" / "reports.yml"
    second.write_text(REPORTS)
    named = ("-f", "infra/docker/docker-compose.prod.yml", "-f", "infra/docker/reports.yml", "--profile", "reports")
    config = stack.root / "korrigo-backup.toml"
    config.write_text(
        '[compose]\nfiles = ["infra/docker/docker-compose.prod.yml", "infra/docker/reports.yml"]\n'
        f'profiles = ["reports"]\nproject = "{stack.project}"\nenv_file = ".env"\n'
    )
    try:
        stack.run("docker", "compose", *named, "up", "--detach", "reports")
        began = started_at(stack, "reports")
        korrigo(stack, "backup")
        assert started_at(stack, "reports") == began
        korrigo(stack, "restore", "latest", "--yes", "--no-safety-backup")
        assert started_at(stack, "reports") > began
        assert stack.states()["reports"].startswith("running")
    finally:
        stack.run("docker", "compose", *named, "rm", "--force", "--stop", "reports")
        config.unlink()
        second.unlink()
    assert stack.healthy(), stack.states()
    assert files(stack)


def started_at(stack, service):
    ids = stack.run("docker", "ps", "-aq", "--filter", f"label=com.docker.compose.project={stack.project}",
                    "--filter", f"label=com.docker.compose.service={service}").stdout.split()  # fmt: skip
    return stack.run("docker", "inspect", "--format", "{{.State.StartedAt}}", *ids).stdout.strip()
