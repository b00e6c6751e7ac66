"""The published facts: nothing that is evaluated gets lost on the way, and garbage is refused."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from korrigo_backup.artifact.artifact import Artifact, Stranger
from korrigo_backup.artifact.header import ManifestHeader
from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.finding import warning
from korrigo_backup.errors import ProofFailed
from korrigo_backup.recovery.actions import Undoable
from korrigo_backup.retention.hold import Hold
from korrigo_backup.retention.policy import Policy, Rule
from korrigo_backup.run.record import Outcome, Record
from korrigo_backup.status.model import ArtifactCopy, Beside, Facts, Goals, TargetCopies
from korrigo_backup.status.published import decode, encode
from property_testing import given, st

NOW = datetime(2026, 2, 4, 3, tzinfo=UTC)

HEAD = ManifestHeader(
    timestamp="20260204_030000",
    format=1,
    kind=Kind.SQL,
    origin=Origin.ROUTINE,
    site="korrigo",
    environment="production",
    created=NOW,
    seconds=1.5,
    database_backup="db",
    media_backup=None,
    rows=7,
    files=None,
    digests=True,
    consistency=None,
)

FACTS = Facts(
    taken=NOW,
    directory="/srv/backups",
    artifacts=(
        Artifact(
            directory=Path("/srv/backups"),
            name="db_backup_20260204_030000.sql.gz",
            kind=Kind.SQL,
            origin=Origin.PRE_DEPLOYMENT,
            stamp="20260204_030000",
            created=NOW,
            size=9,
            source=None,
            problem="a problem",
            authenticity=Authenticity.UNKNOWN_KEY,
            head=HEAD,
        ),
    ),
    strangers=(Stranger("notes.txt", "not ours"),),
    records=(
        Record(id="1", verb="backup", subject="db", site="korrigo", by="root", started=NOW, outcome=Outcome.PARTLY),
    ),
    unreadable=("shut", "open it"),
    journal_unread="Permission denied",
    there=False,
    open_mode=0o755,
    free=1,
    total=2,
    holder="another run",
    stopped=True,
    shared_disk=True,
    next_run=NOW + timedelta(days=1),
    scheduled=True,
    schedule=(warning("schedule.installed", "late", "hurry"),),
    holds=(Hold(name="n", reason="r", holder="h", since=NOW),),
    held_unread=("torn", "mend it"),
    kept=(Beside(("viatique_before_20260204_030000",), NOW),),
    no_database=("down", "start it"),
    site="korrigo",
    environment="production",
    targets=(TargetCopies(name="cloud", copies=(ArtifactCopy(name="db_backup", sent=NOW, read=NOW, bad="cut"),)),),
    canary=(warning("canary.emptied", "no row", "restore it"),),
    undoable=(Undoable(verb="undelete", stamp="S", created=NOW, artifact="dump", asked=("exam:1",)),),
    erasures=2,
    ledger=(warning("erasure.ledger", "cut", "remove the line"),),
)

GOALS = Goals(
    rpo_hours=1, media_rpo_hours=2, proof_days=3, policy=Policy(media=Rule(weekly=4)), accepted=("status.rows",)
)


def test_every_fact_and_goal_arrives():
    assert decode(encode(FACTS, GOALS), "it") == (FACTS, GOALS)


def test_a_document_of_a_version_with_a_count_of_copies_off_the_site_is_read():
    older = encode(FACTS, GOALS).replace(b'"format":1,', b'"format":1,"offsite":3,', 1)
    assert b'"offsite":3' in older
    assert decode(older, "it") == (FACTS, GOALS)


def test_the_example_above_leaves_no_field_at_its_default():
    plain = Facts(taken=NOW, directory="/srv/backups")
    required = {"taken", "directory"}
    assert {name for name in FACTS.__struct_fields__ if getattr(FACTS, name) == getattr(plain, name)} == required
    assert [name for name in GOALS.__struct_fields__ if getattr(GOALS, name) == getattr(Goals(), name)] == []


@given(
    st.binary(max_size=200)
    | st.dictionaries(st.sampled_from(("format", *FACTS.__struct_fields__, *GOALS.__struct_fields__)), st.none()).map(
        msgspec.json.encode
    )
)
def test_decoding_garbage_raises_only_proof_failed(raw):
    with pytest.raises(ProofFailed):
        decode(raw, "it")


def test_another_format_is_refused_with_both_numbers():
    raw = encode(FACTS, GOALS).replace(b'"format":1,"taken"', b'"format":2,"taken"')
    with pytest.raises(ProofFailed, match="has format 2, this version reads 1"):
        decode(raw, "it")
