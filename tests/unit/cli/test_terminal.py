"""Colours on a terminal alone, and tables that fit it."""

import io
import textwrap

import pytest

from korrigo_backup.cli.program.terminal import coloured, table_lines, width

HEADER = ("NAME", "PLAN", "SIZE", "REASON")
ROWS = [
    ("db_backup_20260504_030000.sql.gz", "keep", "1.2M", "the newest good backup of its kind is never removed"),
    ("db_backup_20260503_030000.sql.gz", "remove", "1.1M", "older than 30 days"),
]


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def _plain(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")


def test_an_error_has_colours_on_a_terminal():
    assert coloured("error: no\nhint: do", Terminal()) == "\x1b[31;1merror:\x1b[0m no\n\x1b[36mhint:\x1b[0m do"
    assert coloured("✅ done", Terminal()) == "\x1b[32m✅ done\x1b[0m"
    assert coloured("plain", Terminal()) == "plain"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colours_where_they_are_not_wanted(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert coloured("error: no", Terminal()) == "error: no"


def test_a_pipe_gets_neither_colours_nor_broken_lines():
    assert coloured("error: no", io.StringIO()) == "error: no"
    assert width(io.StringIO()) is None
    assert list(table_lines(HEADER, ROWS, None))[1].endswith("the newest good backup of its kind is never removed")


@pytest.mark.parametrize("columns", [40, 60, 80, 100, 200])
def test_a_table_fits_the_terminal_and_cuts_nothing(columns):
    text = "\n".join(table_lines(HEADER, ROWS, columns))
    assert max(map(len, text.splitlines())) <= columns
    words = text.split()
    for row in ROWS:
        for cell in row:
            assert set(cell.split()) <= {word.rstrip(",") for word in words}


def test_the_last_column_is_wrapped_below_itself():
    lines = list(table_lines(HEADER, ROWS, 80))
    assert lines[1].startswith("db_backup_20260504_030000.sql.gz")
    assert lines[2].startswith(" " * 40)
    assert textwrap.dedent(lines[2]).strip()


def test_a_narrow_terminal_gets_a_paragraph_for_each_row():
    lines = list(table_lines(HEADER, ROWS, 44))
    assert lines[0] == ROWS[0][0]
    assert lines[1].startswith("  plan keep, size 1.2M, reason the newest")
