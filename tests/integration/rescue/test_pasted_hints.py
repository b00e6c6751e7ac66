"""The commands of hints can be pasted into a shell, whatever a table, a key or a file is called."""

import re
import shlex

import pytest

SCHEMA = """
CREATE TABLE "Odd Name" (id text PRIMARY KEY, "a name" text UNIQUE);
CREATE TABLE child (id int PRIMARY KEY, odd text REFERENCES "Odd Name");
INSERT INTO "Odd Name" VALUES ('it''s $(x)', 'one'), ('b', 'two');
INSERT INTO child VALUES (1, 'it''s $(x)'), (2, 'b');
"""
ODD = 'public."Odd Name":it\'s $(x)'


@pytest.fixture
def school(make_site):
    """A site with odd names, and its backup."""
    made = make_site(schema=SCHEMA)
    made.made = made.backup()
    return made


def hint(answer):
    return answer["error"]["hint"]


def typed(words, option):
    """The word that a shell takes after an option of a printed command."""
    return shlex.split(re.split(r"(?:^|[ (])" + re.escape(option) + " ", words, maxsplit=1)[1])[0]


def test_the_printed_commands_name_an_odd_table_and_key(school):
    live = hint(school.json("undelete", ODD, code=2))
    assert typed(live, "history").rstrip(";") == ODD
    assert typed(live, "--overwrite") == ODD
    school.sql("DELETE FROM child; DELETE FROM \"Odd Name\" WHERE id <> 'b'")
    school.sql('UPDATE "Odd Name" SET "a name" = \'one\'')
    taken = hint(school.json("undelete", ODD, "--yes", code=4))
    assert typed(taken, "--new-value").rstrip(";") == 'public."Odd Name".a name=VALUE'
    gone = hint(school.json("restore", school.made, "--table", "child", "--yes", code=4))
    assert typed(gone, "undelete") == ODD
    step = hint(school.json("revert", "--table", '"Odd Name"', code=2))
    assert typed(step, "--table") == '"Odd Name"'
    nothing = hint(school.json("undelete", "--table", '"Odd Name"', "--where", "id = 'z'", code=6))
    assert typed(nothing, "--table") == 'public."Odd Name"'


def test_the_printed_commands_name_an_odd_file(school):
    name = "it's a scan; $(x).pdf"
    path = school.media / "scans" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"then")
    school.korrigo("backup", "media")
    path.write_bytes(b"now!!")
    left = hint(school.json("restore", "--file", f"scans/{name}", "--yes", code=3))
    assert typed(left, "--file") == f"scans/{name}"
