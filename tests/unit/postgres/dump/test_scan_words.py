"""Where a word ends decides whether a dollar or a quote behind it begins a string (PostgreSQL's lexer, scan.l)."""

import pytest

from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.dump.scan import DumpScanner

END = b"\n--\n-- PostgreSQL database dump complete\n--\n"


def scan(data):
    scanner = DumpScanner("dump")
    scanner.feed(data + END)
    return scanner.finish()


@pytest.mark.promise("P5")
@pytest.mark.parametrize("last", ["a", "Z", "7", "_", "$", "é"])
def test_a_dollar_within_a_name_begins_no_string(last):
    """`a$b$` is one name: what follows it is not quoted, and a meta-command there would run."""
    with pytest.raises(ProofFailed):
        scan(f"SELECT 1 AS x{last}$b$;\n\\! id\n-- $b$;\n".encode())


@pytest.mark.promise("P5")
@pytest.mark.parametrize("before", ["", " ", "(", ",", "="])
def test_a_dollar_after_no_name_begins_one(before):
    assert scan(
        f"SELECT 1, ('a'{before and ','}{before or ','}$b$ \\! id $b${')' if before == '(' else ''});\n".encode()
    )


@pytest.mark.promise("P5")
@pytest.mark.parametrize("word", ["datee", "x_E", "é0e", "$1e", "tableE"])
def test_a_quote_after_a_word_that_ends_in_e_knows_no_backslash(word):
    with pytest.raises(ProofFailed):
        scan(f"SELECT {word}'\\' \\! id ';\n".encode())


@pytest.mark.promise("P5")
@pytest.mark.parametrize("before", ["SELECT ", "SELECT (", "SELECT 1,", "SELECT 1 ="])
def test_a_quote_after_e_alone_knows_backslashes(before):
    after = ")" if before.endswith("(") else ""
    assert scan(f"{before}E'it\\'s \\! id'{after};\n".encode())


@pytest.mark.parametrize(
    ("value", "called"), [(-5, "true"), (0, "false"), (7, "true"), (-9223372036854775808, "false")]
)
def test_the_position_of_a_sequence_is_read_with_its_sign(value, called):
    found = scan(f"SELECT pg_catalog.setval('public.s', {value}, {called});\n".encode()).sequences["public.s"]
    assert (found.last_value, found.is_called) == (value, called == "true")
