"""A newer backup that `latest` passes over is named on standard error, and standard error may be closed."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from korrigo_backup.cli import copy, drill
from korrigo_backup.cli.program.names import find_artifact
from korrigo_backup.targets import read_back

BAD = SimpleNamespace(name="db_backup_20260205_030000.sql.gz", why="was found damaged")
FOUND = SimpleNamespace(path=Path("backups/db_backup_20260204_030000.sql.gz"), passed_over=(BAD,))


def wired() -> Any:
    return SimpleNamespace(catalog=SimpleNamespace(find=lambda *_: FOUND))


def test_it_is_named_with_the_reason(capsys):
    found: Any = find_artifact(wired(), "latest")
    assert found is FOUND
    assert capsys.readouterr().err == f"warning: newer, and passed over: {BAD.name} {BAD.why}\n"


class Closed(io.StringIO):
    def flush(self):
        raise BrokenPipeError


def test_a_closed_stream_does_not_end_the_verb(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Closed())
    found: Any = find_artifact(wired(), "latest")
    assert found is FOUND


def test_a_drill_of_a_target_names_it_too(monkeypatch, capsys):
    def artifacts_on(_, named, *, passed):
        passed(BAD.name, BAD.why)
        return ["db_backup_20260204_030000.sql.gz"] if named == "latest" else []

    monkeypatch.setattr(read_back, "artifacts_on", artifacts_on)
    reading: Any = None
    assert drill._newest_on(reading) == "db_backup_20260204_030000.sql.gz"
    assert f"{BAD.name} {BAD.why}" in capsys.readouterr().err


def test_copy_names_it_too_and_copies_the_other(monkeypatch, capsys):
    taken = list[str]()

    def copied(_, artifacts, *to, **more):
        taken.extend(artifacts)
        return []

    monkeypatch.setattr(copy, "copied", copied)
    context: Any = SimpleNamespace(ensure_object=lambda _: SimpleNamespace(wired=wired))
    copy.command(context, ["latest"])
    assert taken == [str(FOUND.path)]
    assert BAD.name in capsys.readouterr().err
