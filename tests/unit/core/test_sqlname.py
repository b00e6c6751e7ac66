"""Names are compared as identifiers, and bytes that are no text stay the same bytes."""

import pytest

from korrigo_backup.core.encodings import dump_encoding, to_bytes, to_text
from korrigo_backup.core.sqlname import bare_name, normal_name
from korrigo_backup.postgres.dump.scan import DumpScanner
from property_testing import given, st


@pytest.mark.parametrize(
    ("written", "normal"),
    [
        ('"public"."exam"', "public.exam"),
        ("public.exam", "public.exam"),
        ("public.user", 'public."user"'),
        ("public.json", 'public."json"'),
        ('public."json_table"', 'public."json_table"'),
        ('"A"."b""c"', '"A"."b""c"'),
        ('public."dot.ted"', 'public."dot.ted"'),
        ('public."é"', 'public."é"'),
        ('public.""', 'public.""'),
    ],
)
def test_a_name_is_quoted_in_one_way(written, normal):
    assert normal_name(written) == normal
    assert normal_name(normal) == normal


def test_names_in_a_text_are_compared_without_needless_quotes():
    assert bare_name('"public".f("select" integer, "B" text)') == 'public.f(select integer, "B" text)'


@given(st.binary() | st.sampled_from(["\uf780".encode(), b"a\xff" + "\uf7ff".encode(), b"\xef\x9e"]))
def test_bytes_of_no_encoding_come_back(raw):
    assert to_bytes(to_text(raw)) == raw


@given(st.text())
def test_text_is_itself(text):
    if not any("\uf780" <= character <= "\uf7ff" for character in text):
        assert to_text(to_bytes(text)) == text


def test_the_names_of_a_dump_are_read_in_its_encoding():
    for encoding, codec in (("LATIN1", "latin-1"), ("EUC_JP", "euc-jp"), ("UTF8", "utf-8")):
        name = "été" if codec == "latin-1" else "日本"
        head = f"SET client_encoding = '{encoding}';\n".encode()
        copy = f'COPY public."{name}" (id) FROM stdin;\n1\n\\.\n'.encode(codec)
        scanner = DumpScanner("d")
        scanner.feed(head + copy + b"-- PostgreSQL database dump complete\n")
        assert scanner.finish().rows == {f'public."{name}"': 1}


def test_a_dump_is_in_an_encoding_whose_names_can_be_read():
    assert dump_encoding("LATIN1") == "LATIN1"
    assert dump_encoding("SQL_ASCII") == "SQL_ASCII"
    assert dump_encoding("MULE_INTERNAL") == "UTF8"
