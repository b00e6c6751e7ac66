"""A forwarder on this machine's loopback to a web server in a private project, for reading alone.

The private project publishes no port and has no way out, so a browser reaches it only through this process. Each
request must have the key of this forwarder, which other users of the machine do not know.
"""

from __future__ import annotations

import http.client
import secrets
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from hmac import compare_digest
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from korrigo_backup.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LOOPBACK = "127.0.0.1"

_COOKIE = "korrigo-browse"
_ENTRY = "/-/"
_SECONDS = 60.0
_PIECE = 64 * 1024
_NOT_FORWARDED = frozenset({"connection", "cookie", "host", "keep-alive", "te", "transfer-encoding", "upgrade"})
_NOT_RETURNED = frozenset({"connection", "keep-alive", "strict-transport-security", "transfer-encoding"})
_READ_ONLY = b"This is a backup, opened for reading alone: it takes no changes.\n"
_NO_KEY = b"Open the address that korrigo-backup browse printed: it holds a key.\n"


@dataclass(frozen=True)
class Upstream:
    """A web server: address and port, and cookies that each request gets, a session for example."""

    host: str
    port: int
    cookies: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def forwarded(upstream: Upstream, port: int = 0) -> Iterator[str]:
    """Yield the address at which a browser reaches `upstream`, with its key; port 0 stands for a free port.

    Raises Refused if the port cannot be used.
    """
    key = secrets.token_urlsafe(24)
    handler = type("Handler", (_Handler,), {"upstream": upstream, "key": key})
    try:
        server = ThreadingHTTPServer((LOOPBACK, port), handler)
    except OSError as problem:
        raise Refused(
            f"port {port} of {LOOPBACK} cannot be used: {problem.strerror}", hint="choose another: --port N"
        ) from None
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_address[1]}{_ENTRY}{key}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    upstream: Upstream
    key: str

    def do_GET(self) -> None:
        """Forward a request; the entry sets the cookie with the key."""
        if self.path.startswith(_ENTRY) and compare_digest(self.path[len(_ENTRY) :].encode(), self.key.encode()):
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Set-Cookie", f"{_COOKIE}={self.key}; Path=/; HttpOnly; SameSite=Strict")
            self.send_header("Location", "/")
            self.end_headers()
            return
        cookies = self._cookies()
        if not compare_digest(cookies.pop(_COOKIE, "").encode(), self.key.encode()):
            self._refuse(HTTPStatus.FORBIDDEN, _NO_KEY)
            return
        try:
            self._forward({**cookies, **self.upstream.cookies})
        except (OSError, http.client.HTTPException) as problem:
            self._refuse(HTTPStatus.BAD_GATEWAY, f"The site does not answer: {problem}\n".encode())

    do_HEAD = do_GET  # noqa: N815 - the name in the base class

    def do_POST(self) -> None:
        """Refuse a change in words; other methods get the answer 501 of the base class."""
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, _READ_ONLY)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Print nothing: addresses hold personal data."""

    def _cookies(self) -> dict[str, str]:
        try:
            return {name: one.value for name, one in SimpleCookie(self.headers.get("Cookie", "")).items()}
        except CookieError:
            return {}

    def _forward(self, cookies: Mapping[str, str]) -> None:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _NOT_FORWARDED}
        headers |= {"Host": "localhost", "X-Forwarded-Proto": "https", "Connection": "close"}
        if cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in cookies.items())
        connection = http.client.HTTPConnection(self.upstream.host, self.upstream.port, timeout=_SECONDS)
        try:
            connection.request(self.command, self.path, headers=headers)
            answer = connection.getresponse()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in _NOT_RETURNED:
                    self.send_header(name, _relative(value) if name.lower() == "location" else value)
            self.send_header("Connection", "close")
            self.end_headers()
            while piece := answer.read(_PIECE):
                self.wfile.write(piece)
        finally:
            connection.close()

    def _refuse(self, status: HTTPStatus, words: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(words)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(words)


def _relative(address: str) -> str:
    """Return an address without scheme and host: the site names its own, which the browser must not go to."""
    parts = urlsplit(address)
    return parts._replace(scheme="", netloc="").geturl() or "/"
