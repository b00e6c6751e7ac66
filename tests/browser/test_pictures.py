"""The pictures of the documentation: the admin page and a report, in a real browser (`make pictures` keeps them)."""

import os
from pathlib import Path

SIZE = {"width": 1280, "height": 860}


def keep(page, name):
    """Take a picture, and write it where `make pictures` wants it. Return its bytes."""
    taken = page.screenshot(animations="disabled")
    if directory := os.environ.get("KORRIGO_PICTURES"):
        (Path(directory) / name).write_bytes(taken)
    return taken


def test_the_admin_page_fills_a_screen(demo, visit):
    for _ in range(3):
        demo.korrigo("backup", "full")
    demo.korrigo("drill", "latest-point")
    page = visit("looks", viewport=SIZE, locale="en")
    assert page.locator("#korrigo-list tbody tr").count() >= 3
    page.wait_for_function("document.querySelectorAll('canvas').length >= 2")
    assert len(keep(page, "admin.png")) > 20_000


def test_a_report_fills_a_screen(demo, chromium):
    demo.korrigo("backup", "full")
    demo.korrigo("drill", "latest-point")
    demo.korrigo("report", "period", "--html", "report.html", "--lang", "en")
    with chromium.new_context(viewport=SIZE) as context:
        page = context.new_page()
        page.goto(f"file://{demo.home}/report.html")
        assert page.locator("h1").count() == 1
        assert len(keep(page, "report.png")) > 20_000
