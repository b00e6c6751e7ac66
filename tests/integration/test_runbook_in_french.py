"""The runbook in French, typed from its first command to its last on the reference site."""

import re

import pytest

import sinks
from docs.console import commands
from docs.operators import Operator
from docs.test_documents import PROJECT, text
from sandbox import USER, USER_PASSWORD

PAGE = PROJECT / "docs" / "fr" / "runbook.md"
ENDS = {
    "korrigo-backup doctor": 10,
    "korrigo-backup doctor --fix": 10,
    "korrigo-backup checklist": 10,
    "korrigo-backup checklist release": 10,
    "korrigo-backup status": 10,
    "korrigo-backup compare latest": 9,
    "korrigo-backup init": 3,
    "korrigo-backup nightly --full": 3,
}
"""Commands that may find something on this site, and end with this code when they do."""
ELSEWHERE = {"korrigo-backup drill --level disaster": "needs Docker Compose: tests/compose/test_private_project.py"}
"""Commands that cannot run here, with the test that runs them."""


@pytest.fixture
def configured(demo, other_disk):
    """The reference site in the state that the runbook has it in: with a kit, a target, a channel and a staging server."""
    access = demo.server.access()
    key = demo.home / "kit.key"
    demo.korrigo("seal", "init", "--to", key)
    (public,) = re.findall(r"age1\w+", key.read_text())
    with sinks.web() as web:
        yield f"""
[kit]
recipients = ["{public}"]

[targets.cloud]
url = "file://{other_disk}"
off_site = true

[notify]
urls = ["json://127.0.0.1:{web.port}/"]

[staging]
host = "{access.host}"
port = {access.port}
user = "{USER}"
password = "{USER_PASSWORD}"
name = "{demo.database}_staging"

[django]
manage = {demo.env["KORRIGO_BACKUP_MANAGE"].split()!r}
"""


def test_every_command_of_the_runbook_runs_from_the_first_to_the_last(demo, configured):
    operator = Operator(demo)
    operator.env["BACKUP_DIR"] = "backups"
    content = text(PAGE)
    for command, reason in ELSEWHERE.items():
        assert f"$ {command}\n…\n" in content, reason
        content = content.replace(f"$ {command}\n…\n", "")
    for command, code in ENDS.items():
        assert f"$ {command}\n" in content, command
        content = content.replace(f"$ {command}\n", f"$ {command} || [ $? = {code} ]\n")
    page = demo.home / "runbook.md"
    page.write_text(content, encoding="utf-8")
    operator.settle()
    operator.follow(page, {}, until="### 2.3 ")
    (demo.home / "korrigo-backup.toml").write_text(configured, encoding="utf-8")
    operator.follow(page, {}, after="### 2.3 ", until="### 5.4 ")
    (made,) = demo.backups.glob("korrigo_backup_*")
    operator.follow(page, {"korrigo_backup_20260203_120000": made.name}, after="### 5.4 ", until="### 5.5 ")
    operator.follow(page, {}, after="### 5.5 ")
    assert len(commands(content)) > 60
