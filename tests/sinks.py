"""Real servers on loopback that take mail, webhooks and pings, and others that do not."""

import email
import email.policy
import json
import socket
import ssl
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

CERTIFICATE = Path(__file__).parent / "tls" / "localhost.pem"
"""For localhost, hooks.slack.com, discord.com and hc-ping.com, with its key beside it; made by `openssl req -x509`."""

TRUST = {"SSL_CERT_FILE": str(CERTIFICATE), "REQUESTS_CA_BUNDLE": str(CERTIFICATE)}
"""The environment of whoever trusts that certificate."""

MAIL_USER = "ops@example.com"
MAIL_PASSWORD = "m4il-pa55-w0rd"


@dataclass(frozen=True)
class Request:
    """What came over HTTP."""

    host: str
    path: str
    query: dict
    body: str

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Web:
    """An HTTP server, what came, and the statuses and texts of its next answers (then 200 and `ok`)."""

    port: int
    answers: list = field(default_factory=list)
    requests: list = field(default_factory=list)

    @property
    def as_proxy(self):
        """The environment in which it stands for every host of the internet that its certificate names."""
        return TRUST | {"HTTPS_PROXY": f"http://127.0.0.1:{self.port}", "NO_PROXY": ""}


@contextmanager
def web():
    """Run an HTTP server, which is also a proxy that answers in the place of other hosts."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            size = int(self.headers.get("content-length", 0))
            split, host = urlsplit(self.path), self.headers["host"]
            found.requests.append(Request(host, split.path, parse_qs(split.query), self.rfile.read(size).decode()))
            status, text = found.answers.pop(0) if found.answers else (200, "ok")
            self.send_response(status)
            self.send_header("content-length", str(len(text)))
            self.send_header("connection", "close")
            self.end_headers()
            self.wfile.write(text.encode())

        def do_CONNECT(self):
            self.send_response(200)
            self.end_headers()
            self.connection = _tls().wrap_socket(self.connection, server_side=True)
            self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
            self.close_connection = False

        def finish(self):
            super().finish()
            self.connection.close()

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Web(server.server_port)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()


def _tls():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE, CERTIFICATE.with_suffix(".key"))
    return context


@dataclass
class Mail:
    """A mail server and what it has taken."""

    port: int
    messages: list = field(default_factory=list)

    def url(self, password=MAIL_PASSWORD, scheme="mailtos"):
        """The address of it for Apprise, with STARTTLS."""
        user = MAIL_USER.replace("@", "%40")
        return (
            f"{scheme}://{user}:{password}@localhost:{self.port}?smtp=localhost&from={MAIL_USER}&to=admin@example.com"
        )

    @property
    def subjects(self):
        return [str(message["subject"]) for message in self.messages]

    @property
    def texts(self):
        return [message.get_body(("plain", "html")).get_content() for message in self.messages]


@contextmanager
def mail():
    """Run a mail server that wants STARTTLS and a password."""
    found = Mail(0)

    class Keep:
        async def handle_DATA(self, server, session, envelope):  # noqa: ARG002, N802 - aiosmtpd's way
            assert session.ssl
            found.messages.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
            return "250 OK"

    def check(server, session, envelope, mechanism, data):
        good = isinstance(data, LoginPassword) and (data.login, data.password) == (
            MAIL_USER.encode(),
            MAIL_PASSWORD.encode(),
        )
        return AuthResult(success=good, handled=False)

    class Server(Controller):
        def factory(self):
            return SMTP(
                self.handler,
                hostname="localhost",
                tls_context=_tls(),
                require_starttls=True,
                auth_required=True,
                authenticator=check,
            )

    server = Server(Keep(), hostname="127.0.0.1", port=_free_port())
    server.start()
    try:
        found.port = server.port
        yield found
    finally:
        server.stop()


@contextmanager
def deaf():
    """Open a port whose server takes the connection and never says a word; yields its number."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@contextmanager
def dead():
    """Hold a port that refuses every connection; yields its number."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def _free_port():
    """A port that nobody listens on now; aiosmtpd wants to be told one."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]
