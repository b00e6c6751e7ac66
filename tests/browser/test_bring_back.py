"""A deleted exam comes back by the admin: asked for in a browser, planned and carried out by the host."""

import base64
import os
import shlex
from pathlib import Path

import pytest

from demosite import MANAGE
from pagerules import problems

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="

DELETE = """
from exams.models import Exam
exam = Exam.everything.order_by("id").first()
print(exam.pk)
for copy in exam.copies.all():
    copy.delete()
exam.delete()
"""


@pytest.fixture
def spool(demo, tmp_path):
    """The directory of requests, known to the site and to the host; a person approves."""
    for name in ("requests", "answers"):
        (tmp_path / "spool" / name).mkdir(parents=True)
    demo.extra["KORRIGO_BACKUP_REQUESTS_DIR"] = str(tmp_path / "spool")
    demo.toml(f'[requests]\ndirectory = "{tmp_path / "spool"}"\n')
    return tmp_path / "spool"


def _keep(page, name):
    """Keep pictures of both widths where they are wanted."""
    if directory := os.environ.get("KORRIGO_LOOK_PICTURES"):
        for width in (390, 1280):
            page.set_viewport_size({"width": width, "height": 900})
            page.screenshot(path=Path(directory) / f"{name}-{width}.png", full_page=True)


def find_deleted(page, axe, key):
    """From the page of a backup: look inside, search the exam, and go to the form that brings it back."""
    page.click("#korrigo-rescue a >> nth=0")
    page.wait_for_selector("#korrigo-tables")
    assert problems(axe, page) == []
    _keep(page, "tables")
    page.click("text=public.exams_exam >> xpath=.. >> css=a")
    page.wait_for_selector("#korrigo-rows")
    assert problems(axe, page) == []
    page.fill("#korrigo-words", key[:8])
    page.click("form[role=search] [type=submit]")
    page.wait_for_load_state("networkidle")
    assert page.locator("#korrigo-rows tbody tr").count() == 1
    _keep(page, "rows")
    page.click("#korrigo-rows tbody a")
    page.wait_for_selector("#korrigo-fields")
    assert problems(axe, page) == []
    _keep(page, "row")
    page.click("#korrigo-bring-back")
    page.wait_for_selector("#korrigo-objects")
    assert page.inner_text("h1") == "Ramener des objets supprimés"
    assert page.input_value("#korrigo-objects") == f"exams.Exam:{key}"


@pytest.mark.usefixtures("spool")
def test_a_deleted_exam_comes_back_by_the_admin(demo, visit, axe):
    demo.korrigo("backup", "full")
    name = max(path.name for path in demo.backups.glob("restore_point_*.json"))
    before = demo.rows()
    key = demo.run([*shlex.split(MANAGE), "shell", "--no-imports", "-c", DELETE]).out.strip()
    page = visit("brings", locale="fr")
    here = page.url
    page.goto(f"{here}backup/{name}/")
    find_deleted(page, axe, key)
    assert problems(axe, page) == []
    _keep(page, "form")
    page.click("[type=submit].default")
    assert "pas encore répondu" in page.inner_text("#korrigo-state")
    assert problems(axe, page) == []
    demo.korrigo("requests", "run")
    page.reload()
    assert page.get_attribute("#korrigo-state", "data-state") == "planned"
    assert "public.exams_exam" in page.inner_text("#korrigo-rows")
    assert problems(axe, page) == []
    _keep(page, "plan")
    page.click("[type=submit].default")
    demo.korrigo("requests", "run")
    page.reload()
    assert page.get_attribute("#korrigo-state", "data-state") == "waiting"
    (waiting,) = [one for one in demo.json("requests")["requests"] if one["state"] == "waiting"]
    demo.korrigo("requests", "approve", waiting["id"][:8], "--yes")
    page.reload()
    assert page.get_attribute("#korrigo-state", "data-state") == "done"
    assert problems(axe, page) == []
    _keep(page, "done")
    after = demo.rows()
    assert after["exams_exam"] == before["exams_exam"]
    assert after["exams_copy"] == before["exams_copy"]
    page.click("#content-main p a.korrigo-link >> nth=-1")
    page.wait_for_selector("#korrigo-former")
    assert page.locator("#korrigo-former tbody tr").count() == 2
    assert problems(axe, page) == []
    _keep(page, "former")
    assert [text for text in page.complaints if not text.endswith("/favicon.ico")] == []


def test_rows_are_asked_of_a_host_that_publishes_its_status(demo, spool, tmp_path, visit, axe):
    demo.korrigo("backup", "db")
    name = max(path.name for path in demo.backups.glob("db_backup_2*.gz"))
    demo.toml(f'[requests]\ndirectory = "{spool}"\nlooks = true\n')
    demo.korrigo("status", "--publish", tmp_path / "published.json")
    hidden = demo.backups.rename(tmp_path / "of-the-host")
    (tmp_path / "published.json").rename(demo.backups)
    page = visit("brings", locale="fr")
    page.goto(f"{page.url}backup/{name}/")
    page.click("#korrigo-rescue a >> nth=0")
    page.wait_for_selector("#korrigo-table")
    assert problems(axe, page) == []
    page.click("[type=submit].default")
    page.wait_for_selector("#korrigo-state strong")
    demo.korrigo("requests", "run", env={"BACKUP_DIR": str(hidden)})
    page.reload()
    assert page.locator("#korrigo-rows tbody tr").count() >= 3
    assert problems(axe, page) == []
    _keep(page, "asked")
    page.click("#korrigo-rows tbody button >> nth=0")
    page.wait_for_selector("#korrigo-state strong")
    demo.korrigo("requests", "run", env={"BACKUP_DIR": str(hidden)})
    page.reload()
    assert page.locator("#korrigo-fields tbody tr").count() > 5
    assert "la même" in page.inner_text("#korrigo-state")
    assert problems(axe, page) == []
    assert [text for text in page.complaints if not text.endswith("/favicon.ico")] == []


def test_a_file_of_a_restore_point_is_looked_at(demo, spool, visit, axe):
    demo.write("scans/été.png", base64.b64decode(PNG))
    demo.korrigo("backup", "full")
    name = max(path.name for path in demo.backups.glob("restore_point_*.json"))
    demo.toml(f'[requests]\ndirectory = "{spool}"\npreviews = true\n')
    page = visit("brings", locale="fr")
    page.goto(f"{page.url}backup/{name}/")
    page.click("#korrigo-media a")
    assert problems(axe, page) == []
    page.fill("#korrigo-words", "ÉTÉ.png")
    page.click("[type=submit].default")
    page.wait_for_selector("#korrigo-state strong")
    demo.korrigo("requests", "run")
    page.reload()
    assert problems(axe, page) == []
    _keep(page, "files")
    page.click("#korrigo-rows tbody button >> nth=0")
    page.wait_for_selector("#korrigo-state strong")
    demo.korrigo("requests", "run")
    page.reload()
    assert page.evaluate("document.querySelector('.korrigo-preview').naturalWidth") > 0
    assert problems(axe, page) == []
    _keep(page, "file")
    assert [text for text in page.complaints if not text.endswith("/favicon.ico")] == []
