"""Looks of the admin through the host: rows that were erased on request, tables of credentials, answers of before."""

import dataclasses
from datetime import UTC, datetime

import pytest

from korrigo_backup.erasure.entry import Entry, Link, Subject
from korrigo_backup.erasure.erased import ErasedKeys
from korrigo_backup.requests.handle import handle_requests
from korrigo_backup.requests.host import RequestHost, RequestRules
from korrigo_backup.requests.looks import look
from korrigo_backup.requests.model import LookRequest, PlanRequest, State
from korrigo_backup.requests.spool import Spool
from korrigo_backup.rescue.saved import withheld
from korrigo_backup.site.erasures import scope_of
from korrigo_backup.targets.ledger import Ledger, LedgerLine

SCHEMA = """
CREATE TABLE page (id serial PRIMARY KEY, copy_id int NOT NULL);
CREATE TABLE copy (id serial PRIMARY KEY, person_id int NOT NULL);
CREATE TABLE person (id serial PRIMARY KEY, name text NOT NULL, boss_id int REFERENCES person);
ALTER TABLE copy ADD FOREIGN KEY (person_id) REFERENCES person ON DELETE CASCADE;
ALTER TABLE page ADD FOREIGN KEY (copy_id) REFERENCES copy;
CREATE TABLE note (id serial PRIMARY KEY, person_id int, words text);
CREATE TABLE loose (id serial PRIMARY KEY, words text);
CREATE TABLE authtoken_token (id serial PRIMARY KEY, value text);
INSERT INTO person (name, boss_id) SELECT 'name ' || n, nullif(n - 1, 0) FROM generate_series(1, 70) n;
INSERT INTO copy (person_id) SELECT n FROM generate_series(1, 70) n;
INSERT INTO page (copy_id) SELECT 1 + n % 70 FROM generate_series(1, 140) n;
INSERT INTO note (person_id, words) SELECT n, 'about name ' || n FROM generate_series(1, 70) n;
INSERT INTO loose (words) VALUES ('name 60');
INSERT INTO authtoken_token (value) VALUES ('s3cret');
"""


@pytest.fixture
def school(make_site, tmp_path):
    """A site that may look, of which one person was erased after the backup."""
    made = make_site(schema=SCHEMA)
    made.dump = made.backup().name
    made.spool = Spool(tmp_path / "spool")
    for name in ("requests", "answers"):
        (made.spool.directory / name).mkdir(parents=True)
    (made.home / "korrigo-backup.toml").write_text(
        f'[requests]\ndirectory = "{made.spool.directory}"\napprove = "auto"\nlooks = true\n'
    )
    return made


def rule(school, name):
    """Record the rule of the site's code for notes, whose reference no constraint holds."""
    ledger = school.wired().ledger()
    link = Link("public.note", ("person_id",), "public.person", ("id",), name)
    ledger.append([
        Entry(time=datetime.now(UTC), scope=scope_of(school.wired().site()), subject=Subject.RULES, hash=name,
              key=ledger.keyring.signing().id, links=(link,))
    ])  # fmt: skip


def asked(school, **given):
    """The host's answer to a look, asked for by the spool."""
    fields = {"by": "marie", "asked": datetime.now(UTC), "backup": school.dump, "table": "person", "column": "id"}
    id_ = school.spool.ask(LookRequest(**{**fields, **given}))
    wired = school.wired()
    rules = RequestRules(looks=True)
    handle_requests(RequestHost(wired.site(), wired.catalog, school.spool, rules, lambda: datetime.now(UTC)))
    return school.spool.answer_to(id_)


def seen(school, **given):
    """The rows that a look shows, without the spool."""
    wired = school.wired()
    fields = {"by": "marie", "asked": datetime.now(UTC), "backup": school.dump, "table": "person", "column": "id"}
    return look(wired.site(), wired.catalog.find(school.dump), LookRequest(**{**fields, **given}))


def test_an_erased_row_is_in_no_page_no_search_and_no_detail(school):
    assert seen(school, words="name 60").rows != ()
    school.korrigo("forget", "person:60")
    pages = [asked(school, page=number).found for number in (1, 2)]
    rows = [row for page in pages for row in page.rows]
    assert (len(rows), pages[0].total, pages[0].withheld) == (69, 69, 1)
    assert not [row for row in rows if row[0] == "60" or "name 60" in row]
    assert asked(school, words="name 60").found.rows == ()
    assert asked(school, words="name 60").found.withheld == 1
    refused = asked(school, key="60")
    assert (refused.state, "erased on request" in refused.message) == (State.REFUSED, True)
    assert asked(school, key="59").found.rows[0][0] == "59"


def test_a_reference_to_an_erased_row_is_hidden(school):
    school.korrigo("forget", "person:60")
    row = seen(school, key="61").rows[0]
    assert row == ("61", "name 61", "•••")


def test_rows_that_a_restore_would_erase_with_it_are_withheld(school):
    school.korrigo("forget", "person:60")
    counts = {}
    for table in ("copy", "page", "loose"):
        found = seen(school, table=table, columns=("id", "copy_id"))
        counts[table] = (found.withheld, found.total)
    assert counts == {"copy": (1, 69), "page": (2, 138), "loose": (0, 1)}


@pytest.mark.parametrize(("name", "notes", "cell"), [("CASCADE", 0, None), ("SET_NULL", 1, "•••")])
def test_the_rules_of_the_sites_code_count_also_without_the_database(school, name, notes, cell):
    rule(school, name)
    school.korrigo("forget", "person:60")
    wired = school.wired()
    site = wired.site()
    for is_away in (False, True):
        if is_away:
            site.postgres.access = dataclasses.replace(site.postgres.access, port="1")
        request = LookRequest(
            by="marie", asked=datetime.now(UTC), backup=school.dump, table="note", words="about name 60",
            columns=("person_id",),
        )  # fmt: skip
        found = look(site, wired.catalog.find(school.dump), request)
        assert (len(found.rows), [row[0] for row in found.rows]) == (notes, [cell] * notes)


def test_a_backup_from_after_the_erasure_shows_the_row_that_has_the_number_now(school):
    school.korrigo("forget", "person:60")
    school.dump = school.backup().name
    assert seen(school, key="60").rows[0][0] == "60"


def test_a_ledger_that_cannot_be_read_lets_nothing_be_seen(school):
    school.korrigo("forget", "person:60")
    path = school.wired().ledger().path
    path.write_bytes(path.read_bytes()[:-10])
    refused = asked(school, table="loose")
    assert (refused.state, refused.found) == (State.REFUSED, None)
    assert "not known" in refused.message
    assert "forget" in refused.hint


def test_an_answer_of_before_is_withdrawn_when_something_is_erased(school):
    school.sql("DELETE FROM page; DELETE FROM copy; DELETE FROM person WHERE id = 70")
    plan = school.spool.ask(
        PlanRequest(by="marie", asked=datetime.now(UTC), backup=school.dump, objects=("person:70",))
    )
    shown = asked(school, words="name 70")
    assert (shown.state, school.spool.answer_to(plan).state) == (State.SHOWN, State.PLANNED)
    school.korrigo("forget", "person:70")
    for id_ in (shown.id, plan):
        answer = school.spool.answer_to(id_)
        assert (answer.state, answer.found, answer.plan, answer.digest) == (State.REFUSED, None, None, "")
        assert "name 70" not in (school.spool.directory / "answers" / f"{id_}.json").read_text()


@pytest.mark.parametrize(("is_sealed", "ending"), [(True, " --identity FILE; then"), (False, "gz; then")])
def test_a_backup_that_only_a_target_has_is_refused_with_the_command_that_fetches_it(school, is_sealed, ending):
    name, now = "db_backup_20200101_000000.sql.gz", datetime.now(UTC)
    line = LedgerLine(object="o", artifact=name, size=1, sha256="0" * 64, sent=now, whole=True, sealed=is_sealed)
    Ledger(school.backups, "nas").write(line)
    refused = asked(school, backup=name)
    assert (refused.state, "sealed" in refused.message) == (State.REFUSED, is_sealed)
    assert f"korrigo-backup fetch nas {name}" in refused.hint
    assert ending in refused.hint


def test_tables_of_sessions_tokens_and_keys_are_shown_to_nobody(school):
    refused = asked(school, table="authtoken_token", key="1")
    assert (refused.state, "tokens" in refused.message) == (State.REFUSED, True)
    assert asked(school, table="authtoken_token", words="s3cret").found is None


def test_the_backups_carry_the_mark_of_a_ledger_as_long_as_it_has_entries(school):
    marker = school.backups / ".erasures"
    assert not marker.exists()
    school.korrigo("forget", "person:60")
    assert marker.exists()
    (line,) = school.json("forget", "--list")["entries"]
    school.korrigo("forget", "--remove", line["hash"], "--yes")
    school.backup()
    assert not marker.exists()


def test_inherited_rows_and_generic_relations_are_followed_through_the_dump():
    erased = _OneErased({}, {"base": {("id",): {}}}, row=("base", b"1"))
    ties = (
        withheld.Tie("child", ("base_id",), "base", ("id",), is_one_object=True),
        withheld.Tie("note", ("object_id",), "child", ("base_id",), type_column="type", content_type=("app", "child")),
    )
    found = withheld.WithheldRows("note", erased, ties)

    def scan(tables):
        rows = [
            (withheld.CONTENT_TYPES, {"id": b"7", "app_label": b"app", "model": b"child"}),
            ("note", {"id": b"1", "object_id": b"1", "type": b"7"}),
            ("note", {"id": b"2", "object_id": b"1", "type": b"8"}),
            ("note", {"id": b"3", "object_id": rb"\N", "type": b"7"}),
            ("child", {"base_id": b"1"}),
            ("base", {"id": b"1"}),
        ]
        return ((name, row) for name, row in rows if name in tables)

    found.close(scan)
    assert found.count == 1
    assert not found.is_erased("note", {"id": b"2", "object_id": b"1", "type": b"8"})


@dataclasses.dataclass(frozen=True)
class _OneErased(ErasedKeys):
    """The keys of a ledger that names one row, found without hashing."""

    row: tuple[str, bytes] = ("", b"")

    def holds(self, table, row):
        return (table, row.get("id")) == self.row
