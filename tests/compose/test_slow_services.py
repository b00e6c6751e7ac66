"""Services that take seconds to stop, and runs that end in the middle: whatever ran runs again, and stays so.

`make test-compose` tries some moments. KORRIGO_TEST_EVERY_SECOND=1 tries every second of the stop and of the start, with
each signal, and containers that take ten seconds to stop (half an hour).
"""

import json
import os
import signal
import subprocess
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from compose.dockerstack import IMAGES, PREFIX, docker, eventually, remove
from compose.test_product import BIN

EVERY = bool(os.environ.get("KORRIGO_TEST_EVERY_SECOND"))
SLOW = 10 if EVERY else 6
"""Seconds that the worker takes to stop."""

SIGNALS = {
    "Ctrl-C": lambda child: os.killpg(child.pid, signal.SIGINT),
    "SIGINT": lambda child: child.send_signal(signal.SIGINT),
    "SIGTERM": lambda child: child.send_signal(signal.SIGTERM),
    "SIGKILL": lambda child: os.killpg(child.pid, signal.SIGKILL),
}
MOMENTS = (
    [(name, second) for name in SIGNALS for second in range(SLOW + 6)]
    if EVERY
    else [("Ctrl-C", 1), ("SIGINT", 3), ("SIGKILL", 1), ("SIGKILL", SLOW + 2), ("SIGTERM", SLOW + 2)]
)


@dataclass(frozen=True)
class Slow:
    home: Path
    project: str

    def korrigo(self, *arguments):
        env = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(self.home)}
        return subprocess.Popen(
            [BIN / "korrigo-backup", *arguments],
            cwd=self.home, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
        )  # fmt: skip

    def stopping(self):
        """Start a restore and return it, and what it said until it began to stop the services."""
        child = self.korrigo("restore", "latest", "--yes", "--no-safety-backup", "--no-validate")
        output = ""
        while not output.endswith("\n🛑 Stopping backend...\n"):
            line = child.stdout.readline()
            assert line, output
            output += line
        return child, output

    def done(self, *arguments):
        child = self.korrigo(*arguments)
        output = child.communicate(timeout=120)[0]
        assert child.returncode == 0, output
        return output

    def compose(self, *arguments):
        return docker("compose", "-f", str(self.home / "compose.yml"), *arguments)

    def running(self):
        states = '{{.Label "com.docker.compose.service"}}:{{.State}}'
        return set(
            docker("ps", "--all", "--filter", f"label=com.docker.compose.project={self.project}", "--format", states)
        )


ALL = {"db:running", "web:running", "worker:running"}


@pytest.fixture(scope="module")
def slow(engine, tmp_path_factory):
    home = tmp_path_factory.mktemp("slow")
    made = Slow(home, f"{PREFIX}-{os.getpid()}-9002")
    program = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep({}), sys.exit(0)));"
        " time.sleep(1e6)"
    )
    web = json.dumps(["python", "-c", program.format(1)])
    (home / "programs").mkdir()
    (home / "programs" / "worker").write_text(f'#!/bin/sh\nexec python -c "{program.format(SLOW)}"\n')
    (home / "programs" / "worker").chmod(0o755)
    (home / "compose.yml").write_text(
        textwrap.dedent(f"""\
        name: {made.project}
        x-site: &site
          image: {IMAGES["KORRIGO_BACKEND_IMAGE"]}
          init: true
          stop_grace_period: 60s
          healthcheck: {{disable: true}}
          volumes: ["media:/app/media"]
        services:
          db:
            image: {IMAGES["KORRIGO_DB_IMAGE"]}
            environment: {{POSTGRES_DB: viatique, POSTGRES_USER: viatique_user, POSTGRES_PASSWORD: secret}}
            healthcheck: {{test: [CMD, pg_isready, -h, 127.0.0.1, -U, viatique_user], interval: 1s, retries: 60}}
          web: {{<<: *site, entrypoint: {web}, depends_on: [db]}}
          worker: {{<<: *site, entrypoint: /programs/worker, depends_on: [web], volumes: ["./programs:/programs"], init: false}}
        volumes: {{media: }}
        """)
    )
    (home / ".env").write_text("POSTGRES_DB=viatique\nPOSTGRES_USER=viatique_user\nPOSTGRES_PASSWORD=secret\n")
    (home / "korrigo-backup.toml").write_text('[compose]\nfiles = ["compose.yml"]\nbackend = "web"\n')
    try:
        made.compose("up", "--detach")
        made.compose("up", "--detach", "--wait", "db")
        made.done("backup", "db")
        yield made
    finally:
        remove(made.project)


@pytest.mark.promise("P2")
@pytest.mark.contract("R8")
@pytest.mark.parametrize(("name", "second"), MOMENTS)
def test_a_run_that_ends_in_the_stop_or_the_start_leaves_all_running_or_the_next_one_starts_it(slow, name, second):
    assert slow.running() == ALL
    child, begun = slow.stopping()
    time.sleep(second)
    SIGNALS[name](child)
    output = begun + child.communicate(timeout=120)[0]
    if name == "SIGKILL":
        output += slow.done("backup", "db")
    elif child.returncode:
        assert child.returncode == 130, output
        assert "state: rolled back: the site is as it was before" in output, output
    assert slow.running() == ALL, output
    time.sleep(SLOW + 2)  # a stop that was under way would have ended them by now
    assert slow.running() == ALL, output
    assert not (slow.home / "backups" / ".services-stopped").exists()


@pytest.mark.promise("P2")
def test_a_service_that_does_not_start_again_is_named_with_its_command_and_keeps_no_backup_from_being_made(slow):
    child, _ = slow.stopping()
    eventually((slow.home / "backups" / ".services-stopped").exists)
    os.killpg(child.pid, signal.SIGKILL)
    child.communicate()
    slow.compose("stop", "worker")
    slow.compose("stop", "worker")
    (slow.home / "programs" / "worker").chmod(0o644)
    try:
        output = slow.done("backup", "db")
        assert "services that an earlier run has stopped do not run again: docker compose start: " in output
        assert "permission denied" in output
        assert "hint: run it by hand: docker compose -f compose.yml start web worker" in output
    finally:
        (slow.home / "programs" / "worker").chmod(0o755)
    assert "started the services again" in slow.done("backup", "db")
    assert slow.running() == ALL
