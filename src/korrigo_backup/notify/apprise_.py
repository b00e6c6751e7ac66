"""Mail, Slack, Discord and the hundred other services of Apprise; the library is loaded when something is sent."""

from __future__ import annotations

import logging
import re
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from korrigo_backup.core.language import Language
from korrigo_backup.core.secret import redact
from korrigo_backup.notify.address import parts
from korrigo_backup.notify.event import Event
from korrigo_backup.notify.notifier import NotTold, TryAgain, persistent
from korrigo_backup.notify.wording import worded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from korrigo_backup.core.secret import Secret
    from korrigo_backup.notify.event import Notice

_TYPES = {
    Event.START: "info",
    Event.SUCCESS: "success",
    Event.WARNING: "warning",
    Event.FAILURE: "failure",
    Event.RECOVERED: "success",
    Event.OVERDUE: "warning",
}
"""Apprise's name for each event: it chooses a colour or a sign by it."""

_CAUSE = re.compile(r"\w+ Exception\b")
"""How a log line begins that names the cause. Other lines quote the notice, which may also mention causes."""

_PASSING = (
    (r"Connection refused", "connection refused"),
    (r"Name or service not known|NameResolutionError|Temporary failure in name resolution|getaddrinfo", "no such host"),
    (r"Network is unreachable|No route to host", "the network is unreachable"),
)
_LASTING = (
    (r"timed out|Timeout", "timed out"),
    (r"CERTIFICATE_VERIFY_FAILED|certificate verify failed", "its certificate is not trusted"),
    (r"WRONG_VERSION_NUMBER|STARTTLS extension not supported", "it does not speak TLS there"),
    (r"\(535,|SMTPAuthentication", "user or password is wrong (535)"),
    (r"SMTP AUTH extension not supported", "it takes no password without TLS: use mailtos://"),
    (r"Connection reset|Connection aborted|unexpectedly closed", "it closed the connection"),
)
"""Texts in the library's log lines and their meaning. The lines hold the address, so they are never shown.

After a lasting cause, or an unknown cause, it is not tried again: some recipients may have got the notice already.
"""

_HEARD: ContextVar[list[tuple[int, str]] | None] = ContextVar("heard", default=None)
_LIBRARIES = ("apprise", "requests", "urllib3")


@dataclass(frozen=True)
class AppriseChannel:
    """An Apprise address. `subjects` and `bodies` are templates that replace the runbook's."""

    name: str
    events: frozenset[Event]
    url: Secret
    subjects: Mapping[Event, str] = field(default_factory=dict)
    bodies: Mapping[Event, str] = field(default_factory=dict)
    language: Language = Language.ENGLISH

    def flaw(self) -> str:
        """Return the fault of the address in words that do not contain it, "" for none."""
        with _heard() as log_lines:
            return "" if _service(self.url) else self._lacks(log_lines)

    def send(self, notice: Notice, *, seconds: float) -> None:
        """Send the notice; NotTold with the reason, in words that do not contain the address."""
        persistent(partial(self._attempt, notice), seconds=seconds)

    def _attempt(self, notice: Notice, seconds: float) -> None:
        with _heard() as log_lines:
            service = _service(self.url)
            if service is None:
                raise NotTold(self._lacks(log_lines))
            service.socket_connect_timeout = service.socket_read_timeout = seconds
            subject, body = worded(notice, self.subjects, self.bodies, self.language)
            # Not by Apprise.notify(): its threads hold up the end of the program when the other side hangs.
            kind, overflow = _TYPES[notice.event], "truncate"  # the end is the journal, which matters least
            if not service.notify(title=subject, body=body, notify_type=kind, body_format="text", overflow=overflow):
                raise self._problem(log_lines)

    def _problem(self, log_lines: list[tuple[int, str]]) -> NotTold:
        """Return why it failed: a known cause, else the library's message for people."""
        causes = "\n".join(text for _, text in log_lines if _CAUSE.match(text))
        for pattern, words in _PASSING:
            if re.search(pattern, causes):
                return TryAgain(words)
        for pattern, words in _LASTING:
            if re.search(pattern, causes):
                return NotTold(words)
        problem = self._in_its_words(log_lines) or "it did not take the message"
        return TryAgain(problem) if re.search(r"error=(5\d\d|429)\b", problem) else NotTold(problem)

    def _lacks(self, log_lines: list[tuple[int, str]]) -> str:
        why = self._in_its_words(log_lines)
        return f"its address is incomplete: {why}" if why else "no address that Apprise knows"

    def _in_its_words(self, log_lines: list[tuple[int, str]]) -> str:
        """Return the first line for people that quotes no address, without any part of this address; "" for none."""
        lines = [
            text for level, text in log_lines if level >= logging.WARNING and "URL" not in text and "://" not in text
        ]
        return redact(lines[0], parts(self.url)).rstrip(" .:") if lines else ""


def _service(url: Secret) -> Any:
    """Return Apprise's object for an address, None when it knows no such service or the address lacks something."""
    from apprise import Apprise, AppriseAsset  # noqa: PLC0415 - a hundred modules, only when something is sent

    asset = AppriseAsset(
        app_id="korrigo-backup", app_desc="korrigo-backup", app_url="", image_url_mask="", image_url_logo=""
    )
    return Apprise.instantiate(url.reveal(), asset=asset, suppress_exceptions=True)


class _Listener(logging.Handler):
    """Keeps the log lines of the libraries for the sending that listens; they never reach the screen."""

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line for the sending that it belongs to."""
        lines = _HEARD.get()
        if lines is not None:
            lines.append((record.levelno, record.getMessage()))


_LISTENER = _Listener(logging.DEBUG)


@contextmanager
def _heard() -> Iterator[list[tuple[int, str]]]:
    """Yield the list of the libraries' log lines in this context: Apprise hands the context on to its threads."""
    for name in _LIBRARIES:
        logger = logging.getLogger(name)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False  # for good: a sending that was given up may log later
        if _LISTENER not in logger.handlers:
            logger.addHandler(_LISTENER)
    lines: list[tuple[int, str]] = []
    token = _HEARD.set(lines)
    try:
        yield lines
    finally:
        _HEARD.reset(token)
