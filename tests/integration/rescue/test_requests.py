"""The spool of requests: a plan that was shown comes true, and nothing else does."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from korrigo_backup.requests.model import BringBackRequest, LookRequest, PlanRequest, State
from korrigo_backup.requests.records import find_record, write_record
from korrigo_backup.requests.spool import Spool
from korrigo_backup.system.lock import exclusive

SCHEMA = """
CREATE TABLE exam (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
CREATE TABLE copy (id serial PRIMARY KEY, exam_id int NOT NULL REFERENCES exam, note text);
INSERT INTO exam (name) SELECT 'exam ' || n FROM generate_series(1, 8) n;
INSERT INTO copy (exam_id, note) SELECT 1 + n % 8, 'note ' || n FROM generate_series(1, 64) n;
"""

DELETED = "DELETE FROM copy WHERE exam_id = 5; DELETE FROM exam WHERE id = 5"


@pytest.fixture
def school(make_site, tmp_path):
    """A site with a spool; an exam was deleted after its backup."""
    made = make_site(schema=SCHEMA)
    made.dump = made.backup().name
    made.before = made.rows()
    made.spool = Spool(tmp_path / "spool")
    for name in ("requests", "answers"):
        (made.spool.directory / name).mkdir(parents=True)
    _configure(made, "auto")
    made.sql(DELETED)
    made.after = made.rows()
    return made


def _configure(site, approve, *, looks=False):
    (site.home / "korrigo-backup.toml").write_text(
        f'[requests]\ndirectory = "{site.spool.directory}"\napprove = "{approve}"\nlooks = {str(looks).lower()}\n'
    )


def _plan(site, *objects, backup=None, ask=True, **given):
    """The id of a request for a plan that the host has answered."""
    fields = {"by": "marie", "asked": datetime.now(UTC), "backup": backup or site.dump, **given}
    id_ = site.spool.ask(PlanRequest(objects=objects, **fields))
    if ask:
        site.korrigo("requests", "run")
    return id_


def _bring_back(site, plan, digest=None):
    digest = digest or site.spool.answer_to(plan).digest
    id_ = site.spool.ask(BringBackRequest(by="marie", asked=datetime.now(UTC), plan=plan, digest=digest))
    site.korrigo("requests", "run")
    return id_


def test_a_plan_changes_nothing_and_its_request_brings_the_rows_back(school):
    plan = _plan(school, "exam:5")
    answer = school.spool.answer_to(plan)
    assert (answer.state, answer.plan.count, school.rows()) == (State.PLANNED, 9, school.after)
    done = school.spool.answer_to(_bring_back(school, plan))
    assert (done.state, done.by, done.objects) == (State.DONE, "marie", ("exam:5",))
    assert school.rows() == school.before
    assert [one["why"]["asked by"] for one in school.journal() if one["verb"] == "undelete"] == ["marie (admin)"]
    assert "marie" in next(one["message"] for one in school.journal() if one["verb"] == "look")
    school.korrigo("rollback", "--yes")
    assert school.rows() == school.after


def test_by_default_a_person_of_the_host_approves(school):
    _configure(school, "ask")
    waiting = _bring_back(school, _plan(school, "exam:5"))
    assert (school.spool.answer_to(waiting).state, school.rows()) == (State.WAITING, school.after)
    assert "public.copy" in school.korrigo("requests", "approve", waiting[:6], "--dry-run").out
    school.korrigo("requests", "approve", waiting[:6], code=5, stdin="no\n")
    assert (school.json("requests")["requests"][-1]["state"], school.rows()) == ("waiting", school.after)
    school.korrigo("requests", "approve", waiting[:6], "--yes")
    assert (school.spool.answer_to(waiting).state, school.rows()) == (State.DONE, school.before)
    school.korrigo("requests", "approve", waiting[:6], code=6)


def test_the_dry_run_of_an_approval_shows_a_plan_that_has_changed(school):
    _configure(school, "ask")
    waiting = _bring_back(school, _plan(school, "exam:5"))
    school.sql("INSERT INTO exam VALUES (99, 'exam 5')")
    rows = school.rows()
    refused = school.korrigo("requests", "approve", waiting, "--dry-run", code=4)
    assert "the plan has changed since it was shown" in refused.err
    assert (school.spool.answer_to(waiting).state, school.rows()) == (State.WAITING, rows)


def test_the_plan_of_an_erased_object_is_refused_without_its_rows(school):
    school.korrigo("forget", "exam:5")
    answer = school.spool.answer_to(_plan(school, "exam:5"))
    assert (answer.state, answer.plan) == (State.REFUSED, None)
    assert "was erased on request" in answer.message


def test_a_refusal_reaches_its_user_with_the_reason(school):
    _configure(school, "ask")
    waiting = _bring_back(school, _plan(school, "exam:5"))
    school.korrigo("requests", "refuse", waiting, "--reason", "it was deleted on purpose")
    answer = school.spool.answer_to(waiting)
    assert (answer.state, school.rows()) == (State.REFUSED, school.after)
    assert "it was deleted on purpose" in answer.message


def test_a_plan_that_has_changed_is_shown_again_and_not_carried_out(school):
    plan = _plan(school, "copy:4")
    assert school.spool.answer_to(plan).plan.count == 2, "the copy needs its exam"
    school.sql("INSERT INTO exam VALUES (5, 'exam 5')")
    there = school.rows()
    answer = school.spool.answer_to(_bring_back(school, plan))
    assert (answer.state, answer.plan.count, school.rows()) == (State.CHANGED, 1, there)
    assert school.spool.answer_to(_bring_back(school, answer.id)).state is State.DONE


def test_a_conflict_since_the_plan_is_refused_and_its_rows_can_be_left_out(school):
    plan = _plan(school, "exam:5", "copy:4")
    school.sql("INSERT INTO exam VALUES (99, 'exam 5')")
    there = school.rows()
    assert school.spool.answer_to(_bring_back(school, plan)).state is State.REFUSED
    again = school.spool.answer_to(_plan(school, "exam:5"))
    assert (again.can_be_carried_out, len(again.plan.refused)) == (False, 1)
    assert school.rows() == there


def test_a_forged_digest_or_plan_is_refused(school):
    plan = _plan(school, "exam:5")
    for id_ in (_bring_back(school, plan, "0" * 64), _bring_back(school, "f" * 32, "0" * 64)):
        assert school.spool.answer_to(id_).state is State.REFUSED
    assert school.rows() == school.after


def test_a_request_that_is_sent_again_is_not_carried_out_again(school):
    plan = _plan(school, "exam:5")
    raw = json.dumps(
        {"wants": "bring_back", "by": "marie", "asked": datetime.now(UTC).isoformat(), "plan": plan,
         "digest": school.spool.answer_to(plan).digest}
    )  # fmt: skip
    path = school.spool.directory / "requests" / f"{'a' * 32}.json"
    path.write_text(raw)
    school.korrigo("requests", "run")
    assert school.rows() == school.before
    school.sql(DELETED)
    path.write_text(raw)
    school.korrigo("requests", "run")
    assert (school.rows(), path.exists()) == (school.after, False)


WRONG: dict[str, dict[str, object]] = {
    "a path": {"backup": "../../etc/passwd"},
    "a word": {"backup": "latest"},
    "SQL": {"objects": ["exam:5'; DROP TABLE exam; --"]},
    "two lines": {"objects": ["exam:5\nx"]},
    "nothing": {"objects": []},
    "much": {"objects": [f"exam:{number}" for number in range(51)]},
    "a long name": {"objects": ["exam:5" + "x" * 400]},
    "a large file": {"objects": ["exam:5"] * 50, "by": "m" * 20_000},
    "a condition": {"where": "true"},
    "an update": {"relink": True},
    "another verb": {"wants": "restore"},
    "nobody": {"by": ""},
    "too old": {"asked": (datetime.now(UTC) - timedelta(days=30)).isoformat()},
    "of the future": {"asked": (datetime.now(UTC) + timedelta(days=30)).isoformat()},
    "without a zone": {"asked": "2026-01-01T00:00:00"},
}


def test_anything_else_is_refused(school):
    for number, given in enumerate(WRONG.values()):
        path = school.spool.directory / "requests" / f"{number:032x}.json"
        fields = {"wants": "plan", "by": "marie", "asked": datetime.now(UTC).isoformat(), "backup": school.dump}
        path.write_text(json.dumps({**fields, "objects": ["exam:5"], **given}))
    school.korrigo("requests", "run")
    answers = {name: school.spool.answer_to(f"{number:032x}").state for number, name in enumerate(WRONG)}
    assert answers == dict.fromkeys(WRONG, State.REFUSED)
    assert (school.rows(), list((school.spool.directory / "requests").iterdir())) == (school.after, [])


def test_links_pipes_and_second_names_are_not_read(school, tmp_path):
    inside = school.spool.directory / "requests"
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"password": "of the host"}))
    (inside / f"{'1' * 32}.json").symlink_to(secret)
    os.link(secret, inside / f"{'2' * 32}.json")
    os.mkfifo(inside / f"{'3' * 32}.json")
    (inside / "notes.txt").write_text("{}")
    (inside / f"{'5' * 32}.json").mkdir()
    (inside / f"{'4' * 32}.json").write_bytes(b"\xff\0")
    school.korrigo("requests", "run")
    answers = [school.spool.answer_to(letter * 32) for letter in "1234"]
    assert [one.state for one in answers] == [State.REFUSED] * 4
    assert all("password" not in path.read_text() for path in (school.spool.directory / "answers").iterdir())
    assert secret.exists()
    assert school.json("requests")["strange"] == 2


def test_a_link_in_the_place_of_the_answers_is_refused(school, tmp_path):
    _plan(school, "exam:5", ask=False)
    answers = school.spool.directory / "answers"
    answers.rmdir()
    (tmp_path / "elsewhere").mkdir()
    answers.symlink_to(tmp_path / "elsewhere")
    school.korrigo("requests", "run", code=4)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_flood_is_taken_slowly(school):
    for number in range(30):
        (school.spool.directory / "requests" / f"{number:032x}.json").write_text("{}")
    assert school.json("requests", "run")["left"] == 10
    assert school.json("requests", "run")["left"] == 0


def test_without_a_directory_there_are_no_requests(school):
    (school.home / "korrigo-backup.toml").unlink()
    assert "no directory of requests" in school.korrigo("requests", "run", code=2).err


def test_a_request_at_which_three_runs_died_is_given_up(school):
    plan = _plan(school, "exam:5")
    for tries, state in ((2, State.PLANNED), (3, State.FAILED)):
        id_ = _plan(school, "exam:5", ask=False)
        record = find_record(school.backups, plan)
        assert record
        write_record(school.backups, replace(record, id=id_, state=State.TAKEN, tries=tries))
        school.korrigo("requests", "run")
        assert (school.spool.answer_to(id_).state, school.spool.pending()) == (state, ([], 0))


def test_requests_are_left_for_later_while_a_person_approves(school):
    _plan(school, "exam:5", ask=False)
    lock = school.backups / ".requests.lock"
    with exclusive(lock, "requests approve"):
        assert "requests approve" in school.korrigo("requests", "run").out
        assert (school.json("requests", "run")["left"], len(school.spool.pending()[0])) == (1, 1)
    with exclusive(lock, "requests run"):
        school.korrigo("requests", "run", code=7)
    school.korrigo("requests", "run")
    assert school.spool.pending() == ([], 0)


def test_the_site_sees_when_the_host_has_looked_and_old_answers_go_without_a_request(school):
    plan, before = _plan(school, "exam:5"), datetime.now(UTC)
    answer = school.spool.directory / "answers" / f"{plan}.json"
    half = school.spool.directory / "answers" / f".{plan}.json.0123abcd.new"
    half.touch()
    old = (datetime.now(UTC) - timedelta(days=8)).timestamp()
    for path in (answer, half):
        os.utime(path, (old, old))
    school.korrigo("requests", "run", env={"POSTGRES_PORT": "1"})
    assert (school.spool.last_look() >= before, answer.exists(), half.exists()) == (True, False, False)


def test_a_host_whose_database_is_away_answers_that_it_failed(school):
    id_ = _plan(school, "exam:5", ask=False)
    school.korrigo("requests", "run", env={"POSTGRES_PORT": "1"})
    assert (school.spool.answer_to(id_).state, school.spool.pending()) == (State.FAILED, ([], 0))


def test_an_old_request_that_waits_is_not_approved(school):
    _configure(school, "ask")
    waiting = _bring_back(school, _plan(school, "exam:5"))
    record = find_record(school.backups, waiting)
    assert record
    write_record(school.backups, replace(record, received=record.received - timedelta(days=2)))
    school.korrigo("requests", "approve", waiting, "--yes", code=4)
    assert (school.spool.answer_to(waiting).state, school.rows()) == (State.REFUSED, school.after)


def test_the_schedule_has_the_job_where_a_directory_is_configured(school):
    kept = {name: value for name, value in school.env.items() if name not in {"PATH", "HOME", "PYTHONPYCACHEPREFIX"}}
    (school.home / "korrigo-backup.env").write_text("".join(f"{name}='{value}'\n" for name, value in kept.items()))
    (school.home / "korrigo-backup.env").chmod(0o600)
    planned = school.korrigo("schedule", "install", "--cron", "--dry-run").out
    (line,) = [one for one in planned.splitlines() if " requests run" in one]
    assert "* * * * *" in line
    assert "sleep" not in line
    (school.home / "korrigo-backup.toml").unlink()
    assert "requests run" not in school.korrigo("schedule", "install", "--cron", "--dry-run").out


def _look(site, **given):
    fields = {"by": "marie", "asked": datetime.now(UTC), "backup": site.dump, "table": "copy"}
    id_ = site.spool.ask(LookRequest(**{**fields, **given}))
    site.korrigo("requests", "run")
    return site.spool.answer_to(id_)


def test_by_default_the_site_looks_into_no_backup(school):
    assert _look(school).state is State.REFUSED


def test_rows_are_shown_page_by_page_without_secrets(school):
    _configure(school, "ask", looks=True)
    first, second = _look(school, columns=("id", "note")).found, _look(school, columns=("id", "note"), page=2).found
    assert (first.columns, len(first.rows), first.has_next, first.total) == (("id", "note"), 50, True, 64)
    assert (len(second.rows), second.has_next) == (14, False)
    assert len({row[0] for row in (*first.rows, *second.rows)}) == 64
    assert {row[0] for row in _look(school, words="NOTE 12", columns=("note",)).found.rows} == {"note 12"}
    row = _look(school, table="exam", column="id", key="5").found
    assert dict(zip(row.columns, row.rows[0], strict=True)) == {"id": "5", "name": "exam 5"}
    assert school.rows() == school.after
    looks = [one for one in school.journal() if one["verb"] == "look"]
    assert all("marie" in one["message"] for one in looks)
    assert "exam:5" in looks[-1]["subject"]


def test_a_look_at_what_is_not_there_is_refused(school):
    _configure(school, "ask", looks=True)
    for given in (
        {"table": "nowhere"},
        {"table": "pg_authid"},
        {"table": "exam", "column": "id", "key": "99"},
        {"table": "exam", "column": "name'; --", "key": "5"},
        {"table": "exam", "column": "password", "key": "5"},
    ):
        assert _look(school, **given).state is State.REFUSED


def test_a_large_row_fits_into_the_answer_and_is_known_to_be_cut(make_site, tmp_path):
    school = make_site(schema="CREATE TABLE copy (id int PRIMARY KEY, a text, b text, api_token text)")
    school.sql(
        "INSERT INTO copy SELECT n, repeat('é', 70000), repeat('\\', 70000), 's3cret' FROM generate_series(1, 60) n"
    )
    school.dump = school.backup().name
    school.spool = Spool(tmp_path / "spool")
    for name in ("requests", "answers"):
        (school.spool.directory / name).mkdir(parents=True)
    _configure(school, "ask", looks=True)
    row = _look(school, column="id", key="7").found
    assert (row.rows[0][0], row.cut, row.rows[0][3]) == ("7", ("a", "b"), "•••")
    assert len(_look(school).found.rows) == 50
    assert all(path.stat().st_size <= 64 * 1024 for path in (school.spool.directory / "answers").iterdir())
    assert _look(school, words="s3cret").found.rows == ()
