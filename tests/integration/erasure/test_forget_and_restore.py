"""What was erased on request does not come back with a restore, and no other row is lost by that."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from korrigo_backup.erasure.entry import Entry, Link, Subject
from korrigo_backup.erasure.ledger import ErasureLedger
from korrigo_backup.site.erasures import scope_of
from sandbox import drop_database

SCHEMA = """
CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL, boss_id int REFERENCES person
                     ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE visit (id serial PRIMARY KEY, person_id int REFERENCES person DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE account (person_id int PRIMARY KEY REFERENCES person DEFERRABLE INITIALLY DEFERRED, mail text);
CREATE TABLE letter (id uuid PRIMARY KEY, author_id int NOT NULL REFERENCES person DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE room (id serial PRIMARY KEY, keeper_id int REFERENCES person ON DELETE SET NULL);
CREATE TABLE seat (room_id int REFERENCES room, code text, person_id int, PRIMARY KEY (room_id, code));
CREATE TABLE audit (id serial PRIMARY KEY, words text);
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN INSERT INTO public.audit (words) VALUES (OLD.name); RETURN OLD; END $$;
CREATE TRIGGER told AFTER DELETE ON person FOR EACH ROW EXECUTE FUNCTION tell();
CREATE MATERIALIZED VIEW names AS SELECT name FROM person;
INSERT INTO person (name, boss_id) SELECT 'p' || n, CASE WHEN n > 1 THEN n / 2 END FROM generate_series(1, 9) n;
INSERT INTO account SELECT id, name || '@example.org' FROM person;
INSERT INTO letter SELECT md5(n::text)::uuid, 1 + n % 9 FROM generate_series(1, 36) n;
INSERT INTO room (keeper_id) SELECT n FROM generate_series(1, 9) n;
INSERT INTO seat SELECT n, E'a\\tb "' || n, n FROM generate_series(1, 9) n;
"""


@pytest.fixture
def town(make_site):
    """A site whose rows refer to each other in every way, and its backup."""
    made = make_site(schema=SCHEMA)
    made.made = made.backup()
    return made


def forget(town, *names, code=0):
    return town.korrigo("forget", *names, code=code)


def test_an_erased_row_and_what_depends_on_it_do_not_come_back(town):
    forget(town, "person:9")
    town.sql("DELETE FROM letter WHERE author_id = 9; UPDATE room SET keeper_id = NULL WHERE keeper_id = 9;"
             "DELETE FROM account WHERE person_id = 9; DELETE FROM person WHERE id = 9; TRUNCATE audit")  # fmt: skip
    town.sql("REFRESH MATERIALIZED VIEW names")
    before = town.rows()
    done = town.korrigo("restore", str(town.made), "--yes")
    assert "person 1" in done.out
    assert town.rows() == before


def test_the_row_is_erased_in_place_too(town):
    forget(town, "person:9")
    town.korrigo("restore", str(town.made), "--yes", "--in-place")
    assert town.sql("SELECT count(*) FROM person WHERE id = 9") == [(0,)]
    assert town.sql("SELECT count(*) FROM audit") == [(0,)]
    assert town.sql("SELECT name FROM names WHERE name = 'p9'") == []


def test_a_tree_of_rows_that_refer_to_themselves_is_erased_with_its_root(town):
    forget(town, "person:2")
    town.korrigo("restore", str(town.made), "--yes")
    assert town.sql("SELECT array_agg(id ORDER BY id) FROM person") == [([1, 3, 6, 7],)]
    assert town.sql("SELECT count(*) FROM room") == [(9,)]
    assert town.sql("SELECT count(*) FROM room WHERE keeper_id IS NULL") == [(5,)]


def test_a_row_that_may_stand_alone_loses_its_reference_where_no_rule_is_known(town):
    town.sql("INSERT INTO visit (person_id) SELECT id FROM person")
    made = town.backup()
    forget(town, "person:9")
    town.korrigo("restore", str(made), "--yes")
    assert town.sql("SELECT count(*), count(person_id) FROM visit") == [(9, 8)]


def test_a_number_that_is_given_again_after_the_entry_is_another_person(town):
    forget(town, "person:9")
    ledger = _ledger(town)
    entries = [msgspec.structs.replace(one, time=one.time - timedelta(hours=1)) for one in ledger.read()]
    ledger.path.unlink()
    ledger.append(entries)
    newer = town.backup()
    town.korrigo("restore", str(newer), "--yes")
    assert town.sql("SELECT count(*) FROM person WHERE id = 9") == [(1,)]
    town.korrigo("rollback", "--yes")
    assert town.sql("SELECT count(*) FROM person WHERE id = 9") == [(1,)]
    forget(town, "person:9")
    assert len(town.json("forget", "--list")["entries"]) == 1
    town.korrigo("restore", str(newer), "--yes")
    assert town.sql("SELECT count(*) FROM person WHERE id = 9") == [(0,)]


def test_triggers_stand_as_before_after_the_erasure(town):
    town.sql("ALTER TABLE person ENABLE ALWAYS TRIGGER told")
    made = town.backup()
    forget(town, "person:9")
    town.korrigo("restore", str(made), "--yes")
    assert town.sql("SELECT tgenabled FROM pg_trigger WHERE tgname = 'told'") == [("A",)]
    town.sql("DELETE FROM account WHERE person_id = 8; DELETE FROM letter WHERE author_id = 8")
    town.sql("DELETE FROM person WHERE id = 8")
    assert town.sql("SELECT words FROM audit") == [("p8",)]


def test_keys_of_several_columns_and_of_text_are_found(town):
    forget(town, 'seat:(3,"a\tb ""3")', f"letter:{_letter(town)}")
    town.korrigo("restore", str(town.made), "--yes")
    assert town.sql("SELECT count(*) FROM seat") == [(8,)]
    assert town.sql("SELECT count(*) FROM seat WHERE room_id = 3") == [(0,)]
    assert town.sql("SELECT count(*) FROM letter") == [(35,)]


def _letter(town):
    return str(town.sql("SELECT id FROM letter ORDER BY id LIMIT 1")[0][0]).upper()


def test_a_restore_into_nothing_erases(town):
    forget(town, 'seat:(3,"a\tb ""3")')
    drop_database(town.server, town.database)
    town.korrigo("restore", str(town.made), "--yes", "--no-safety-backup")
    assert town.sql("SELECT count(*) FROM seat") == [(8,)]


def test_a_drill_and_a_verification_in_full_erase_and_say_so(town):
    forget(town, "person:9")
    assert "person 1" in town.korrigo("drill", str(town.made)).out
    assert town.sql("SELECT count(*) FROM person") == [(9,)]


def test_the_plan_says_that_the_ledger_will_be_applied(town):
    forget(town, "person:9")
    assert "the erasure ledger (1 entry) will be applied" in town.korrigo("restore", str(town.made), "--dry-run").out


def test_a_hold_wins_and_is_said(town):
    forget(town, "person:9")
    town.korrigo("hold", "add", town.made.name, "--reason", "the court asks for it")
    done = town.korrigo("restore", str(town.made), "--yes")
    assert "not applied" in done.out
    assert town.sql("SELECT count(*) FROM person") == [(9,)]


def test_the_ledger_holds_no_key_and_is_private(town):
    forget(town, "person:9", "--reason", "request 17")
    path = _ledger(town).path
    assert path.stat().st_mode & 0o777 == 0o600
    content = path.read_text()
    assert "request 17" in content
    assert '"9"' not in content
    assert [one["table"] for one in town.json("forget", "--list")["entries"]] == ["public.person"]
    assert "person" in town.journal()[-1]["subject"]
    assert "9" not in town.journal()[-1]["subject"]


def test_the_same_row_is_recorded_once(town):
    forget(town, "person:9")
    assert "already" in forget(town, "public.person:9").out
    assert len(town.json("forget", "--list")["entries"]) == 1


def test_a_row_that_is_still_live_is_recorded_with_a_warning(town):
    assert "still live" in forget(town, "person:9").out
    town.sql("DELETE FROM seat WHERE room_id = 9")
    assert "still live" not in forget(town, 'seat:(9,"a\tb ""9")').out


def test_a_dry_run_records_nothing(town):
    assert "would be recorded" in town.korrigo("forget", "person:9", "--dry-run").out
    assert town.json("forget", "--list")["entries"] == []


def test_without_an_object_nothing_is_recorded(town):
    assert "name what was erased" in forget(town, code=2).err


def test_an_entry_of_another_site_is_not_applied(town, make_site):
    other = make_site(schema=SCHEMA)
    forget(town, "room:77", "--yes")
    shared = {"KORRIGO_BACKUP_KEY_FILE": str(town.wired().keyring.path)}
    other.korrigo("forget", "person:9", env=shared)
    assert len(town.json("forget", "--list")["entries"]) == 2
    town.korrigo("restore", str(town.made), "--yes")
    assert town.sql("SELECT count(*) FROM person") == [(9,)]


@pytest.mark.parametrize(("rule", "rows", "empty"), [("SET_NULL", 8, 1), ("CASCADE", 7, 0)])
def test_the_rule_of_the_code_at_the_erasure_decides(town, rule, rows, empty):
    town.sql("UPDATE person SET boss_id = 9 WHERE id = 8; UPDATE person SET boss_id = 1 WHERE id = 9")
    made = town.backup()
    forget(town, "person:9")
    _add_rule(town, Link("public.person", ("boss_id",), "public.person", ("id",), rule))
    town.korrigo("restore", str(made), "--yes")
    assert town.sql("SELECT count(*) FROM person") == [(rows,)]
    assert town.sql("SELECT count(*) FROM person WHERE boss_id IS NULL AND id > 1") == [(empty,)]


def test_a_reference_that_only_the_code_knows_is_followed(town):
    forget(town, "person:9")
    _add_rule(town, Link("public.seat", ("person_id",), "public.person", ("id",), "SET_NULL"))
    town.korrigo("restore", str(town.made), "--yes")
    assert town.sql("SELECT room_id FROM seat WHERE person_id IS NULL") == [(9,)]


def test_both_rows_of_an_inherited_model_are_erased(town):
    forget(town, "account:9")
    _add_rule(town, Link("public.account", ("person_id",), "public.person", ("id",), "CASCADE", parent_link=True))
    town.korrigo("restore", str(town.made), "--yes")
    assert town.sql("SELECT count(*) FROM person WHERE id = 9") == [(0,)]


def test_a_protected_row_stops_the_restore_before_anything_is_changed(town):
    forget(town, "person:9")
    _add_rule(town, Link("public.letter", ("author_id",), "public.person", ("id",), "PROTECT"))
    before = town.state()
    failed = town.korrigo("restore", str(town.made), "--yes", code=4)
    assert "protect" in failed.err
    assert town.state().databases == before.databases
    assert town.sql("SELECT count(*) FROM person") == [(9,)]


def test_a_cut_line_stops_the_restore_and_names_the_next_step(town):
    forget(town, "person:9")
    ledger = _ledger(town).path
    ledger.write_bytes(ledger.read_bytes()[:-5])
    failed = town.korrigo("restore", str(town.made), "--yes", code=4)
    assert "sed -i" in failed.err
    assert "is cut" in town.korrigo("forget", "person:8", code=4).err
    town.run(["sed", "-i", "$d", str(ledger)])
    forget(town, "person:9")
    town.korrigo("restore", str(town.made), "--yes")
    assert town.sql("SELECT count(*) FROM person") == [(8,)]


def test_the_journal_has_the_number_of_erased_rows(town):
    forget(town, "person:9")
    town.korrigo("restore", str(town.made), "--yes")
    record = next(one for one in reversed(town.journal()) if one["verb"] == "restore")
    assert record["erased"] == {"public.person": 1, "public.account": 1, "public.letter": 4, "public.room": 0}


def test_the_recovery_kit_takes_the_ledger_with_it(town):
    assert _ledger(town).path in town.wired().kit_source().usual


def test_erased_rows_are_no_loss_for_the_checks_after_the_restore(town):
    forget(town, "person:9")
    done = town.korrigo("restore", str(town.made), "--yes")
    assert "differ" not in done.out
    found = {one["id"]: one for one in town.json("validate", str(town.made), "--strict")["findings"]}
    assert found["validate.rows"]["level"] == "ok"
    assert "6 rows" in found["erasure.counted"]["message"]
    town.sql("DELETE FROM seat WHERE room_id = 1")
    assert "public.seat (9 rows then, 8 now)" in town.korrigo("validate", str(town.made), "--strict", code=9).out
    compared = town.korrigo("compare", str(town.made), code=9)
    assert "erased on request and taken out again: 6 rows" in compared.out


def test_undelete_does_not_bring_back_what_was_erased_on_request(town):
    town.sql("UPDATE room SET keeper_id = NULL WHERE keeper_id = 9; DELETE FROM letter WHERE author_id = 9;"
             "DELETE FROM account WHERE person_id = 9; DELETE FROM person WHERE id = 9")  # fmt: skip
    forget(town, "person:9")
    before = town.rows()
    failed = town.korrigo("undelete", "person:9", "--yes", code=4)
    assert "erased on request" in failed.err
    plan = town.json("undelete", "account:9", "--dry-run", "--on-conflict", "skip", code=4)
    assert [one["kind"] for one in plan["plan"]["conflicts"]][:1] == ["erased"], plan["plan"]["conflicts"]
    assert town.rows() == before


def test_a_rollback_does_not_bring_back_what_was_erased_after_the_restore(town):
    town.korrigo("restore", str(town.made), "--yes")
    town.sql("DELETE FROM seat WHERE room_id = 3")
    forget(town, 'seat:(3,"a\tb ""3")')
    done = town.korrigo("rollback", "--yes")
    assert "erased on request and taken out again: 1 row (public.seat 1)" in done.out
    assert town.sql("SELECT count(*) FROM seat") == [(8,)]
    town.korrigo("rollback", "--to", "after", "--yes")
    assert town.sql("SELECT count(*) FROM seat") == [(8,)]


def test_a_restore_of_one_table_leaves_out_what_was_erased(town):
    town.sql("DELETE FROM seat WHERE room_id IN (3, 4)")
    forget(town, 'seat:(3,"a\tb ""3")')
    done = town.korrigo("restore", str(town.made), "--table", "seat", "--yes")
    assert "public.seat 1" in done.out
    assert town.sql("SELECT room_id FROM seat WHERE room_id IN (3, 4)") == [(4,)]


def test_doctor_reads_the_ledger_and_misses_a_lost_one(town):
    forget(town, "person:9")
    assert "the erasure ledger can be read: 1 entry" in town.korrigo("doctor", code=(0, 10, 4, 9)).out
    ledger = _ledger(town).path
    content = ledger.read_bytes()
    ledger.write_bytes(content[:-9])
    assert "is cut" in town.korrigo("doctor", code=(4, 9, 10)).out
    ledger.unlink()
    assert "is gone" in town.korrigo("doctor", code=(4, 9, 10)).out


def _ledger(town) -> ErasureLedger:
    return town.wired().ledger()


def _add_rule(town, link):
    ledger, site = _ledger(town), town.wired().site()
    key = ledger.keyring.signing()
    entry = Entry(time=datetime.now(UTC), scope=scope_of(site), subject=Subject.RULES, hash="rule", key=key.id,
                  links=(link,))  # fmt: skip
    ledger.append([msgspec.structs.replace(entry, hash="rule " + link.rule)])
