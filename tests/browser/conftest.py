"""A real browser, Debian's chromium, before the reference site run by its own manage.py."""

import http.client
import shlex
import shutil
import socket
import subprocess
from contextlib import contextmanager

import pytest

from demosite import MANAGE
from sandbox import until

PASSWORD = "pw-of-the-browser"

STRICT = """
at = MIDDLEWARE.index("django.contrib.sessions.middleware.SessionMiddleware") + 1
MIDDLEWARE = ["own_settings.strict", *MIDDLEWARE[:at], "django.middleware.locale.LocaleMiddleware", *MIDDLEWARE[at:]]

def strict(get_response):
    def answer(request):
        response = get_response(request)
        response["Content-Security-Policy"] = "default-src 'self'; img-src 'self' data:"
        return response
    return answer
"""

USERS = f"""
from django.contrib.auth.models import Permission, User
User.objects.create_user("looks", password="{PASSWORD}", is_staff=True).user_permissions.add(
    Permission.objects.get(codename="view_backups"))
User.objects.create_user("brings", password="{PASSWORD}", is_staff=True).user_permissions.set(
    Permission.objects.filter(codename__in=["view_backups", "look_into_backups", "bring_back", "preview_files", "view_exam",
        "add_exam"]))
User.objects.create_user("other", password="{PASSWORD}", is_staff=True)
"""


@pytest.fixture(scope="module")
def chromium():
    """The browser; a test that wants it is skipped where it is not.

    It ends with its module: as long as it runs, Django takes the thread for one of asyncio and refuses its tests.
    """
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("no chromium: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: make setup")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program,
            args=["--no-sandbox", "--disable-dev-shm-usage"],  # as root, and in a container with a small /dev/shm
        )
        yield browser
        browser.close()


@pytest.fixture
def served(demo):
    """The address of the reference site, with a strict content security policy and three members of staff.

    It speaks the language of the browser.
    """
    demo.settings(STRICT)
    demo.backups.mkdir(mode=0o700)
    demo.run([*shlex.split(MANAGE), "shell", "-c", USERS], env={"DEBUG": "1"})
    with _server(demo) as port:
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _server(demo):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    argv = [*shlex.split(MANAGE), "runserver", "--noreload", f"127.0.0.1:{port}"]
    with (
        (demo.home / "server.log").open("wb") as log,
        subprocess.Popen(argv, env=demo.env, cwd=demo.home, stdout=log, stderr=log) as server,
    ):
        try:
            until(lambda: _answers(port, server), seconds=60)
            yield port
        finally:
            server.terminate()


def _answers(port, server):
    assert server.poll() is None, "the server ended: see server.log"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/api/health/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()


def _where(message):
    return f"{message.text} {message.location['url']}"


@pytest.fixture
def visit(chromium, served):
    """Return a function that logs in as someone and opens the page of backups; errors of the console are kept."""
    contexts = []

    def go(user=None, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.complaints = []
        page.on("pageerror", lambda problem: page.complaints.append(str(problem)))
        page.on("console", lambda message: message.type == "error" and page.complaints.append(_where(message)))
        page.answer = page.goto(f"{served}/admin/korrigo_backup/backups/")
        if user:
            page.fill("#id_username", user)
            page.fill("#id_password", PASSWORD)
            with page.expect_navigation() as navigation:
                page.click("[type=submit]")
            page.answer = navigation.value
        page.wait_for_load_state("networkidle")
        return page

    yield go
    for context in contexts:
        context.close()


@pytest.fixture(scope="module")
def axe():
    """axe-core, injected by the debugger's protocol, so that the content security policy of the page stays."""
    module = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe-core: make setup (axe-playwright-python)"
    )
    return module.Axe()
