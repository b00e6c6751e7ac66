"""A terminal for a command, and what a person sees on it."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from contextlib import contextmanager

_TOKENS = re.compile(rb"\x1b\[(\d*)([A-Za-z])|\x1b\[[0-9;]*m|\r|\n|[^\r\n\x1b]+")
_FAST = 30.0


class Terminal:
    """The controlling side of a terminal on which a command runs."""

    def __init__(self, master, child):
        self._master = master
        self.child = child
        self.raw = b""

    def read(self, seconds=0.1):
        """Take what the command writes within so many seconds; return whether it may write more."""
        if not select.select([self._master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the other side is closed
            return False
        self.raw += data
        return bool(data)

    def until(self, condition, seconds=_FAST):
        """Read until a condition holds; AssertionError after so many seconds."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.text
            assert self.read() or condition(), self.text

    def wait(self, seconds=_FAST):
        """Read to the end of the command and return its exit code."""
        end = time.monotonic() + seconds
        while self.read():
            assert time.monotonic() < end, self.text
        return self.child.wait(5)

    def type(self, text):
        """Type on the keyboard."""
        os.write(self._master, text.encode())

    @property
    def text(self):
        return self.raw.decode(errors="replace")

    @property
    def lines(self):
        """The lines that are on the screen now, those above it included."""
        rows, row, column = [""], 0, 0
        for found in _TOKENS.finditer(self.raw):
            token = found[0]
            if token == b"\r":
                column = 0
            elif token == b"\n":
                row += 1
                rows += [""] * (row + 1 - len(rows))
            elif found[2] == b"A":
                row -= int(found[1] or 1)
            elif found[2] == b"K":
                rows[row] = rows[row][:column]
            elif not token.startswith(b"\x1b"):
                text = token.decode(errors="replace")
                rows[row] = rows[row][:column].ljust(column) + text + rows[row][column + len(text) :]
                column += len(text)
        return [line.rstrip() for line in rows]


@contextmanager
def terminal(argv, *, env, cwd, columns=80, stdout=None):
    """Run a command on a terminal of so many columns, its standard output elsewhere if `stdout` is given."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    child = subprocess.Popen(
        ["sh", "-c", f'exec "$@" < {os.ttyname(slave)}', "sh", *argv],  # opened by the session's leader: its terminal
        stdin=slave,
        stdout=slave if stdout is None else stdout,
        stderr=slave,
        env={"TERM": "xterm", **env},
        cwd=cwd,
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(master, child)
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()
        os.close(master)
