"""A dump of unknown origin becomes text of ours alone: statements in base64, COPY written anew, rows escaped anew."""

import re
from base64 import b64decode

import pytest

from korrigo_backup.errors import ProofFailed
from korrigo_backup.postgres.dump.foreign import as_data
from property_testing import given, st

END = b"\n--\n-- PostgreSQL database dump complete\n--\n\n"
_STATEMENT = re.compile(rb"EXECUTE pg_catalog\.convert_from\(pg_catalog\.decode\('([A-Za-z0-9+/=]*)'")
_OURS = re.compile(
    rb"""DO\ \$\$BEGIN\ [A-Za-z0-9_'+/=().,:;%<>\ \n]*\ END\$\$;\n   # a block of ours: no quote but around base64
    |SET\ [a-z_]+\ =\ [a-zA-Z0-9_',\ ]*;\n
    |(?:BEGIN|COMMIT);\n
    |COPY\ (?:"(?:[^"]|"")*"[., ]*|\(|\)|\ )*\ ?FROM\ stdin;\n(?:[^\\]|\\[0-9N])*?\\\.\n
    |\n--\ PostgreSQL\ database\ dump\ complete\n""",
    re.VERBOSE,
)


def script(dump, size=None):
    data = dump + END
    step = size or len(data)
    return b"".join(as_data((data[at : at + step] for at in range(0, len(data), step)), "dump"))


def statements(text):
    return [re.sub(rb"^/\*korrigo-backup \d+\*/", b"", b64decode(found)).strip() for found in _STATEMENT.findall(text)]


def is_ours(text):
    position = 0
    while position < len(text):
        found = _OURS.match(text, position)
        assert found, text[position : position + 200]
        position = found.end()
    return True


@pytest.mark.promise("P5")
@given(st.binary(max_size=300))
def test_whatever_a_dump_holds_psql_gets_text_of_ours(data):
    try:
        text = script(data.replace(b"\r", b""))
    except ProofFailed:
        return
    assert is_ours(text)


HOSTILE = [
    b"SET\nstandard_conforming_strings = off;\nSELECT '\\'; \\! touch /x '",
    b"SELECT set_config('standard_'||'conforming_strings', 'off', false);\nSELECT '\\';\n\\! touch /x\n';",
    b"SELECT set_config('client_enc'||'oding', 'SJIS', false);\nSELECT '\x81';\n\\! touch /x\n--';",
    b"SELECT E'\\';\n\\! touch /x\n';",
    b"COMMENT ON TABLE t IS '`touch /x`';",
    b'COMMENT ON TABLE "t\n\\! touch /x\n" IS NULL;',
    b'SELECT 1 AS "\x83\x5c";',
    b"SELECT :'HOME', :\"HOME\", :{?x};",
]  # fmt: skip


@pytest.mark.promise("P5")
@pytest.mark.parametrize("hostile", HOSTILE)
def test_psql_gets_no_byte_of_a_hostile_statement(hostile):
    try:
        text = script(hostile + b"\n")
    except ProofFailed:
        return
    assert is_ours(text)
    assert b"\\!" not in text


@pytest.mark.promise("P5")
@pytest.mark.parametrize("row", [b"\\.", b"\\.\r", b"a\\.", b"a\0b", b"\\.x"])
def test_a_row_that_could_end_the_rows_early_is_refused(row):
    with pytest.raises(ProofFailed, match=r"COPY public\.t|psql command"):
        script(b"COPY public.t (a) FROM stdin;\n" + row + b"\n\\! touch /x\n\\.\n")


@given(
    st.lists(st.text(st.sampled_from('ab\\\n\t.N!"é'), max_size=12), max_size=6),
    st.integers(1, 50),
)
def test_rows_arrive_as_they_were(values, size):
    def escaped(value):
        return value.replace("\\", "\\\\").replace("\n", "\\n").replace("\t", "\\t").encode()

    rows = b"".join(escaped(value) + b"\n" for value in values)
    text = script(b"COPY public.t (a) FROM stdin;\n" + rows + b"\\.\n", size)
    body = text.partition(b"FROM stdin;\n")[2].partition(b"\\.\n")[0]
    assert [_read(row) for row in body.split(b"\n")[:-1]] == values


def _read(row):
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), row).decode()


def test_names_are_quoted_and_folded_as_the_server_does():
    text = script(b'COPY Public."Odd ""x" (A, "b;\\! c") FROM stdin;\n\\.\n')
    assert b'COPY "public"."Odd ""x" ("a", "b;\\! c") FROM stdin;\n' in text


def test_a_function_with_a_body_in_sql_is_one_statement():
    body = b"CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;"
    assert statements(script(body + b"\nSELECT 3;")) == [body, b"SELECT 3;"]


def test_psql_commands_of_pg_dump_are_left_out():
    text = script(b"--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\nSELECT 1;\n\\unrestrict abc\n")
    assert statements(text) == [b"SELECT 1;"]


def test_insert_statements_share_a_block():
    text = script(b"INSERT INTO public.t VALUES (1);\nINSERT INTO public.t VALUES (2);\nSELECT 1;")
    assert (text.count(b"DO $$"), len(statements(text))) == (2, 3)


def test_a_transaction_is_begun_and_ended_by_us():
    assert b"BEGIN;\n" in script(b"START TRANSACTION ISOLATION LEVEL SERIALIZABLE;\nCOMMIT;")
    with pytest.raises(ProofFailed, match="ROLLBACK"):
        script(b"ROLLBACK;")


def test_an_encoding_that_can_hide_ascii_is_refused():
    with pytest.raises(ProofFailed, match="client_encoding"):
        script(b"SET client_encoding = 'SJIS';")
