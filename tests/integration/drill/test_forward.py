"""The forwarder to a site in a private project: only with its key, only reading, and nothing that leads elsewhere."""

import http.client
import urllib.error
import urllib.request
from http.cookiejar import CookieJar
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import pytest

from korrigo_backup.drill.forward import Upstream, forwarded
from korrigo_backup.errors import Refused


class Website(BaseHTTPRequestHandler):
    """A site that shows the headers of a request, and at /away redirects to its own name."""

    def do_GET(self):
        away = self.path == "/away"
        body = "\n".join(f"{name}: {value}" for name, value in self.headers.items()).encode()
        self.send_response(302 if away else 200)
        self.send_header("Strict-Transport-Security", "max-age=1000")
        self.send_header("Content-Length", str(len(body)))
        if away:
            self.send_header("Location", "https://shop.example/there?x=1")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_words):
        """Print nothing."""


@pytest.fixture
def address():
    with ThreadingHTTPServer(("127.0.0.1", 0), Website) as website:
        Thread(target=website.serve_forever, daemon=True).start()
        with forwarded(Upstream("127.0.0.1", website.server_address[1], {"sessionid": "s1"})) as shown:
            yield shown
        website.shutdown()


@pytest.fixture
def browser(address):
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    opener.open(address, timeout=10).close()
    return opener


def asked(address, path, method="GET", **headers):
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer, body


def base(address):
    return address.partition("/-/")[0]


def test_a_browser_with_the_key_sees_the_site_with_the_session_and_without_the_key(address, browser):
    key = address.rpartition("/")[2]
    with browser.open(f"{base(address)}/page", timeout=10) as answer:
        text = answer.read().decode()
        assert "Strict-Transport-Security" not in answer.headers
    assert "Cookie: sessionid=s1" in text
    assert key not in text
    assert "Host: localhost" in text


@pytest.mark.promise("P7")
@pytest.mark.parametrize("path", ["/", "/page", "/-/", "/-/wrong"])
def test_without_the_key_nothing_is_forwarded(address, path):
    answer, body = asked(address, path)
    assert answer.status == 403
    assert b"sessionid" not in body


def test_a_cookie_that_is_no_text_is_no_key(address):
    assert asked(address, "/", Cookie='korrigo-browse="\xe9"')[0].status == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_changes_are_refused(address, method):
    assert asked(address, "/", method)[0].status in {405, 501}


def test_a_redirect_to_the_sites_own_name_stays_here(address):
    cookie = {"Cookie": f"korrigo-browse={address.rpartition('/')[2]}"}
    answer, _ = asked(address, "/away", **cookie)
    assert answer.getheader("Location") == "/there?x=1"


def test_a_site_that_is_gone_is_named(address):
    with forwarded(Upstream("127.0.0.1", 1)) as shown:
        answer, body = asked(shown, "/", Cookie=f"korrigo-browse={shown.rpartition('/')[2]}")
    assert answer.status == 502
    assert b"does not answer" in body


def test_a_port_that_is_taken_is_refused_with_the_option_that_helps(address):
    port = urlsplit(address).port or 0
    with (
        pytest.raises(Refused, match=f"port {port} of 127.0.0.1 cannot be used") as refused,
        forwarded(Upstream("", 1), port),
    ):
        pass
    assert "--port" in refused.value.hint
