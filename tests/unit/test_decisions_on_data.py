"""Decisions are taken on classes, codes and typed fields (docs/decisions/0036)."""

import ast
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

import korrigo_backup
from korrigo_backup.artifact.history import damaged, failing
from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.cli.restore import _way_back
from korrigo_backup.drill.drill import REFUSED_DUMP
from korrigo_backup.errors import Interrupted, KorrigoBackupError, Unreachable, World
from korrigo_backup.postgres.server_error import ServerError, client_error, statement_error
from korrigo_backup.recovery.actions import ActionKind, Recovered, RecoveryAction
from korrigo_backup.restore.plan import Replacement, RestorePlan
from korrigo_backup.run.record import Outcome, Record, Verb
from korrigo_backup.run.undo import UndoStack, all_or_nothing

SOURCES = Path(korrigo_backup.__file__).parent
PROSE = frozenset({"message", "hint", "state", "detail", "stderr", "evidence", "sentence", "description", "what"})
"""Names of attributes that hold a text for a person, or what a program printed."""

FOREIGN = {
    "djangoapp/boundary.py": "SQLite has no code of its own for a table that is missing",
    "artifact/history.py": "a journal line from before 0.1.0 has no field for the artifact that was found bad",
    "postgres/dump/other_tools.py": "the first line of pg_restore is shown",
    "notify/apprise_.py": "Apprise only logs the cause",
    "notify/healthchecks.py": "Healthchecks answers OK to an unknown check",
    "compose/project.py": "docker ends with the same status whatever failed",
    "site/manage.py": "manage.py has no code for an unknown command or option",
    "postgres/server_error.py": "pg_dump prints no SQLSTATE, psql none for a connection",
    "postgres/silent_backend.py": "the state is a code of pg_stat_activity",
    "system/age.py": "pyrage has one class for every failure",
    "schedule/crontab.py": "crontab -l ends with 1 also where there is none",
}
"""Modules of programs and libraries that give no code for a cause: they may read its words, each for its own program."""

READS = frozenset(
    {"startswith", "endswith", "split", "rsplit", "partition", "rpartition", "removeprefix", "removesuffix", "find"}
)
SEARCHES = frozenset({"search", "match", "fullmatch"})


def is_prose(node):
    if isinstance(node, ast.Attribute):
        return node.attr in PROSE and not (isinstance(node.value, ast.Name) and node.value.id == "self")
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "str" and node.args
    return bool(called) and isinstance(node.args[0], ast.Name) and node.args[0].id in {"problem", "signal", "fault"}


def is_text(node):
    return isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) > 1


def on_prose(node):
    """Whether a decision is taken on a text: it is compared, searched or cut."""
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        return any(map(is_prose, sides)) and not any(isinstance(one, ast.Is | ast.IsNot) for one in node.ops)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        if node.func.attr in READS:
            return is_prose(node.func.value)
        return node.func.attr in SEARCHES and any(map(is_prose, node.args))
    return False


def on_exact_class(node):
    """Whether a decision is taken on `type(problem)`, so that a new subclass goes another way."""
    called = isinstance(node, ast.Compare) and isinstance(node.left, ast.Call)
    return called and isinstance(node.left.func, ast.Name) and node.left.func.id == "type"


def offences(module):
    tree = ast.parse((SOURCES / module).read_text(encoding="utf-8"))
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.expr))
    return [f"{module}:{node.lineno}" for node in nodes if on_prose(node) or on_exact_class(node)]


MODULES = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.py"))


def test_no_decision_is_taken_on_the_words_of_a_message():
    found = [one for module in MODULES if module not in FOREIGN for one in offences(module)]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "if 'lock' in problem.message: pass",
        "problem.hint.startswith('see')",
        "re.search('x', done.stderr)",
        "problem.state == 'stopped'",
        "str(signal) == UNCHANGED",
        "type(problem) is KorrigoBackupError",
        "type(problem) in {KorrigoBackupError}",
        "one.what.partition(' ')",
    ],
)
def test_the_rule_finds_a_decision_on_words(code):
    assert any(on_prose(node) or on_exact_class(node) for node in ast.walk(ast.parse(code)))


def test_a_recovery_is_typed_and_its_sentences_decide_nothing():
    rolled_back = Recovered((RecoveryAction(ActionKind.RESTORE_ROLLED_BACK, "20260101_020000"),))
    assert rolled_back.restore
    assert rolled_back.actions[0].sentence == "undid the unfinished restore of 20260101_020000"
    others = set(ActionKind) - {
        ActionKind.RESTORE_ROLLED_BACK,
        ActionKind.DJANGO_RESTORE_ROLLED_BACK,
        ActionKind.STAGED_DROPPED,
    }
    assert not any(Recovered((RecoveryAction(kind, "a restore unfinished"),)).restore for kind in others)


def test_every_kind_of_action_has_a_sentence():
    assert all(RecoveryAction(kind, "S").sentence for kind in ActionKind)


def test_a_drill_decides_on_classes():
    refused = {statement_error("psql", "x", ServerError(code, "x")).__class__ for code in ("42601", "22P02", "23505")}
    refused.add(client_error("psql", "invalid command", "invalid command").__class__)
    assert refused == set(REFUSED_DUMP)
    place = [
        statement_error("psql", "x", ServerError("42501", "x")),
        statement_error("psql", "x", ServerError("53100", "x")),
        statement_error("psql", "x", ServerError("55P03", "x")),
        Unreachable("x", hint=""),
        KorrigoBackupError("x", hint=""),
    ]
    assert not any(isinstance(one, REFUSED_DUMP) for one in place)


def test_an_error_names_its_world_as_a_code():
    assert KorrigoBackupError("x", hint="").world is World.UNCHANGED
    assert KorrigoBackupError("x", hint="", state="kept").world is World.CHANGED
    undo = UndoStack()
    undo.push("the swap", list)
    assert undo.unwind(KorrigoBackupError("x", hint="")).world is World.ROLLED_BACK
    with pytest.raises(Interrupted) as caught, all_or_nothing():
        raise Interrupted("")
    assert caught.value.world is World.UNCHANGED


def test_the_record_of_a_night_names_the_artifact_that_it_found_bad():
    name = "db_backup_20260101_020000.sql.gz"
    record = {
        "id": "1",
        "verb": "nightly",
        "subject": "db",
        "site": "s",
        "by": "u@h",
        "started": "2026-01-01T02:00:00Z",
    }
    ended = {**record, "outcome": "failed", "exit_code": 9, "message": f"{name} was made and does not verify: cut"}
    before = msgspec.convert(ended, Record)  # a development version before 0.1.0 wrote no `damaged`
    assert damaged([before]) == {name: ended["message"]}
    named = msgspec.convert({**ended, "damaged": name, "message": "reworded"}, Record)
    assert damaged([named]) == {name: "reworded"}
    none = msgspec.convert({**ended, "damaged": ""}, Record)
    assert damaged([none]) == {}


def test_a_failure_has_verb_and_subject_as_data():
    record = Record(
        id="1", verb="verify", subject="db backup.sql.gz", site="s", by="u@h",
        started=datetime(2026, 1, 1, tzinfo=UTC), outcome=Outcome.FAILED,
    )  # fmt: skip
    (one,) = failing([record], running=False)
    assert (one.verb, one.subject, one.what) == (Verb.VERIFY, "db backup.sql.gz", "verify db backup.sql.gz")
    (one,) = failing([replace(record, verb="restore by Django")], running=False)
    assert (one.verb, one.subject, one.what) == (Verb.RESTORE_BY_DJANGO, "", "restore by Django")


def test_a_plan_names_the_command_that_undoes_a_restore_in_place():
    replacement = Replacement(part="database", target="x", kept_as="x_before", needs=0, free=None)
    assert _way_back(plan(replacement)) == "korrigo-backup rollback"
    in_place = replace(
        replacement, kept_as=None, in_place=True, undone_by="korrigo-backup rollback --to safety --in-place"
    )
    assert _way_back(plan(in_place)) == "korrigo-backup rollback --to safety --in-place"
    assert b"undone_by" not in msgspec.json.encode(replacement)


def plan(*replaces):
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return RestorePlan(artifact="x", kind=Kind.SQL, created=moment, replaces=replaces)
