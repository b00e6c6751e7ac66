"""The runbook in French, typed from its first command to its last on the reference site."""

import re

import sinks
from docs.operators import SETTINGS, Operator, type_the_runbook
from sandbox import USER, USER_PASSWORD

ELSEWHERE = {"korrigo-backup drill --level disaster": "needs Docker Compose: tests/compose/test_runbook_in_french.py"}


def test_every_command_of_the_runbook_runs_from_the_first_to_the_last(demo, other_disk):
    key = demo.home / "kit.key"
    demo.korrigo("seal", "init", "--to", key)
    (public,) = re.findall(r"age1\w+", key.read_text())
    operator = Operator.of(demo)
    operator.env["BACKUP_DIR"] = "backups"
    manage = f"[django]\nmanage = {demo.env['KORRIGO_BACKUP_MANAGE'].split()!r}\n"
    operator.settle()
    with sinks.web() as web:
        settings = SETTINGS.format(
            public=public,
            disk=other_disk,
            port=web.port,
            access=demo.server.access(),
            user=USER,
            password=USER_PASSWORD,
            database=demo.database,
        )
        type_the_runbook(operator, settings + manage, without=ELSEWHERE)
