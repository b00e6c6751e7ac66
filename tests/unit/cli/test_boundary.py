"""The error boundary: what it prints and keeps of an error."""

import importlib.machinery
import py_compile

import pytest

from korrigo_backup.cli import main
from korrigo_backup.cli.output import CommandContext
from korrigo_backup.cli.program.standard_input import read_hidden
from korrigo_backup.core.language import Language
from korrigo_backup.core.secret import Secret
from korrigo_backup.errors import KorrigoBackupError, UsageError


@pytest.mark.promise("P7")
@pytest.mark.parametrize("language", Language)
def test_a_secret_that_reads_like_our_texts_is_masked_before_the_translation(capsys, monkeypatch, language):
    secret = "battery; it was interrupted"
    monkeypatch.setattr(CommandContext, "known_secrets", (Secret(secret),))
    monkeypatch.setattr(CommandContext, "language", language)
    main._say(KorrigoBackupError(f"the server refused: {secret}", hint="korrigo-backup doctor"))
    err = capsys.readouterr().err
    assert "battery" not in err
    assert "***" in err


def test_the_end_of_an_input_is_named_with_its_cause(capsys, monkeypatch):
    def cut(*_arguments):
        raise EOFError("the pipe ended")

    monkeypatch.setattr(main, "_wired", cut)
    assert main.guarded(["list"]) == 1
    assert "unexpected EOFError: the pipe ended" in capsys.readouterr().err


def test_a_compiled_file_that_is_cut_off_is_named_with_its_remedy(capsys, monkeypatch, tmp_path):
    (tmp_path / "part.py").write_text("x = 1\n")
    compiled = tmp_path / "cut.pyc"
    py_compile.compile(str(tmp_path / "part.py"), str(compiled))
    compiled.write_bytes(compiled.read_bytes()[:-20])

    def cut(*_arguments):
        importlib.machinery.SourcelessFileLoader("part", str(compiled)).get_code("part")

    monkeypatch.setattr(main, "_wired", cut)
    assert main.guarded(["list"]) == 1
    err = capsys.readouterr().err
    assert "error: a compiled file of Python is cut off: marshal data too short" in err
    assert "hint: remove the directories __pycache__ of the program, then run it again" in err


def test_the_end_of_the_input_at_a_hidden_question_is_an_error_in_words(monkeypatch):
    def ended(_question):
        raise EOFError

    monkeypatch.setattr("getpass.getpass", ended)
    with pytest.raises(UsageError, match="nothing was typed: the input has ended"):
        read_hidden("Key: ")
