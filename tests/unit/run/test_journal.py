"""What is written into the journal, and what a damaged one still tells."""

import json
from contextlib import suppress

import pytest

from korrigo_backup.core.secret import Secret
from korrigo_backup.errors import Refused
from korrigo_backup.run import journal
from korrigo_backup.run.record import Outcome
from korrigo_backup.run.step import silent


def run(directory, message="", *, secrets=(), subject="db", why=None):
    named = journal.SiteName("korrigo", secrets)
    with suppress(Refused), journal.recorded(directory, named, "backup", subject, listener=silent, why=why):
        raise Refused(message, hint="")


@pytest.mark.promise("P7")
@pytest.mark.parametrize(
    "secret", ['qu"ote\\back', "tab\tnew\nline", "é✅ümlaut", "done", "failed", "backup", "null", "2026"]
)
def test_no_secret_gets_in_whatever_is_in_it_and_none_spoils_the_record(tmp_path, secret):
    run(tmp_path, f"password {secret}.", secrets=(Secret(secret),), why={"reason": f"because {secret}!"})
    (record,) = journal.read(tmp_path)
    assert (record.verb, record.subject, record.outcome) == ("backup", "db", Outcome.FAILED)
    assert (record.message, record.why) == ("password ***.", {"reason": "because ***!"})
    last = json.loads((tmp_path / ".journal.jsonl").read_text().splitlines()[-1])
    assert last["message"] == "password ***."


def test_a_name_that_is_no_text_is_written_escaped(tmp_path):
    run(tmp_path, "bad name \udcff", subject="\udcff.sql.gz", why={"reason": "\udcfe"})
    (record,) = journal.read(tmp_path)
    assert (record.subject, record.message) == ("\\xff.sql.gz", "bad name \\xff")


def test_lines_that_are_cut_foreign_or_nested_without_end_cost_only_themselves(tmp_path):
    run(tmp_path, "first")
    path = tmp_path / ".journal.jsonl"
    with path.open("ab") as file:
        file.write(b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n[]\nnull\n\xff\n")
        file.write(b'{"id": "cut by a full disk')
    run(tmp_path, "second")
    found = journal.read(tmp_path)
    assert [record.message for record in found] == ["first", "second"]
    assert path.read_bytes().count(b'"begun"') == 2
    lines = [line for line in path.read_bytes().splitlines() if b'"begun"' in line]
    assert all(json.loads(line)["outcome"] == "begun" for line in lines)
