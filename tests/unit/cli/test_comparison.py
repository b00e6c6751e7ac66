"""A comparison, printed: words of ours are translated, names of rows and files are not."""

import pytest

from korrigo_backup.cli.output import CommandContext
from korrigo_backup.cli.printed.comparison import say_comparison
from korrigo_backup.compare.differences import Comparison, Counted, FileChange, RowChange, TableDifference
from korrigo_backup.core.language import Language


@pytest.mark.parametrize("language", Language)
def test_a_file_or_a_key_that_is_a_word_of_ours_keeps_its_name(capsys, monkeypatch, language):
    monkeypatch.setattr(CommandContext, "language", language)
    files = FileChange(added=Counted(1, ("none",)), same=2)
    rows = RowChange(added=1, added_keys=("new",))
    table = TableDifference(name="public.words", saved=1, now=2, rows=rows)
    say_comparison(Comparison(saved="a", now="b", files=files, tables=(table,)))
    out = capsys.readouterr().out.splitlines()
    assert "  + none" in out
    assert "  + new" in out
