"""The command in a process that is forked from another, which has loaded it: its imports are most of what a test waits for.

A new interpreter with the imports of a verb takes 0.2 s of processor time; `list` then works for 0.02 s and `backup full`
for 0.2 s. The other process is this file, run as a program; each process of tests has one. A forked process has the
arguments, environment, directory, mask, input and outputs that a new one would have, and runs `korrigo_backup.cli.start`.
Its exit code, or the signal that ended it, is that of the command.

The start itself stays tested. A new interpreter runs

* a command with a variable that Python reads before our code (`PYTHON...`, a locale), and all with KORRIGO_TEST_START=1
* what `Sandbox.started` and `Sandbox.script` run: signals, commands beside each other, the scripts of the runbook
* commands below a shell, a terminal, cron, systemd or a container, and those of `make test-dist`

tests/docs/test_reference.py starts each verb for its help, so that none needs a module that only another verb imports.

Not chosen: a call in the process of pytest, because signal handlers, core limit, streams and environment are those of a
process; a fork of pytest itself (tests/steps.py), because psycopg, Django and the doubles of a test are loaded there.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import selectors
import signal
import socket
import subprocess
import sys
import time
import traceback
from contextlib import suppress

import korrigo_backup

BEFORE_OUR_CODE = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_", "PEX")
KNOWN = ("PYTHONPYCACHEPREFIX",)
LARGEST = 32_768
"""Bytes of a request, and of an input: so much fits into a socket and into a pipe."""


def fits(argv, env, given):
    """Whether a forked process is like a new one."""
    asked = not os.environ.get("KORRIGO_TEST_START") and hasattr(os, "pidfd_open")
    plain = not any(name.startswith(BEFORE_OUR_CODE) and name not in KNOWN for name in env)
    return asked and plain and len(given) < LARGEST and len(_request(argv, env, "", 0)) < LARGEST


def run(argv, *, env, cwd, given, umask, timeout):
    """Run the command; return its exit code (negative: a signal), its output and its errors, as `subprocess.run` does."""
    pipes = [os.pipe() for _ in range(3)]
    (theirs_in, ours_in), (ours_out, theirs_out), (ours_err, theirs_err) = pipes
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            files = [theirs_in, theirs_out, theirs_err, theirs.fileno()]
            socket.send_fds(_Warm.socket(), [_request(argv, env, cwd, umask)], files)
        for file in (theirs_in, theirs_out, theirs_err):
            os.close(file)
        with suppress(BrokenPipeError):  # it has read enough
            os.write(ours_in, given)
        os.close(ours_in)
        pid = int(ours.recv(64))
        try:
            output = _read([ours_out, ours_err], time.monotonic() + timeout, argv, timeout)
            ours.settimeout(timeout)
            status = int(ours.recv(64))
        except BaseException:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            raise
        finally:
            os.close(ours_out)
            os.close(ours_err)
    return os.waitstatus_to_exitcode(status), *output


def _request(argv, env, cwd, umask):
    words = {name: os.fsdecode(value) for name, value in env.items()}
    return json.dumps([argv, words, str(cwd), umask]).encode()


def _read(files, end, argv, timeout):
    read = {file: bytearray() for file in files}
    with selectors.DefaultSelector() as selector:
        for file in files:
            selector.register(file, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(max(0, end - time.monotonic()))
            if not ready:
                raise subprocess.TimeoutExpired(argv, timeout)
            for key, _ in ready:
                if content := os.read(key.fd, 65536):
                    read[key.fd] += content
                else:
                    selector.unregister(key.fd)
    return [bytes(read[file]) for file in files]


class _Warm:
    """The loaded process of this process of tests, from its first use until the end of the tests."""

    _of: tuple[int, socket.socket] | None = None

    @classmethod
    def socket(cls):
        if cls._of is None or cls._of[0] != os.getpid():
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            env = {name: os.environ[name] for name in KNOWN if name in os.environ} | {"PATH": os.environ["PATH"]}
            with theirs:
                argv = [sys.executable, __file__, str(theirs.fileno())]
                child = subprocess.Popen(argv, env=env, cwd="/", stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()])
            cls._of = os.getpid(), ours
            atexit.register(_end, os.getpid(), ours, child)
        return cls._of[1]


def _end(owner, ours, child):
    if os.getpid() == owner:
        ours.close()
        child.wait(20)


# The loaded process


def serve(requests):
    """Fork a process for each request, until the tests are over."""
    sys.path[0] = os.path.dirname(sys.executable)  # as for the command, which lies there
    _load()
    with selectors.DefaultSelector() as selector:
        selector.register(requests, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data:  # a process has ended
                    pid, answer = key.data
                    selector.unregister(key.fileobj)
                    os.close(key.fd)
                    _answer(answer, os.waitpid(pid, 0)[1])
                    answer.close()
                    continue
                request, files, _, _ = socket.recv_fds(requests, 2 * LARGEST, 4)
                if not request:
                    return
                answer = socket.socket(fileno=files.pop())
                if (pid := os.fork()) == 0:
                    for one in [*selector.get_map().values()]:
                        os.close(one.fd)
                        if one.data:
                            one.data[1].close()
                    selector.close()
                    answer.close()
                    argv, env, cwd, umask = json.loads(request)
                    _be_the_command(argv, env, cwd, umask, files)
                for file in files:
                    os.close(file)
                _answer(answer, pid)
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, (pid, answer))


def _answer(answer, number):
    with suppress(OSError):  # the test has gone
        answer.send(str(number).encode())


def _load():
    """Import all modules of the command, and the libraries that some verbs load late.

    A verb that needs an import of another verb would not be noticed here, but by the help of each verb (tests/docs).
    """
    for module in pkgutil.walk_packages(korrigo_backup.__path__, "korrigo_backup."):
        if not module.name.startswith("korrigo_backup.djangoapp") and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for library in ("apprise", "boto3", "botocore.config", "cronsim", "faker", "pyrage", "yaml"):
        importlib.import_module(library)
    gc.collect()
    gc.freeze()


def _be_the_command(argv, env, cwd, umask, files):
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.closerange(3, max(files) + 1)
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 - as those of a new interpreter, until its end
        sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", closefd=False, errors="backslashreplace", buffering=1)  # noqa: SIM115
        if umask >= 0:
            os.umask(umask)
        os.chdir(cwd)
        coerced = {
            name: value for name, value in os.environ.items() if name == "LC_CTYPE"
        }  # by a new one, too: PEP 538
        os.environ.clear()
        os.environ.update(env | coerced)
        time.tzset()
        sys.argv = argv
        from korrigo_backup.cli import start  # noqa: PLC0415 - a process of tests has its own imports

        start.run()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - a child must not serve
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
