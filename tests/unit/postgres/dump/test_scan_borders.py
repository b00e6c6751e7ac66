"""Statements begin and end for our scanner where they do for PostgreSQL's own lexer (pglast holds that lexer)."""

import re

import pglast
import pytest

from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.dump.foreign import as_data
from korrigo_backup.postgres.dump.scan import DumpScanner
from property_testing import example, given, settings, st

END = b"\n--\n-- PostgreSQL database dump complete\n--\n\n"
BORDER = "; SELECT "
REFUSED = -1
_LETTER = re.compile(r"[^\W\d]")
FRAGMENTS = [
    *("a", "e", "E", "_", "$", "1", "é", " ", "\n", ".", ",", "+", "-", "/", "*"),
    *("'x'", "'it''s'", "'\\'", "E'\\''", "e'\\\\'", "E'a'\n'b\\''", "'a'\n'b'", "U&'\\0041'", "B'01'", "N'x'"),
    *('"q"', '"a;""b"', 'U&"\\0041"', "$$;$$", "$a$;$b$;$a$", "$é$;$é$", "$1", "a$b", "a$$b", "$a", "(a;b)", "((;);)"),
    *("-- c;\n", "--'\n", "/* ; */", "/* /* ; */ ' */", "/**/", "E/**/'x'", "E 'x'", "'--'", "'/*'", "::text"),
    *([BORDER] * 12),
]


def of_postgresql(text):
    """Return the number of statements that end in a text, None when PostgreSQL's lexer does not take it.

    pglast.split would leave out a statement without a keyword. pglast takes letters behind a parameter, `$1E`, for a
    word of their own; PostgreSQL refuses them since version 15.
    """
    try:
        tokens = pglast.parser.scan(text)
    except pglast.parser.ParseError:
        return None
    ends = {token.end + 1 for token in tokens if token.name == "PARAM"}
    if any(token.start in ends and _LETTER.match(text, token.start) for token in tokens):
        return None
    depth = ended = 0
    for token in tokens:
        depth += {"ASCII_40": 1, "ASCII_41": -1}.get(token.name, 0)
        ended += token.name == "ASCII_59" and not depth
    return ended


def borders(text):
    """Return the number of statements that our scanner ends in a text which ends with one.

    It refuses a backslash outside of quotes, where psql would see a command.
    """
    scanner = DumpScanner("dump")
    try:
        scanner.feed(text.encode() + END)
        return scanner.finish().statements
    except ProofFailed as refused:
        if "backslash" in refused.message or "psql command" in refused.message:
            return REFUSED
        raise


@pytest.mark.promise("P5")
@settings(max_examples=400)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=14))
@example(["a", "$$;$$", "a$$b"])
@example(["a", "$a$;$b$;$a$", BORDER])
@example(["é", "$$;$$", BORDER])
@example(["1", "$$;$$", BORDER])
@example(["_", "E", "'\\'", BORDER])
@example(["$", "E", "'\\'", BORDER])
@example(["E'a'\n'b\\''", BORDER])
@example(["E'a'", " -- c\n", "'b\\'", BORDER, "'"])
@example(["E'a'", "-- c\n", "/* ; */", "'b\\'", BORDER])
def test_borders_are_those_of_postgresql(fragments):
    text = "SELECT " + "".join(fragments) + "\n x;"
    expected = of_postgresql(text)
    if expected is None:
        return
    assert borders(text) in {expected, REFUSED}


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("SELECT a$a$; SELECT 1;", 2),  # a dollar inside of a word quotes nothing
        ("SELECT é$a$; SELECT 1;", 2),
        ("SELECT _$a$; SELECT 1;", 2),
        ("SELECT a1$a$; SELECT 1;", 2),
        ("SELECT +$a$; SELECT $a$;", 1),
        ("SELECT 'x'$a$; $a$;", 1),
        (r"SELECT nameE'\'; SELECT 1;", 2),  # the E ends a word, so the backslash is an ordinary one
        (r"SELECT _E'\'; SELECT 1;", 2),
        (r"SELECT éE'\'; SELECT 1;", 2),
        ("SELECT 1$a$; $a$;", 1),  # a number is no word
        ("SELECT $b$x$b$$a$; $a$;", 1),
        (r"SELECT (E'\'; SELECT 1;');", 1),
        (r"SELECT E'\'; SELECT 1;';", 1),
    ],
)
def test_a_letter_before_a_quote_or_a_dollar_counts_only_as_a_word_of_its_own(text, count):
    assert borders(text) == count


def test_sequences_may_stand_below_zero():
    scanner = DumpScanner("dump")
    scanner.feed(b"SELECT pg_catalog.setval('public.down', -42, false);" + END)
    found = scanner.finish().sequences["public.down"]
    assert (found.last_value, found.is_called) == (-42, False)


def test_the_server_gets_whole_statements():
    text = b"".join(as_data([b"SELECT E'a'\n'b\\'; x';\nSELECT 2;" + END], "dump"))
    assert text.count(b"DO $$") == 2
