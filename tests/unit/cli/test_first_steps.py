"""The last words of `init`: commands that work as they are printed."""

import shlex
from types import SimpleNamespace
from typing import Any

import pytest

from korrigo_backup.cli.setup.first_steps import as_superuser
from korrigo_backup.setup import preflight


@pytest.mark.promise("P8")
@pytest.mark.parametrize(("role", "quoted"), [("viatique_user", '"viatique_user"'), ("l'école-2", '"l\'école-2"')])
def test_the_statement_for_a_missing_right_takes_any_role_and_stands_in_one_argument(monkeypatch, role, quoted):
    found = SimpleNamespace(name=role, superuser=False, createdb=False)
    monkeypatch.setattr(preflight, "Databases", lambda _: SimpleNamespace(role=lambda: found, owns=lambda _: True))
    server: Any = SimpleNamespace(database="school")
    finding = preflight._createdb(server)
    assert finding.hint == f"ALTER ROLE {quoted} CREATEDB"
    assert shlex.split(as_superuser(finding.hint)) == ["sudo", "-u", "postgres", "psql", "-c", finding.hint]
