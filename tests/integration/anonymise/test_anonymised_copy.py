"""`drill --anonymise`: a copy in which no original value is left, or no copy."""

import gzip
import json
import signal
import sys

import pytest

from sandbox import USER, USER_PASSWORD, nothing_changes

SCHEMA = """
CREATE TABLE person (
  id serial PRIMARY KEY, email varchar(60) NOT NULL UNIQUE, first_name text NOT NULL, phone varchar(20),
  password text NOT NULL, born date, extra jsonb NOT NULL DEFAULT '{}', photo varchar(100), login varchar(30));
CREATE TABLE note (id serial PRIMARY KEY, author varchar(60), body text NOT NULL);
CREATE TABLE django_session (session_key text PRIMARY KEY, session_data text NOT NULL);
CREATE TABLE audit (id serial PRIMARY KEY, old jsonb NOT NULL);
CREATE FUNCTION keep_old() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN INSERT INTO audit (old) VALUES (to_jsonb(OLD)); RETURN NEW; END$$;
CREATE TRIGGER audited AFTER UPDATE ON person FOR EACH ROW EXECUTE FUNCTION keep_old();
CREATE MATERIALIZED VIEW addresses AS SELECT email FROM person;
INSERT INTO person (email, first_name, phone, password, born, photo, login)
  SELECT 'pupil' || n || '@lycee.example', (ARRAY['Zebulon', 'Hedwige', 'Apolline'])[1 + n % 3], '06 00 00 00 ' || n,
         'pbkdf2$secret' || n, date '2008-01-01' + n, 'faces/pupil ' || n || '.png', 'pupil_' || n
  FROM generate_series(1, 50) n;
INSERT INTO note (author, body) SELECT email, 'a mark of ' || id FROM person;
INSERT INTO django_session VALUES ('abc', 'pupil1@lycee.example');
REFRESH MATERIALIZED VIEW addresses;
"""

RULES = """
locale = "fr_FR"
[tables.person]
email = "faker:email"
first_name = "faker:first_name"
phone = "null"
password = "constant:!"
born = "faker:date_of_birth"
login = "hash"
photo = "files:rename"
[tables.note]
author = "faker:email"
"""


@pytest.fixture
def people(make_site):
    made = make_site(schema=SCHEMA)
    for number in range(1, 51):
        made.write(f"faces/pupil {number}.png", b"\x89PNG face %d" % number)
    return made


def rules(site, text=RULES):
    path = site.home / "rules.toml"
    path.write_text(text)
    return path


def kept(site):
    return [name for name in site.databases() if "_anonymised_" in name]


def nothing_left(site):
    return site.databases() == {site.database} and not list(site.backups.glob(".drill*"))


def test_each_ruled_value_is_replaced_equal_values_stay_equal_and_the_live_site_is_not_touched(people):
    people.backup()
    with nothing_changes(people):
        done = people.korrigo("drill", "--keep", "--anonymise", rules(people))
        (name,) = kept(people)
        assert f"🎭 Anonymised copy: database {name}" in done.out
        assert "no original value was found" in done.out
        rows = people.sql("SELECT email, first_name, phone, password, login, id FROM person", name)
        assert len({email for email, *_ in rows}) == 50
        assert not any("lycee.example" in email for email, *_ in rows)
        assert {(phone, password) for _, _, phone, password, *_ in rows} == {(None, "!")}
        assert not {row[1] for row in rows} & {"Zebulon", "Hedwige", "Apolline"}
        joined = "SELECT count(*) FROM person JOIN note ON author = email AND body = 'a mark of ' || person.id"
        assert people.sql(joined, name) == [(50,)]
        assert people.sql("SELECT count(*) FROM addresses JOIN person USING (email)", name) == [(50,)]
        counts = "SELECT (SELECT count(*) FROM django_session), (SELECT count(*) FROM audit)"
        assert people.sql(counts, name) == [(0, 0)]
        assert people.sql("SELECT tgenabled FROM pg_trigger WHERE tgname = 'audited'", name) == [("O",)]
        people.sql(f'DROP DATABASE "{name}"', "postgres")
    assert "3 columns of text without a rule kept as they are" in done.output
    assert "person.extra" in done.output


ANALYSED = """
import sys
from korrigo_backup.anonymise import anonymise
from korrigo_backup.cli.main import guarded

opened = anonymise.opened_copy

def analysed(server, database, rules):
    with server.session(database=database) as session:
        session.run("ANALYZE")
    return opened(server, database, rules)

anonymise.opened_copy = analysed
sys.exit(guarded(sys.argv[1:]))
"""
"""The command on a server whose autovacuum has come by after the load."""


@pytest.mark.parametrize("partitioned", [False, True])
def test_no_statistics_hold_an_old_value_of_a_changed_or_an_emptied_table(people, partitioned):
    people.sql("INSERT INTO django_session SELECT n::text, 'pupil1@lycee.example' FROM generate_series(2, 60) n")
    text = RULES
    if partitioned:
        people.sql(
            'CREATE TABLE visit (day int, who text COLLATE "C") PARTITION BY RANGE (day);'
            "CREATE TABLE visit_1 PARTITION OF visit FOR VALUES FROM (0) TO (9);"
            "INSERT INTO visit SELECT n % 9, 'pupil1@lycee.example' FROM generate_series(1, 60) n"
        )
        text = 'empty = ["django_session", "visit"]' + RULES
    people.backup()
    people.run([sys.executable, "-c", ANALYSED, "drill", "--keep", "--anonymise", rules(people, text)])
    (name,) = kept(people)
    old = "Zebulon|lycee|pupil"
    words = "concat(most_common_vals, histogram_bounds)"
    assert people.sql(f"SELECT tablename, attname FROM pg_stats WHERE {words} ~ '{old}'", name, superuser=True) == []
    assert people.sql("SELECT count(*) FROM pg_stats WHERE tablename = 'person'", name) > [(0,)]
    collations = "SELECT attcollation::regcollation::text FROM pg_attribute WHERE attrelid = 'visit'::regclass AND attname = 'who'"
    assert not partitioned or people.sql(collations, name) == [('"C"',)]
    people.sql(f'DROP DATABASE "{name}"', "postgres")


def test_two_runs_give_other_values(people):
    people.backup()
    found = []
    for _ in range(2):
        people.korrigo("drill", "--keep", "--anonymise", rules(people))
        (name,) = kept(people)
        found.append(people.sql("SELECT email, login FROM person ORDER BY id", name))
        people.sql(f'DROP DATABASE "{name}"', "postgres")
    assert found[0] != found[1]
    assert {login for _, login in found[0]} & {login for _, login in found[1]} == set()


def test_a_directory_gets_a_dump_and_blank_files_under_names_that_say_nothing(people, tmp_path):
    people.write("faces/other.pdf", b"%PDF-1.4 a letter")
    people.korrigo("backup", "full")
    target = tmp_path / "a copy"
    with nothing_changes(people):
        done = people.korrigo("drill", "--anonymise", rules(people, 'other_files = "remove"' + RULES), "--to", target)
    assert f"zcat '{target}/database.sql.gz' | psql" in done.out  # a line to be typed
    assert str(target / "media") in done.out
    files = [path for path in (target / "media").rglob("*") if path.is_file()]
    assert len(files) == 50
    assert {path.parent.name for path in files} == {"anonymised"}
    assert {path.read_bytes()[:8] for path in files} == {b"\x89PNG\r\n\x1a\n"}
    text = gzip.decompress((target / "database.sql.gz").read_bytes()).decode()
    assert all(path.name in text for path in files)
    assert "lycee.example" not in text
    assert "Zebulon" not in text
    assert target.stat().st_mode & 0o777 == 0o700
    assert nothing_left(people)
    again = people.korrigo("drill", "--anonymise", rules(people), "--to", target, code=4)
    assert "exists" in again.err


def refused(site, text=RULES, **options):
    done = site.korrigo("drill", "--keep", "--anonymise", rules(site, text), code=9, **options)
    assert nothing_left(site)
    assert "pupil" not in done.output
    assert "the copy was removed" in done.err
    return done.err


@pytest.mark.parametrize("where", ["nested", "sentence", "name", "key"])
def test_an_original_in_a_text_or_in_json_is_found_and_no_copy_stays(people, where):
    planted = {
        "nested": """UPDATE person SET extra = '{"a": [{"mother": "write to \\nPupil7@lycee.example."}]}' WHERE id = 1""",
        "sentence": "UPDATE note SET body = 'answered (pupil7@lycee.example), done' WHERE id = 1",
        "name": "UPDATE note SET body = 'Apolline, again!' WHERE id = 1",
        "key": """UPDATE person SET extra = '{"pupil7@lycee.example": 1}' WHERE id = 1""",
    }[where]
    people.sql("ALTER TABLE person DISABLE TRIGGER audited;" + planted)
    people.sql("ALTER TABLE person ENABLE TRIGGER audited")
    people.backup()
    err = refused(people)
    assert ("note.body" if where in {"sentence", "name"} else "person.extra") in err
    record = json.loads((people.backups / ".journal.jsonl").read_text().splitlines()[-1])
    assert (record["verb"], record["outcome"]) == ("drill", "done")
    accepted = 'accept = ["note.body", "person.extra"]' + RULES
    people.korrigo("drill", "--anonymise", rules(people, accepted))
    assert nothing_left(people)


def test_old_values_in_an_audit_table_are_found(people):
    people.sql("UPDATE person SET phone = '07' WHERE id = 3")
    people.backup()
    assert "audit.old" in refused(people)
    people.korrigo("drill", "--anonymise", rules(people, 'empty = ["audit", "django_session"]' + RULES))


def test_a_trigger_that_cannot_be_disabled_is_named_and_what_it_copies_is_found(people):
    """An event trigger is none of a table; a rule of the server copies, too."""
    people.sql("CREATE RULE copied AS ON UPDATE TO person DO ALSO INSERT INTO audit (old) VALUES (to_jsonb(OLD))")
    people.backup()
    assert "audit.old" in refused(people)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ('email = "null"', "person.email may not be null"),
        ('email = "empty"', "person.email is unique"),
        ('id = "hash"', "person.id is a key"),
        ('born = "hash"', "hash is for text"),
        ('extra = "faker:name"', "faker gives no such values"),
    ],
)
def test_a_rule_that_its_column_cannot_take_is_refused(people, rule, words):
    people.backup()
    done = people.korrigo("drill", "--anonymise", rules(people, f"[tables.person]\n{rule}"), code=4)
    assert words in done.err
    assert nothing_left(people)


def test_wrong_names_are_refused_with_near_ones(people):
    people.backup()
    for text, words in (
        ('[tables.persn]\nemail = "null"', "is person meant?"),
        ('[tables.person]\nemial = "null"', "is email meant?"),
        ('[tables.person]\nemail = "faker:emial"', "faker has no provider"),
        ('[tables.person]\nemail = "hide"', "is no rule"),
        ("strikt = true", "strikt"),
        ('empty = ["audti"]\n[tables.person]\nemail = "hash"', "is audit meant?"),
        ('accept = ["note.bdoy"]\n[tables.person]\nemail = "hash"', "is body meant?"),
    ):
        done = people.korrigo("drill", "--anonymise", rules(people, text), code=2)
        assert words in done.err
        assert "Loading" not in done.output
    assert not [record for record in people.journal() if record["verb"] == "drill"]
    assert nothing_left(people)
    assert "--keep and --to" in people.korrigo("drill", "--keep", code=2).err
    local = people.korrigo("drill", "--anonymise", rules(people), "--place", "local", code=2)
    assert "--place beside" in local.err


def test_strict_refuses_a_column_of_text_without_a_rule(people):
    people.backup()
    done = people.korrigo("drill", "--anonymise", rules(people, "strict = true" + RULES), code=4)
    assert "note.body" in done.err
    whole = RULES.replace("[tables.note]", 'extra = "keep"\n[tables.audit]\nold = "keep"\n[tables.note]\nbody = "keep"')
    people.korrigo("drill", "--anonymise", rules(people, "strict = true" + whole))


def test_without_faker_the_line_that_installs_it_is_named(people):
    people.backup()
    (people.home / "faker.py").write_text("raise ImportError('none')")
    env = {"PYTHONPATH": str(people.home)}
    done = people.korrigo("drill", "--anonymise", rules(people), code=4, env=env)
    assert 'pip install "korrigo-backup[anonymise]"' in done.err
    people.korrigo("drill", "--anonymise", rules(people, '[tables.person]\nfirst_name = "hash"'), env=env)


def test_a_copy_that_is_not_yet_anonymised_is_gone_after_kill_9(people, tmp_path):
    people.korrigo("backup", "full")
    for line in ("🎭", "🔎"):
        path = rules(people)
        with people.started("drill", "--keep", "--anonymise", path, "--to", tmp_path / "copy") as child:
            while line.encode() not in child.stdout.readline():
                assert child.poll() is None
            child.send_signal(signal.SIGKILL)
            child.wait()
        assert kept(people) == []
        assert not (tmp_path / "copy").exists()
        people.backup()
        assert nothing_left(people)


def test_what_was_erased_on_request_is_in_no_copy(people):
    people.backup()
    people.sql("ALTER TABLE person DISABLE TRIGGER audited; DELETE FROM person WHERE id = 7")
    people.korrigo("forget", "person:7")
    people.korrigo("drill", "--keep", "--anonymise", rules(people))
    (name,) = kept(people)
    assert people.sql("SELECT count(*), count(*) FILTER (WHERE id = 7) FROM person", name) == [(49, 0)]
    people.sql(f'DROP DATABASE "{name}"', "postgres")


def test_a_copy_becomes_the_staging_database_and_a_failed_one_leaves_the_former(people):
    access = people.server.access()
    staging = f"{people.database}_staging"
    (people.home / "korrigo-backup.env").write_text(
        f"KORRIGO_BACKUP_STAGING_HOST={access.host}\nKORRIGO_BACKUP_STAGING_PORT={access.port}\n"
        f"KORRIGO_BACKUP_STAGING_DB={staging}\nKORRIGO_BACKUP_STAGING_USER={USER}\n"
        f"KORRIGO_BACKUP_STAGING_PASSWORD={USER_PASSWORD}\n"
    )
    (people.home / "korrigo-backup.env").chmod(0o600)
    people.backup()
    people.korrigo("drill", "--place", "staging", "--anonymise", rules(people))
    before = people.sql("SELECT email FROM person ORDER BY id", staging)
    assert not any("lycee.example" in email for (email,) in before)
    people.sql("UPDATE note SET body = 'from pupil7@lycee.example' WHERE id = 1")
    people.backup()
    people.korrigo("drill", "--place", "staging", "--anonymise", rules(people), code=9)
    assert people.sql("SELECT email FROM person ORDER BY id", staging) == before
    assert people.databases() == {people.database, staging}


def test_a_document_names_the_copy(people, tmp_path):
    people.backup()
    made = people.json("drill", "--keep", "--anonymise", rules(people), "--to", tmp_path / "copy")
    assert made["copy"] == {"database": kept(people)[0], "directory": str(tmp_path / "copy")}
    assert {"anonymise.replaced", "anonymise.kept", "anonymise.checked"} <= {one["id"] for one in made["findings"]}
    people.sql(f'DROP DATABASE "{made["copy"]["database"]}"', "postgres")


def test_names_inside_of_arrays_and_json_are_searched_and_codes_of_json_are_not(make_site):
    site = make_site(
        schema="CREATE TABLE person (id int PRIMARY KEY, names text[], facts jsonb);"
        "CREATE TABLE note (id int PRIMARY KEY, body text); CREATE TABLE event (id int PRIMARY KEY, action text);"
        """INSERT INTO person VALUES (1, '{Annabella,Quirkwood}', '{"a": [{"name": "Zebedee Trump"}], "by": "graded"}');"""
        "CREATE TABLE card (id int PRIMARY KEY, body text); INSERT INTO card VALUES (1, 'from Annabella');"
        "INSERT INTO note VALUES (1, 'Zebedee Trump'); INSERT INTO event VALUES (1, 'graded');"
    )
    site.backup()
    text = '[tables.person]\nnames = "empty"\nfacts = "empty"\n'
    left = site.korrigo("drill", "--anonymise", rules(site, text), code=9).err
    assert "note.body (values of person.facts)" in left
    assert "card.body (values of person.names)" in left
    assert "event.action" not in left
    site.sql("DELETE FROM note; DELETE FROM card")
    site.backup()
    site.korrigo("drill", "--anonymise", rules(site, text))


@pytest.mark.promise("P5")
def test_no_function_of_the_copy_is_taken_for_one_of_postgresql_and_its_indexes_find_theirs(make_site):
    site = make_site(
        schema="""CREATE SEQUENCE calls; CREATE TABLE person (id int PRIMARY KEY, names text[], login text);
        CREATE FUNCTION unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS
          $$ BEGIN PERFORM nextval('public.calls'); RETURN QUERY SELECT pg_catalog.unnest($1); END $$;
        CREATE FUNCTION plain(x text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN lower(x); END $$;
        CREATE FUNCTION folded(x text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT plain(x) $$;
        CREATE INDEX ON person (folded(login)); INSERT INTO person VALUES (1, '{Annabella,Quirkwood}', 'anna_bella');"""
    )
    site.backup()
    site.korrigo("drill", "--anonymise", rules(site, '[tables.person]\nnames = "empty"\nlogin = "hash"\n'), "--keep")
    (copy,) = kept(site)
    assert site.sql("SELECT is_called FROM calls", copy) == [(False,)]
    assert site.sql("SELECT names FROM person WHERE login <> 'anna_bella'", copy) == [([],)]
