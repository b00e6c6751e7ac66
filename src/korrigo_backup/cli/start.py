"""Where the command begins: Ctrl-C is answered in words also while the libraries are loaded, a moment or two."""

from __future__ import annotations

import os
import signal
import sys

from korrigo_backup.errors import INTERRUPTED

_WORDS = b"error: interrupted\nhint: run it again when you are ready\nstate: nothing was changed\n"

_DOCUMENT = b"""{
  "schema": "korrigo-backup/error-1",
  "ok": false,
  "error": {
    "id": "",
    "code": 130,
    "message": "interrupted",
    "hint": "run it again when you are ready",
    "state": "nothing was changed"
  }
}
"""


def run() -> None:
    """Load the command and run it; it sets handlers of its own before it begins any work."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)
    from korrigo_backup.cli import main  # noqa: PLC0415 - only now, see above

    main.run()


def _leave(number: int, frame: object) -> None:
    del number, frame
    try:
        os.write(2, _WORDS)
        ours = sys.argv[: sys.argv.index("--")] if "--" in sys.argv else sys.argv
        if "--json" in ours:
            os.write(1, _DOCUMENT)
    finally:
        os._exit(INTERRUPTED)
