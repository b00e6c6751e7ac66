"""Every finding, error and exit code has an explanation in both languages, and its commands exist."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main

from docs.test_reference import DOCS, PROJECT, SOURCES, all_errors
from korrigo_backup.cli.main import app
from korrigo_backup.core.language import Language
from korrigo_backup.explain.explanations import load, recognised
from korrigo_backup.postgres.server_error import EXPLAINED

KNOWN = load()
VALUES = {
    "compose": "docker compose",
    "db": "db",
    "backend": "backend",
    "database": "viatique",
    "user": "viatique_user",
    "backups": "backups",
    "media": "/app/media",
}

RUNBOOK = {
    "5.8 problem 1": ("manifest.missing", "Manifest file not found in backup directory"),
    "5.8 problem 2": ("restore.incomplete", "Pass 15: Saved 0 objects. 23 remaining.\nRestore incomplete! 23 objects could not be restored."),
    "5.8 problem 3": ("file.permission", "PermissionError: [Errno 13] Permission denied: '/app/media/uploads/file.pdf'"),
    "5.8 problem 4": ("database.missing", 'FATAL: database "viatique" does not exist'),
    "5.8 problem 5": ("memory.exhausted", "MemoryError: Unable to allocate array"),
    "5.8 problem 6": ("restore.slow", "Pass 8: Saved 120 objects. 40000 remaining."),
    "5.8 problem 7": ("rows.foreign_key", "django.db.utils.IntegrityError: FOREIGN KEY constraint failed"),
    "8.1 permission denied": ("script.permission", "./scripts/backup_db.sh: Permission denied"),
    "8.1 no space left": ("disk.full", "gzip: backups/db_backup_20260204_030000.sql.gz: No space left on device"),
    "8.1 docker compose": ("compose.absent", "docker compose: command not found"),
    "8.1 connection failed": ("server.silent", 'pg_dump: error: connection to server on socket "/var/run/postgresql/.s.PGSQL.5432" failed'),
    "8.1 too small": ("artifact.small", "Backup file too small"),
    "8.2 manifest": ("manifest.missing", "Manifest file not found in backup directory"),
    "8.2 incomplete": ("restore.incomplete", "Restore incomplete! 23 objects could not be restored."),
    "8.2 permission denied": ("file.permission", "PermissionError: [Errno 13] Permission denied: '/app/media/uploads/file.pdf'"),
    "8.2 database does not exist": ("database.missing", 'FATAL: database "viatique" does not exist'),
    "8.2 out of memory": ("memory.exhausted", "MemoryError: Unable to allocate array"),
    "8.2 out of memory, second line": ("rows.refused", "django.core.serializers.base.DeserializationError"),
    "8.2 foreign key": ("rows.foreign_key", 'django.db.utils.IntegrityError: FOREIGN KEY constraint "fk_user_id" failed'),
    "8.2 slow": ("restore.slow", "Pass 8: Saved 12 objects. 4000 remaining."),
    "8.2 cannot connect": ("services.database", "django.db.utils.OperationalError: could not connect to server"),
    "8.2 backup path": ("artifact.outside", "FileNotFoundError: [Errno 2] No such file or directory: '/tmp/backups/korrigo_backup_20260203_120000'"),
    "8.3 variables": ("settings.missing", "KeyError: 'POSTGRES_PASSWORD'"),
    "8.3 variables, second line": ("settings.missing", "ValueError: DJANGO_ALLOWED_HOSTS must be set"),
    "8.3 container": ("container.absent", "Error: No such container: backend"),
}  # fmt: skip
"""The errors of the runbook by section: the id of each, and its symptom as printed there."""


def documented():
    text = (DOCS / "findings.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `([a-z_]+\.[A-Za-z0-9_.-]+)` \|", text, re.MULTILINE))


def raised():
    """The ids that the source gives to errors."""
    pattern = re.compile(r'\bid_?(?:: str)? = "([a-z]\S*?)"|\bid_="([a-z]\S*?)"|Cause\(\s*"([a-z]\S*?)"')
    found = (match for path in SOURCES for match in pattern.finditer(path.read_text(encoding="utf-8")))
    return {next(filter(None, match.groups())) for match in found} | set(EXPLAINED.values())


@pytest.mark.contract("X1")
def test_every_documented_finding_has_an_explanation_in_a_file_of_the_folder_explain():
    assert documented() - KNOWN.keys() == set()


@pytest.mark.contract("X1")
def test_every_error_of_the_source_has_an_explanation():
    ids = raised()
    assert {"disk.full", "server.password", "container.absent", "run.locked", "django.absent"} <= ids
    assert ids - KNOWN.keys() == set()
    assert {kind.id for kind in all_errors()} - KNOWN.keys() == {""}


@pytest.mark.contract("X1")
def test_every_exit_code_has_an_explanation():
    codes = {0, 130, *(kind.exit_code for kind in all_errors())}
    assert {f"exit.{code}" for code in codes} == {id_ for id_ in KNOWN if id_.startswith("exit.")}


@pytest.mark.contract("X1")
@pytest.mark.parametrize("section", RUNBOOK)
def test_every_error_of_the_runbook_is_recognised_in_its_own_words(section):
    id_, symptom = RUNBOOK[section]
    assert recognised(symptom, KNOWN)[0].id == id_
    assert KNOWN[id_].next


@pytest.mark.contract("X1")
@pytest.mark.parametrize("id_", KNOWN)
def test_every_explanation_is_in_both_languages_and_complete(id_):
    one = KNOWN[id_]
    for texts in (one.symptom, one.cause, *filter(None, [one.advice])):
        assert set(texts) == set(Language)
        assert all(text.strip() == text and text.endswith((".", ":", "?")) for text in texts.values())
        assert texts[Language.ENGLISH] != texts[Language.FRENCH]


def test_every_command_of_ours_exists_with_its_options():
    command: Any = typer.main.get_command(app)
    verbs = command.commands
    for one in KNOWN.values():
        for line in one.commands(VALUES):
            assert "$compose" not in line
            words = shlex.split(line)
            if words[0] == "korrigo-backup" and not words[1].startswith("-"):
                group = verbs[words[1]]
                leaf = group.commands[group._action_first(words[2:])[0]] if hasattr(group, "commands") else group
                known = {option for parameter in leaf.params for option in parameter.opts} | {"--timings"}
                assert {word for word in words if word.startswith("--")} <= known, line


def test_every_script_that_is_named_exists():
    text = "".join(
        path.read_text(encoding="utf-8") for path in sorted((PROJECT / "src/korrigo_backup/explain").glob("*.toml"))
    )
    for name in re.findall(r"scripts/(\w+\.sh)", text):
        assert Path(PROJECT / "scripts" / name).exists()
