"""The reference site left running on the loopback interface, with its admin, until Ctrl-C: `make demo-web`."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys

from korrigo_backup.core.language import language
from korrigo_backup.errors import Refused, UsageError
from reference import BACKUPS, HOME, READY, Reference, guarded, running
from words import Words

TEXT = Words(language(os.environ))
PASSWORD = """
from django.contrib.auth.models import User
admin = User.objects.get(username="admin")
admin.set_password("{password}")
admin.save(update_fields=["password"])
"""


def port() -> int:
    """Return the port of the site: DEMO_PORT, by default 8000. Raises UsageError for one that is none."""
    text = os.environ.get("DEMO_PORT", "8000")
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise UsageError(f"DEMO_PORT={text} is not a port", hint="DEMO_PORT=8001 make demo-web")
    return int(text)


def require_free(number: int) -> None:
    """Raise Refused if the port cannot be listened on."""
    with socket.socket() as one:
        one.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the site's server does: a past one is no hindrance
        try:
            one.bind(("127.0.0.1", number))
        except OSError as problem:
            raise Refused(
                f"port {number} of this machine cannot be used: {problem.strerror}",
                hint=f"take another: DEMO_PORT={number % 65535 + 1} make demo-web",
            ) from None


def prepare(site: Reference, password: str) -> None:
    """Fill and start the site, with a password for its administrator and a backup that a drill has restored."""
    site.fill()
    READY.touch()
    site.manage("shell", "-c", PASSWORD.format(password=password))
    if not any(BACKUPS.glob("restore_point_*.json")):
        site.tool("backup", "full")
        site.tool("drill", "latest-point")
    site.start()


def main() -> int:
    """Run the site until a signal, and return the exit status."""
    number, password = port(), secrets.token_urlsafe(6)
    require_free(number)
    print(TEXT("web_wait"), flush=True)
    with running(number, "the demonstration on the web") as site:
        prepare(site, password)
        words = {
            "address": site.address,
            "password": password,
            "home": str(HOME),
            "tool": str(site.bin / "korrigo-backup"),
        }
        print(TEXT("web", **words), flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            print()
    print(TEXT("web_end"), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(guarded(main, "hint: make demo-web begins again\nstate: nothing is left running"))
