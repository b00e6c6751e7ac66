"""Tables for people: the words of this program are translated in them, those of the site are not."""

from korrigo_backup.cli.output import CommandContext, say_table
from korrigo_backup.core.language import Language


def test_only_our_own_words_are_translated(capsys, monkeypatch):
    monkeypatch.setattr(CommandContext, "language", Language.FRENCH)
    say_table(("NAME", "PLAN", "REASON"), [("keep", "keep", "keep")], data={"NAME", "REASON"})
    assert capsys.readouterr().out.splitlines()[1].split() == ["keep", "garder", "keep"]
