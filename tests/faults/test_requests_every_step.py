"""Kill -9 at the effects of `requests run` and `requests approve`: each request is answered, no act is done twice.

After the kill and the next run no request is `taken` and none is left in the spool. Rows that came back before the
kill, and were deleted again since, stay deleted: the request was carried out.
"""

import json
import os
import re
from datetime import UTC, datetime, timedelta

import pytest

import steps
from korrigo_backup.requests.model import BringBackRequest, PlanRequest, State
from korrigo_backup.requests.spool import Spool

ALL = bool(os.environ.get("KORRIGO_TEST_FAULTS"))
"""Whether every effect is visited (`make test-faults`); else those that decide."""

SCHEMA = """
CREATE TABLE exam (id serial PRIMARY KEY, name text NOT NULL UNIQUE);
INSERT INTO exam (name) SELECT 'exam ' || n FROM generate_series(1, 8) n;
"""
DELETED = "DELETE FROM exam WHERE id = 5"


class Desk:
    """A site with a spool, an exam that was deleted after its backup, and a plan that was shown."""

    def __init__(self, site):
        self.site = site
        self.dump = site.backup().name
        self.whole = site.rows()
        self.spool = Spool(site.home / "spool")
        for name in ("requests", "answers"):
            (self.spool.directory / name).mkdir(parents=True)
        site.sql(DELETED)
        self.lost = site.rows()

    def rule(self, approve):
        (self.site.home / "korrigo-backup.toml").write_text(
            f'[requests]\ndirectory = "{self.spool.directory}"\napprove = "{approve}"\n'
        )

    def go(self, *arguments, code=0, **options):
        ran = steps.run(self.site, "requests", *arguments, **options)
        assert "Traceback" not in ran.output, ran.output
        assert code is None or ran.code == code, f"{arguments}: {ran.code} {ran.output} after {ran.effects[-3:]}"
        return ran

    def plan(self):
        self._let_hours_pass()
        fields = {"by": "marie", "asked": datetime.now(UTC), "backup": self.dump}
        return self.spool.ask(PlanRequest(objects=("exam:5",), **fields))

    def _let_hours_pass(self):
        """Make the records of ended requests older: the host takes so many in an hour."""
        for path in (self.site.backups / ".requests").glob("*.json"):
            record = json.loads(path.read_text())
            if record["state"] in {State.DONE, State.PLANNED}:
                received = datetime.fromisoformat(record["received"]) - timedelta(days=2)
                path.write_text(json.dumps({**record, "received": received.isoformat()}))

    def bring_back(self):
        plan = self.plan()
        self.go("run")
        answer = self.spool.answer_to(plan)
        assert answer
        digest = answer.digest
        return self.spool.ask(BringBackRequest(by="marie", asked=datetime.now(UTC), plan=plan, digest=digest))

    def killed(self, *arguments, effects, number):
        """Kill the command before an effect, let the next command of the site mend what it has left; return the rows."""
        ran = self.go(*arguments, code=None, triggers={number: "kill"})
        assert ran.killed, f"{effects[number - 1]}: {ran}"
        steps.run(self.site, "doctor", "--fix")
        return self.site.rows()

    def state(self, id_):
        """How a request stands, for its user and for the host, who agree; nothing is half done."""
        answer = self.spool.answer_to(id_)
        (record,) = [one for one in self.site.json("requests")["requests"] if one["id"] == id_]
        assert answer
        assert answer.state == record["state"], f"{answer} {record}"
        assert self.spool.pending() == ([], 0)
        return answer.state


@pytest.fixture
def desk(make_site):
    return Desk(make_site(schema=SCHEMA))


def visited(effects, most=4):
    """The numbers of effects; by default of those that decide: records, answers and requests, the commit, its record."""
    decides = re.compile(r"rename \.[0-9a-f]{32}|replace .*\.requests/|unlink [0-9a-f]{32}|rename .*\.pending")
    first = next(n for n, what in enumerate(effects, 1) if ".requests" in what)
    found = [n for n, what in enumerate(effects, 1) if n > first and (ALL or decides.match(what))]
    return found if ALL else found[-most:]


def test_a_plan_whose_run_was_killed_is_answered_by_the_next(desk):
    desk.rule("ask")
    for _ in range(2):  # the first run makes a directory
        desk.plan()
        effects = desk.go("run").effects
    for number in visited(effects):
        id_ = desk.plan()
        desk.killed("run", effects=effects, number=number)
        desk.go("run")
        assert desk.state(id_) is State.PLANNED, effects[number - 1]


def test_a_request_whose_run_was_killed_is_carried_out_once(desk):
    desk.rule("auto")
    desk.bring_back()
    effects, seen = desk.go("run").effects, set()
    for number in visited(effects, 5):
        desk.site.sql(DELETED)
        id_ = desk.bring_back()
        now = desk.killed("run", effects=effects, number=number)
        seen.add(now == desk.whole)
        if now == desk.whole:
            desk.site.sql(DELETED)
        desk.go("run")
        assert desk.state(id_) is State.DONE, effects[number - 1]
        assert desk.site.rows() == (desk.lost if now == desk.whole else desk.whole), effects[number - 1]
    assert seen == {False, True}


def test_an_approval_that_was_killed_waits_again_or_is_done(desk):
    desk.rule("ask")
    id_ = desk.bring_back()
    desk.go("run")
    effects, seen = desk.go("approve", id_, "--yes").effects, set()
    for number in visited(effects):
        desk.site.sql(DELETED)
        id_ = desk.bring_back()
        desk.go("run")
        now = desk.killed("approve", id_, "--yes", effects=effects, number=number)
        desk.go("run")
        state = desk.state(id_)
        seen.add(state)
        assert state is (State.DONE if now == desk.whole else State.WAITING), effects[number - 1]
        if state is State.WAITING:
            desk.go("approve", id_, "--yes")
        assert (desk.state(id_), desk.site.rows()) == (State.DONE, desk.whole), effects[number - 1]
    assert seen == {State.DONE, State.WAITING}
