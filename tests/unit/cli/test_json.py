"""With `--json` every verb prints one document on standard output, whether it succeeds or fails."""

import json
import signal
import subprocess
import sys
import time

import pytest

from korrigo_backup.cli import main
from korrigo_backup.cli.program.document import Document, add_to_document
from korrigo_backup.cli.program.verbs import VERBS

WITHOUT_A_SITE = {"diagnose", "explain", "init"}
"""Verbs that work without a valid configuration."""


def document(capsys, *words):
    code = main.guarded(words)
    printed = capsys.readouterr()
    return code, json.loads(printed.out), printed.err


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_a_usage_error_is_one_document(capsys, verb):
    code, found, err = document(capsys, verb, "--json", "--no-such-option")
    assert (code, found["ok"], found["error"]["code"]) == (2, False, 2)
    assert set(found["error"]) == {"id", "code", "message", "hint", "state"}
    assert "--no-such-option" in found["error"]["message"]
    assert f"korrigo-backup {verb}" in found["error"]["hint"]
    assert err.startswith("error: ")


@pytest.mark.parametrize("verb", sorted(set(VERBS) - WITHOUT_A_SITE))
def test_a_failure_is_one_document(capsys, monkeypatch, tmp_path, verb):
    monkeypatch.chdir(tmp_path)
    code, found, _ = document(capsys, "--config", str(tmp_path / "none.toml"), verb, "--json")
    assert code == found["error"]["code"] != 0
    assert found["ok"] is False
    assert found["error"]["hint"]
    assert found["error"]["state"] == "nothing was changed"


@pytest.mark.parametrize("words", [("--json",), ("--json", "no-such-verb"), ("no-such-verb", "--json")])
def test_a_command_line_without_a_verb_is_one_document(capsys, words):
    code, found, _ = document(capsys, *words)
    assert (code, found["schema"], found["ok"]) == (2, "korrigo-backup/error-1", False)


def test_a_success_is_ok_and_the_option_may_stand_before_the_verb(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, found, _ = document(capsys, "--json", "list")
    assert code == 0
    assert found == {
        "schema": "korrigo-backup/list-1",
        "ok": True,
        "items": [],
        "strangers": [],
        "undoable": [],
        "undoable_in_replaced_data": [],
    }


def test_what_a_verb_found_stands_beside_its_error(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, found, _ = document(capsys, "status", "--json")
    assert code == found["error"]["code"] == 10
    assert (found["schema"], found["ok"]) == ("korrigo-backup/status-1", False)
    assert found["attention"]


def test_after_two_dashes_the_word_is_that_of_another_command(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main.guarded(["guard", "--", "no-such-program", "--json"]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("words", [("list", "--help"), ("list", "-h"), ("help", "list"), ("help", "hold", "add")])
def test_a_help_is_a_text_and_no_document_follows_it(capsys, words):
    assert main.guarded([*words, "--json"]) == 0
    out = capsys.readouterr().out
    assert "Examples:" in out
    assert "{" not in out


def test_a_verb_without_a_field_answers_with_its_lines():
    assert json.loads(Document("init").text(None, 0)) == {
        "schema": "korrigo-backup/init-1",
        "ok": True,
        "messages": [],
    }


def test_fields_are_added_to_the_document_of_the_command_line_alone(monkeypatch):
    add_to_document(lost=True)
    held = Document("hold")
    monkeypatch.setattr(Document, "current", held)
    add_to_document(holds=[])
    assert json.loads(held.text(None, 0)) == {"schema": "korrigo-backup/hold-1", "ok": True, "holds": []}


def test_an_interruption_while_the_libraries_load_is_one_document(tmp_path):
    slow = "import signal, sys, time; from korrigo_backup.cli import start; sys.argv = ['korrigo-backup', 'list', '--json']"
    wait = "; signal.signal(signal.SIGTERM, start._leave); print('ready', file=sys.stderr, flush=True); time.sleep(9)"
    with subprocess.Popen([sys.executable, "-c", slow + wait], stdout=-1, stderr=-1, cwd=tmp_path) as child:
        assert child.stderr
        child.stderr.readline()
        time.sleep(0.05)
        child.send_signal(signal.SIGTERM)
        out, _ = child.communicate(timeout=9)
    assert child.returncode == 130
    assert json.loads(out)["error"]["code"] == 130
