"""The forms of a status that others read do not change: JSON, the published document, metrics, the monitoring line."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from korrigo_backup import __version__
from korrigo_backup.artifact.artifact import Stranger
from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.finding import ok, warning
from korrigo_backup.recovery.actions import Undoable
from korrigo_backup.retention.hold import Hold
from korrigo_backup.retention.policy import Policy, Rule
from korrigo_backup.run.record import Outcome
from korrigo_backup.status.evaluate import evaluate
from korrigo_backup.status.metrics import metrics
from korrigo_backup.status.model import ArtifactCopy, Beside, Goals, Status, TargetCopies
from korrigo_backup.status.nagios import plugin_line
from korrigo_backup.status.published import decode, encode
from standings import GB, NOW, backup, facts, ran

GOLDEN = Path(__file__).parents[2] / "golden" / "status"

ARTIFACTS = (
    *(backup(20 + 24 * day, size=GB + day * 1000) for day in range(6)),
    backup(1, size=GB // 9, rows=3),
    backup(52, kind=Kind.MEDIA, size=7 * GB),
    backup(53, origin=Origin.SAFETY),
    backup(54, authenticity=Authenticity.UNKNOWN_KEY),
    backup(55, authenticity=Authenticity.FORGED),
    backup(56, authenticity=Authenticity.UNSIGNED),
    backup(57, site="other"),
    backup(58, ours=False),
    backup(59, source=None, problem="the manifest is torn"),
    backup(-30),
)
RECORDS = (
    ran(200, verb="restore", subject="x", steps=["restore.proven"], seconds=9.5, downtime=1.25),
    ran(100, Outcome.FAILED, verb="verify", subject=ARTIFACTS[1].name, message="it is cut", exit_code=9),
    ran(50, Outcome.FAILED, message="no room"),
    ran(49, Outcome.FAILED, message="no room"),
    ran(40, Outcome.PARTLY, verb="nightly", message="the copy failed"),
    ran(30, Outcome.FAILED, subject="media", message="gone", exit_code=1),
    *(ran(hours, verb="point", subject="skipped", why={"reason": "a night is at work"}) for hours in (25, 2, 1)),
)
FACTS = facts(
    *ARTIFACTS,
    strangers=(Stranger("notes.txt", "not a backup's name"), Stranger("db_backup_x", "a link", ours=True)),
    records=RECORDS,
    open_mode=0o755,
    holder="backup db by root",
    stopped=True,
    shared_disk=True,
    next_run=NOW + timedelta(hours=15),
    scheduled=False,
    schedule=(warning("schedule.late", "late", "hurry"), ok("schedule.fine", "fine")),
    holds=(
        Hold(name="n", reason="r", holder="h", since=NOW),
        Hold(name="o", reason="r", holder="h", since=NOW - timedelta(days=9), until=NOW - timedelta(days=1)),
    ),
    held_unread=("torn", "mend it"),
    journal_unread="Permission denied",
    no_database=("down", "start it"),
    kept=(Beside(("viatique_before_20260204_030000",), NOW - timedelta(days=2)),),
    targets=(
        TargetCopies(
            name="cloud",
            copies=(
                ArtifactCopy(
                    name=ARTIFACTS[0].name,
                    sent=NOW,
                    read=NOW,
                    sealed=True,
                    locked_until=NOW + timedelta(days=9),
                    lock_read=NOW,
                ),
                ArtifactCopy(name=ARTIFACTS[1].name, sent=NOW - timedelta(days=1), bad="cut"),
            ),
        ),
        TargetCopies(name="nas", off_site=False),
    ),
    undoable=(
        Undoable(
            verb="undelete",
            stamp="20260204_100000",
            created=NOW - timedelta(hours=2),
            artifact="db_backup_20260203_160000.sql.gz",
            asked=("exams_exam:12",),
            files=2,
        ),
    ),
)
GOALS = Goals(
    rpo_hours=12.0, media_rpo_hours=48.0, proof_days=3.0, policy=Policy(media=Rule(weekly=4)), accepted=("status.rows",)
)


def golden(name):
    return (GOLDEN / name).read_text(encoding="utf-8")


def indented(raw):
    return msgspec.json.format(raw, indent=1).decode().strip() + "\n"


@pytest.fixture(params=["collected", "read back"])
def status(request):
    read_back = decode(encode(FACTS, GOALS), "it") if request.param == "read back" else (FACTS, GOALS)
    return evaluate(*read_back, now=NOW)


def test_the_json_of_the_command(status):
    assert indented(msgspec.json.encode(status.document())) == golden("status.json")


def test_the_published_document(status):
    assert indented(encode(status.facts, status.goals)) == golden("published.json")


def test_the_metrics(status):
    assert metrics(status).replace(__version__, "VERSION") == golden("metrics.prom")


def test_the_line_of_a_monitoring_system(status):
    assert plugin_line(status)[0] + "\n" == golden("nagios.txt")


def test_every_verdict_is_in_the_json(status):
    verdicts = set(Status.__struct_fields__) - {"facts", "goals"}
    assert verdicts - set(status.document()) == set()
