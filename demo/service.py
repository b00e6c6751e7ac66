"""The web service of the demonstration's site: `service.py start|stop HOME PORT`, on the loopback interface.

It runs in the background until it is stopped; `[services]` of the site names these two commands. The file HOME/site.pid
has its process; its output is in HOME/site.log.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from korrigo_backup.core.dotenv import parse
from korrigo_backup.system.wait import wait_until

MANAGE = Path(__file__).resolve().parent / "manage.py"
SETTINGS = "korrigo_demo.settings"
_SECONDS = 10


def start(home: Path, port: int) -> None:
    """Start the service unless it runs; its health address answers a moment later."""
    if _process(home) is not None:
        return
    settings = parse((home / ".env").read_text(), {}).values
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": SETTINGS, **settings}
    argv = [sys.executable, str(MANAGE), "runserver", "--noreload", f"127.0.0.1:{port}"]
    with (home / "site.log").open("ab") as log:
        child = subprocess.Popen(
            argv, env=env, cwd=home, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    _note(home).write_text(str(child.pid))


def stop(home: Path) -> None:
    """Stop the service, and return when it has ended."""
    pid = _process(home)
    if pid is not None:
        for ending in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.kill(pid, ending)
            if wait_until(bool, lambda: _process(home) is None, seconds=_SECONDS, pause=0.02):
                break
    _note(home).unlink(missing_ok=True)


def _note(home: Path) -> Path:
    return home / "site.pid"


def _process(home: Path) -> int | None:
    """Return the process of the service; None where it has ended, or where its number is another process's by now."""
    with suppress(OSError, ValueError):
        pid = int(_note(home).read_text())
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)  # a child that has ended is in /proc until it is waited for
        words = Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
        if os.fsencode(MANAGE) in words and Path("/proc", str(pid), "cwd").resolve() == home.resolve():
            return pid
    return None


if __name__ == "__main__":
    if sys.argv[1] == "start":
        start(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        stop(Path(sys.argv[2]))
