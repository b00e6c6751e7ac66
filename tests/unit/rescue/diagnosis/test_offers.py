"""The ways back from a loss, that which loses least first."""

from datetime import UTC, datetime

from korrigo_backup.compare.differences import Counted, FileChange, RowChange
from korrigo_backup.rescue.diagnosis.moments import MomentKind, TableMoment
from korrigo_backup.rescue.diagnosis.offers import RescueFacts, offers
from korrigo_backup.rescue.diagnosis.states import FileState, TableState

MOMENT = datetime(2026, 5, 3, 3, tzinfo=UTC)
ALL = frozenset({"undelete", "revert", "restore --table", "restore --file"})


def state(table="public.exam", *, kind=MomentKind.FEWER, rows_before=20, **change):
    moment = TableMoment(
        table=table, kind=kind, after=MOMENT, former="dump", at=MOMENT, source="live", rows_before=rows_before, rows=1
    )
    made = None if kind is MomentKind.GONE else RowChange(key=("id",), **change)
    return TableState(table=table, reference="dump", moment=moment, change=made)


def commands(*states, files=None, known=ALL, point="point"):
    return [one.command for one in offers(RescueFacts(states, files, point, "2026-05-03 03:00"), known)]


def test_few_missing_rows_are_named_one_by_one():
    assert commands(state(removed=2, removed_keys=("id=7", "id=8"))) == [
        "korrigo-backup undelete public.exam:7 public.exam:8 --from dump",
        "korrigo-backup restore point",
    ]


def test_many_missing_rows_are_those_of_the_table():
    assert commands(state('public."My Table"', removed=200, removed_keys=("id=7",)))[0] == (
        "korrigo-backup undelete --table 'public.\"My Table\"' --from dump"
    )


def test_what_loses_least_comes_first():
    files = FileState(reference="media", change=FileChange(removed=Counted(1, ("a b.pdf",)), added=Counted(2)))
    assert commands(state(changed=15), state("public.copy", removed=9, changed=1), files=files) == [
        "korrigo-backup undelete --table public.copy --from dump",
        "korrigo-backup revert --table public.exam --from dump",
        "korrigo-backup restore --table public.copy dump",
        "korrigo-backup restore --file 'a b.pdf' media",
        "korrigo-backup restore point",
    ]


def test_changed_files_are_offered_with_their_loss():
    files = FileState(reference="media", change=FileChange(changed=Counted(1, ("a b.pdf",))))
    made = offers(RescueFacts((), files, "point", "then"), ALL)
    assert [one.command for one in made] == [
        "korrigo-backup restore --file 'a b.pdf' --overwrite media",
        "korrigo-backup restore point",
    ]
    assert "the content that" in made[0].loses


def test_only_commands_of_this_version_are_offered():
    files = FileState(reference="media", change=FileChange(removed=Counted(1, ("a.pdf",)), added=Counted(2)))
    made = offers(RescueFacts((state(removed=1, changed=5),), files, "point", "then"), frozenset())
    assert [one.command for one in made] == ["korrigo-backup restore media", "korrigo-backup restore point"]
    assert made[0].loses == "2 newer files, kept for a rollback"


def test_for_a_table_that_is_gone_the_point_alone_is_offered():
    assert commands(state("public.gone", kind=MomentKind.GONE)) == ["korrigo-backup restore point"]


def test_without_a_loss_nothing_is_offered():
    assert commands() == []


def test_a_change_of_most_rows_is_marked():
    assert state(changed=15).is_changed_as_a_whole
    assert not state(changed=5).is_changed_as_a_whole
    assert not state(rows_before=1, changed=1).is_changed_as_a_whole
