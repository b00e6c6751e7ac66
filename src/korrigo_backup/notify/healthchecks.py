"""Healthchecks.io or a private server: pings when a run starts, succeeds and fails, with the tail of the journal.

The pinging API (healthchecks.io/docs/http_api): POST to the check's address, to /start, /fail or /log below it; `rid`
binds the start of a run to its end, so that its duration is measured. Healthchecks raises an alarm when the pings stop:
the only alarm that also works when this machine is dead.
"""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlencode, urlsplit, urlunsplit

from korrigo_backup import __version__
from korrigo_backup.notify.event import Event
from korrigo_backup.notify.notifier import NotTold, TryAgain, persistent
from korrigo_backup.notify.wording import worded

if TYPE_CHECKING:
    from korrigo_backup.core.secret import Secret
    from korrigo_backup.notify.event import Notice

_LARGEST = 100_000
"""Bytes of a body that the service keeps."""

_SERVER_ERROR = 500
_TOO_MANY = 429
_ANSWER = 200
"""Bytes read of an answer, which is a word."""

_SIGNALS = {
    Event.START: "/start",
    Event.SUCCESS: "",
    Event.RECOVERED: "",
    Event.WARNING: "/fail",
    Event.FAILURE: "/fail",
    Event.OVERDUE: "/fail",
}
"""A run that is done in part does not exit with 0. The runbook's script pings success only for 0 (6.8)."""

_LOG = "/log"
"""A trial is written there: it must not make a check green or red."""


@dataclass(frozen=True)
class Healthchecks:
    """A Healthchecks check. It is subscribed to every event: a run is recognised by its pings."""

    url: Secret
    name: str = "Healthchecks"
    events: frozenset[Event] = frozenset(Event)

    def flaw(self) -> str:
        """Return the fault of the address, "" for none. Of urllib's schemes only http and https are allowed."""
        good = re.match(r"https?://[^/\s]+/\S+$", self.url.reveal())
        return "" if good else "its address is not that of a check: https://HOST/UUID"

    def send(self, notice: Notice, *, seconds: float) -> None:
        """Ping; a server that is in trouble or not reached is tried again while `seconds` last."""
        if flaw := self.flaw():
            raise NotTold(flaw)
        persistent(partial(self._ping, notice), seconds=seconds)

    def _ping(self, notice: Notice, seconds: float) -> None:
        subject, body = worded(notice)
        text = f"{subject}\n\n{body}".encode(errors="replace")[-_LARGEST:]
        signal = _LOG if notice.test else _SIGNALS[notice.event]
        request = urllib.request.Request(  # noqa: S310 - flaw() allows http:// and https:// alone
            address(self.url.reveal(), signal, notice.run),
            data=text,
            headers={"Content-Type": "text/plain; charset=utf-8", "User-Agent": f"korrigo-backup/{__version__}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=seconds) as answer:  # noqa: S310 - see above
                reply = answer.read(_ANSWER).decode(errors="replace").strip()
        except urllib.error.HTTPError as problem:
            problem.close()
            _refused(problem.code)
        except (OSError, http.client.HTTPException, ValueError) as problem:
            raise TryAgain(_in_words(problem)) from None
        else:
            if reply.startswith("OK ("):  # "OK (not found)", "OK (rate limited)": taken with thanks, and thrown away
                raise NotTold(f"it answers {reply!r}: check the address")


def address(url: str, signal: str, run: str) -> str:
    """Return the address of a signal: below the check's path, before its query, with the run's id."""
    split = urlsplit(url)
    query = "&".join(filter(None, (split.query, urlencode({"rid": run}) if run else "")))
    return urlunsplit((split.scheme, split.netloc, split.path.rstrip("/") + signal, query, ""))


def _refused(code: int) -> None:
    if code >= _SERVER_ERROR or code == _TOO_MANY:
        raise TryAgain(f"it answers {code}")
    raise NotTold(f"it answers {code}: check the address")


def _in_words(problem: Exception) -> str:
    """Return a reason without the address, which the library's own text may hold."""
    reason = getattr(problem, "reason", problem)
    if isinstance(reason, TimeoutError):
        return "timed out"
    text = getattr(reason, "strerror", None) or getattr(reason, "verify_message", None)
    return text if isinstance(text, str) else f"no answer ({type(reason).__name__})"
