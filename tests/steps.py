"""The command, run in a forked child in which chosen effects are killed or fail.

An effect is what the outside world can see: a process started, a process at work, a rename, mkdir, rmdir, link, unlink
or fsync. They are numbered from 1; `triggers` says what happens at which number:

    kill     the run is killed before the effect; where a process is at work, in the middle of it
    full     the effect fails: no space (or no memory for a process)
    broken   the effect fails: input/output error
    dies     a client dies at once (at its start), or is killed at work while the server goes on
    lies     a client does its work and is then lost: its status says that it failed
    gone     the server cannot be reached, for two clients
    sql      the server answers with an error
    all      this effect and every later one fails
"""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from korrigo_backup.cli import main
from korrigo_backup.run import undo

CALLS = ("rename", "mkdir", "rmdir", "link", "unlink", "replace", "symlink")
FLUSHES = ("fsync", "sync")
"""Counted and able to fail, but not carried out: a kill loses nothing that the kernel has, and the disk is shared."""

GONE = "echo 'psql: error: connection to server failed: Connection refused' >&2; exit 2"
AT_WORK = 0.004
"""Seconds that a client at work gets before the run is killed."""


@dataclass(frozen=True)
class Ran:
    """How a run ended; `effects` are the names of the effects it reached, `code` is negative for a signal."""

    code: int
    output: str
    effects: list

    @property
    def killed(self):
        return self.code == -signal.SIGKILL


class Steps:
    def __init__(self, triggers, log):
        self.triggers = triggers
        self.log = log
        self.count = 0
        self.gone = 0
        self.failing = False

    def reach(self, what):
        self.count += 1
        os.write(self.log, f"{what}\n".encode())
        action = self.triggers.get(self.count)
        self.failing = self.failing or action == "all"
        return "broken" if self.failing else action


def run(site, *arguments, triggers=None, env=None):
    """Run `korrigo-backup` with `arguments` in a child of its own process group."""
    place = site.home / "steps"
    place.mkdir(exist_ok=True)
    files = [os.open(place / name, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600) for name in ("output", "effects")]
    child = os.fork()
    if child == 0:
        _be_the_command(site, arguments, triggers or {}, {**site.env, **(env or {})}, files)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    output, effects = (os.pread(file, 1 << 20, 0).decode(errors="replace") for file in files)
    for file in files:
        os.close(file)
    reached = effects.splitlines()
    if status < 0 and "psql" not in reached[-1]:
        _until_ended(child)  # what stops a service is not fenced; the clients go on as they like
    return Ran(status, output, reached)


def _until_ended(group):
    for _ in range(100):
        with suppress(ProcessLookupError):
            os.killpg(group, 0)
            time.sleep(0.005)
            continue
        return


def _be_the_command(site, arguments, triggers, env, files):
    try:
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(files[0], 1)
        os.dup2(files[0], 2)
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115 - pytest's own goes elsewhere
        sys.stderr = open(2, "w", closefd=False, buffering=1)  # noqa: SIM115
        os.chdir(site.home)
        os.environ.clear()
        os.environ.update(env)
        sys.argv = ["korrigo-backup", *map(str, arguments)]
        undo._PAUSE = 0.01
        _instrument(Steps(triggers, files[1]))
        code = main.guarded()
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - a child must not become a second pytest
        traceback.print_exc(file=sys.stderr)
        code = 99
    os._exit(code)


def _die(number):
    """End as by kill -9; every other time what was started is killed, too."""
    if number % 2:
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _instrument(steps):
    for name in CALLS:
        setattr(os, name, _counted(steps, name, getattr(os, name)))
    for name in FLUSHES:
        setattr(os, name, _counted(steps, name, lambda *_: None))
    changed: Any = subprocess
    changed.Popen = type("Popen", (_Popen,), {"steps": steps})


def _counted(steps, name, real):
    def call(*arguments, **options):
        action = steps.reach(f"{name} {' '.join(str(argument) for argument in arguments)}")
        if action == "kill":
            _die(steps.count)
        if action:
            code = errno.ENOSPC if action == "full" else errno.EIO
            raise OSError(code, os.strerror(code), str(arguments[0]))
        return real(*arguments, **options)

    return call


class _Popen(subprocess.Popen):
    steps: Steps

    def __init__(self, argv, **options):
        self.name = os.path.basename(argv[0])
        self.action = action = self.steps.reach(f"start {self.name}")
        if action == "kill":
            _die(self.steps.count)
        if action in {"full", "broken"}:
            self._child_created = False
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        if action == "gone":
            self.steps.gone = 2
        if self.steps.gone and self.name == "psql":
            self.steps.gone -= 1
            argv = ["/bin/sh", "-c", GONE]
        if action == "dies":
            argv = ["/bin/false"]
        super().__init__(argv, **options)

    def communicate(self, given=None, timeout=None):
        action = self.steps.reach(f"at work {self.name}")
        if action == "kill":
            threading.Thread(target=super().communicate, args=(given, timeout)).start()
            time.sleep(AT_WORK)
            _die(self.steps.count)
        if action in {"dies", "broken", "full"}:
            threading.Timer(AT_WORK, self.kill).start()
        if self.action == "sql" and self.name == "psql":
            given = b"SELECT 1/0;\n"
        output = super().communicate(given, timeout)
        if action == "lies" or self.action == "lies":
            self.returncode = -signal.SIGKILL
        return output
