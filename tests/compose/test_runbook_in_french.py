"""The runbook in French, typed from its first command to its last on the stack of containers."""

import os
import re

import pytest

import sinks
from docs.operators import SETTINGS, Operator, type_the_runbook
from sandbox import KORRIGO, USER, USER_PASSWORD


@pytest.mark.skipif(os.geteuid() != 0, reason="the engine's volumes are root's")
@pytest.mark.skipif(
    not os.environ.get("KORRIGO_TEST_RUNBOOK"),
    reason="takes 20 minutes: make test-runbook (tests/integration/test_runbook_in_french.py types it without containers)",
)
def test_every_command_of_the_runbook_runs_on_the_stack(make_stack, server, other_disk):
    stack = make_stack()
    stack.run(str(KORRIGO), "seal", "init", "--to", "kit.key")
    (public,) = re.findall(r"age1\w+", (stack.root / "kit.key").read_text())
    operator = Operator(stack.root, stack.env | {"PATH": os.environ["PATH"]})
    with sinks.web() as web:
        settings = SETTINGS.format(
            public=public,
            disk=other_disk,
            port=web.port,
            access=server.access(),
            user=USER,
            password=USER_PASSWORD,
            database="viatique",
        )
        type_the_runbook(operator, settings, without={})
    assert stack.healthy()
