"""The address by which a Compose project is asked for its health, learnt from its published ports."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from korrigo_backup.site.health import DEFAULT_PATH, probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from korrigo_backup.compose.container import Container, Port

_ASKED = re.compile(r"https?://(?:localhost|127\.0\.0\.1)(?::(?P<port>\d+))?(?P<path>/[\w./-]*)")
_MOST_TRIED = 12
_HTTPS = 443
_HERE = frozenset({"", "0.0.0.0", "::", "127.0.0.1", "::1"})  # noqa: S104 - compared, nothing listens
"""Addresses by which a published port is reached from this machine."""


def learnt(containers: Sequence[Container], *, backend: str, database: str) -> str | None:
    """Return the first published address of the project that answers the backend's health path, None when none does.

    The path is the one that the backend's own check asks for. Its port comes first, then those of the other services, a
    proxy's too. The ports of the database are not tried.
    """
    running = [one for one in containers if one.running and one.service != database]
    for url in list(dict.fromkeys(_addresses(running, backend)))[:_MOST_TRIED]:
        if probe(url, 2.0) is None:
            return url
    return None


def _addresses(containers: Sequence[Container], backend: str) -> Iterator[str]:
    asked = next((found for one in containers if one.service == backend and (found := _ASKED.search(one.check))), None)
    path, wanted = (asked["path"], int(asked["port"] or 80)) if asked else (DEFAULT_PATH, None)
    ports = [(one.service == backend, port) for one in containers for port in one.ports]
    ports.sort(key=lambda one: (not one[0], one[1].inside != wanted))
    yield from _of([port for _, port in ports], path)


def _of(ports: Iterable[Port], path: str) -> Iterator[str]:
    for port in ports:
        scheme = "https" if port.inside == _HTTPS else "http"
        for host in ("localhost", "127.0.0.1") if port.host in _HERE else (port.host,):
            yield f"{scheme}://{host}:{port.outside}{path}"
