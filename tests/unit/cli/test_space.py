"""The lines about the room of a restore never stand in its way."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.cli.printed import space
from korrigo_backup.errors import Refused
from korrigo_backup.restore.plan import Replacement, RestorePlan


def refuse(*_):
    raise Refused("cannot read the backup directory", hint="run as its owner")


@pytest.mark.promise("P1")
def test_a_backup_directory_or_a_server_that_cannot_be_read_leaves_its_line_out(monkeypatch, tmp_path):
    monkeypatch.setattr(space, "survey", refuse)
    one = Replacement(part="database", target="school", kept_as="school_before", needs=1, free=None)
    plan = RestorePlan(artifact="a", kind=Kind.SQL, created=datetime(2026, 2, 4, tzinfo=UTC), replaces=(one,))
    catalog = SimpleNamespace(directory=tmp_path, artifacts=list)
    wired: Any = SimpleNamespace(catalog=catalog)
    site: Any = None
    ((label, words),) = space.space_lines(wired, site, plan, safety_backup=True)
    assert (label, words.startswith(f"a dump in {tmp_path}, ")) == ("safety", True)
    catalog.artifacts = refuse
    assert space.space_lines(wired, site, plan, safety_backup=True) == []
