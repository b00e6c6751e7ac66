"""The files that `uninstall` removes are those of this program."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from korrigo_backup.cli.setup.uninstall import _own_files, _remove_program
from korrigo_backup.status.metrics import BEGIN


def wired(directory: Path, textfile: str) -> Any:
    config = SimpleNamespace(status=SimpleNamespace(textfile=Path(textfile)))
    return SimpleNamespace(directory=directory, config=config)


def test_our_metrics_go(tmp_path):
    (tmp_path / "backup.prom").write_text(f"{BEGIN}good 1\n")
    assert list(_own_files(wired(tmp_path, "backup.prom"))) == [tmp_path / "backup.prom"]


@pytest.mark.promise("P10")
@pytest.mark.parametrize("content", ["# HELP node_cpu_seconds_total …\n", "", None])
def test_metrics_of_another_program_stay(tmp_path, content):
    if content is not None:
        (tmp_path / "other.prom").write_text(content)
    assert list(_own_files(wired(tmp_path, "other.prom"))) == []


def test_the_directory_of_pex_stays_because_other_programs_are_in_it(monkeypatch):
    monkeypatch.setenv("PEX", "/usr/local/bin/korrigo-backup")
    assert _remove_program() == "rm /usr/local/bin/korrigo-backup"
