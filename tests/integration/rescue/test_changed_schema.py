"""Rows of a backup that the live types or triggers do not take any more: the refusal and its next step are true."""

import pytest

SCHEMA = """
CREATE TYPE mood AS ENUM ('ok', 'bad');
CREATE TABLE felt (id int PRIMARY KEY, how mood, note text, points numeric(6,3));
INSERT INTO felt SELECT n, 'ok', 'a', n + 0.125 FROM generate_series(1, 9) n;
"""

FORCED = """
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.note := upper(NEW.note); RETURN NEW; END';
CREATE TRIGGER "Shouts" BEFORE INSERT ON felt FOR EACH ROW EXECUTE FUNCTION shout();
DELETE FROM felt WHERE id = 4
"""


@pytest.fixture
def school(make_site):
    made = make_site(schema=SCHEMA)
    made.made = made.backup().name
    return made


def test_a_renamed_enum_value_is_a_refusal_with_a_true_hint(school):
    school.sql("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'; DELETE FROM felt WHERE id = 4")
    before = school.rows()
    for command in (("undelete", "felt:4"), ("revert", "--table", "felt"), ("restore", school.made, "--table", "felt")):
        source = () if command[0] == "restore" else ("--from", school.made)
        done = school.korrigo(*command, *source, "--yes", code=4)
        assert "do not fit the live table" in done.err
        assert "an enum whose value was renamed" in done.err
        assert "nothing was changed" in done.err
    assert school.rows() == before


@pytest.mark.parametrize("skip", [(), ("--on-conflict", "skip")])
def test_a_trigger_that_changes_rows_is_named_with_a_step_that_helps(school, skip):
    school.sql(FORCED)
    done = school.korrigo("undelete", "felt:4", *skip, "--yes", code=4)
    assert 'a trigger of the site changes 1 of the rows while they are inserted: "Shouts"' in done.err
    assert "ALTER TABLE public.felt DISABLE TRIGGER" in done.err
    assert "--on-conflict" not in done.err
    school.sql('ALTER TABLE felt DISABLE TRIGGER "Shouts"')
    school.korrigo("undelete", "felt:4", *skip, "--yes")


def test_a_key_that_is_too_large_and_a_lost_column_are_told_in_french(school):
    school.sql("ALTER TABLE felt DROP note; DELETE FROM felt WHERE id = 4")
    french = {"LANG": "fr_FR.UTF-8"}
    refused = school.korrigo("undelete", "felt:999999999999", code=2, env=french).err
    assert "un nombre est trop grand pour son type" in refused
    assert "out of range" not in refused
    assert "note : 1 valeur" in school.korrigo("undelete", "felt:4", "--dry-run", env=french).out


def test_the_offers_of_a_table_whose_columns_were_changed_say_so(school):
    school.sql("CREATE TABLE same (id int PRIMARY KEY, word text); INSERT INTO same VALUES (1, 'a'), (2, 'b')")
    school.backup()
    school.sql("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'; ALTER TABLE felt ALTER points TYPE numeric(6,1)")
    school.sql("DELETE FROM felt WHERE id = 4; DELETE FROM same WHERE id = 1")
    for found in (school.json("rescue", "--only-data"), school.json("rescue", "felt")["symptoms"][0]):
        notes = {one["command"].split()[1]: one["note"] for one in found["offers"] if one["table"] == "public.felt"}
        assert notes.keys() == {"undelete", "revert", "restore"}
        assert all("changed, or are gone: how, points. Values that do not fit" in note for note in notes.values())
        assert {one["note"] for one in found["offers"] if one["table"] != "public.felt"} == {""}
    assert "⚠️ since the backup these columns were changed" in school.korrigo("rescue", "--only-data").out


def test_no_revert_of_a_table_that_lost_a_column_is_offered(school):
    school.sql("ALTER TABLE felt RENAME note TO word; UPDATE felt SET points = 0; DELETE FROM felt WHERE id = 4")
    offers = school.json("rescue", "--only-data")["offers"]
    assert [one["command"].split()[1] for one in offers] == ["undelete", "restore", "restore"]
    assert [bool(one["note"]) for one in offers] == [True, True, False]
    assert "are gone: note." in offers[0]["note"]
