"""Names on disk and in the server."""

import string
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from korrigo_backup.artifact.kinds import KINDS, Kind, Origin
from korrigo_backup.artifact.naming import (
    POSTGRES_NAME_BYTES,
    Name,
    after_database,
    back_database,
    before_database,
    beside,
    compose,
    free_name,
    free_second,
    is_beside,
    loader_role,
    namesake,
    parse,
    stage_database,
    stamp,
    strange,
)
from korrigo_backup.retention.policy import own_clock
from local_times import stamped
from property_testing import given, st

SHAPES = [(kind, origin) for kind, row in KINDS.items() for origin in row.prefixes]
STAMP = "20260204_030000"
stamps = st.datetimes().map(stamp).filter(lambda text: len(text) == len(STAMP))


@pytest.mark.contract("B1")
@pytest.mark.parametrize(
    ("name", "kind", "origin"),
    [
        ("db_backup_20260204_030000.sql.gz", Kind.SQL, Origin.ROUTINE),
        ("pre_restore_safety_backup_20260204_030000.sql.gz", Kind.SQL, Origin.SAFETY),
        ("media_backup_20260204_030000.tar.gz", Kind.MEDIA, Origin.ROUTINE),
        ("korrigo_backup_20260204_030000", Kind.DJANGO, Origin.ROUTINE),
    ],
)
def test_the_names_of_the_runbook_are_known(name, kind, origin):
    assert parse(name) == Name(kind, origin, STAMP, 1)
    assert compose(kind, origin, STAMP) == name


@given(shape=st.sampled_from(SHAPES), stamped_=stamps, counter=st.integers(1, 9999))
def test_a_composed_name_is_parsed_back(shape, stamped_, counter):
    kind, origin = shape
    assert parse(compose(kind, origin, stamped_, counter)) == Name(kind, origin, stamped_, counter)


@given(st.text(alphabet=string.printable, max_size=60))
def test_other_names_are_not_ours(text):
    found = parse(text)
    assert found is None or compose(found.kind, found.origin, found.stamp, found.counter) == text


@pytest.mark.parametrize(
    "name",
    [
        "db_backup_latest.sql.gz",
        "db_backup_20260204_030000.sql.gz.manifest.json",
        ".partial-db_backup_20260204_030000.sql.gz",
        "db_backup_20260204_030000_1.sql",
        "db_backup_20260204_030000_0.sql.gz",
        "xdb_backup_20260204_030000.sql.gz",
        "db_backup_20260204_030000.sql.gz\n",
        "db_backup_２０２６0204_030000.sql.gz",
        "",
    ],
)
def test_a_file_next_to_a_backup_is_no_backup(name):
    assert parse(name) is None


@pytest.mark.contract("T14")
def test_a_name_that_is_taken_gets_a_counter():
    taken: set[str] = set()
    for _ in range(3):
        taken.add(free_name(Kind.SQL, Origin.ROUTINE, STAMP, taken))
    assert taken == {
        "db_backup_20260204_030000.sql.gz",
        "db_backup_20260204_030000_2.sql.gz",
        "db_backup_20260204_030000_3.sql.gz",
    }


def test_a_stamp_is_the_local_time_it_is_given():
    assert stamp(stamped()) == STAMP


@pytest.mark.promise("P5")
@given(live=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=80))
def test_no_name_of_a_staged_or_previous_database_is_cut_by_the_server(live):
    """The server cuts silently at 63 bytes: the stamp would be lost, and two databases could become one."""
    for make, role in ((stage_database, "stage"), (before_database, "before"), (after_database, "after")):
        name = make(live, STAMP)
        assert len(name.encode()) <= POSTGRES_NAME_BYTES
        assert name.endswith(f"_{role}_{STAMP}")
        assert is_beside(name, live, role)


LONG, ALIKE = "a" * 50 + "1", "a" * 50 + "2"
FORMER = "a" * 40 + f"_before_{STAMP}"
"""What versions before the hash called the kept database of both."""


def test_two_long_names_that_are_cut_alike_are_each_others_namesakes():
    names = [LONG, ALIKE, FORMER, "short"]
    assert namesake(names, LONG) == ALIKE
    assert namesake(names, "short") is None
    assert namesake([LONG, FORMER, "a" * 41 + f"_stage_{STAMP}"], LONG) is None


@pytest.mark.promise("P10")
@given(
    live=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=21, max_size=60),
    ends=st.tuples(st.text("abé😀", max_size=3), st.text("abé😀", max_size=3)).filter(lambda ends: ends[0] != ends[1]),
)
def test_names_that_differ_only_behind_the_cut_have_no_database_and_no_role_in_common(live, ends):
    one, other = (live + end for end in ends)
    for make in (stage_database, back_database, before_database, after_database, loader_role):
        assert make(one, STAMP) != make(other, STAMP)
        assert len(make(one, STAMP).encode()) <= POSTGRES_NAME_BYTES


def test_names_that_differ_in_case_alone_are_two():
    assert stage_database("Shop" * 15, STAMP) != stage_database("shop" * 15, STAMP)
    assert not is_beside(before_database("Shop", STAMP), "shop", "before")


def test_a_short_name_is_not_changed():
    assert before_database("viatique", STAMP) == f"viatique_before_{STAMP}"
    assert before_database("v" * 40, STAMP) == f"{'v' * 40}_before_{STAMP}"


def test_a_copy_that_an_earlier_version_has_named_is_found():
    assert beside([LONG, FORMER], LONG, "before") == {STAMP: FORMER}


@pytest.mark.promise("P10")
def test_a_copy_named_by_an_earlier_version_is_ignored_if_two_names_are_cut_alike():
    assert beside([LONG, ALIKE, FORMER], LONG, "before") == {}


def test_of_two_copies_of_one_stamp_the_one_with_the_full_name_counts():
    made = before_database(LONG, STAMP)
    assert beside([LONG, FORMER, made], LONG, "before") == {STAMP: made}


def test_another_sites_databases_are_not_ours():
    assert not is_beside("viatique_test_stage_20260204_030000", "viatique", "stage")
    assert not is_beside("viatique_stage_20260204_030000", "viatique", "before")
    assert not is_beside("viatique_stage_20260204_030000x", "viatique", "stage")
    assert not is_beside("viatique_stage_", "viatique", "stage")
    assert not is_beside("viatique", "viatique", "stage")


def test_a_manifest_is_foreign_only_without_its_backup():
    made = "db_backup_20260204_030000.sql.gz"
    known = {made, f"{made}.manifest.json", "recovery_kit_20260204_030000.tar.age", ".journal.jsonl"}
    assert [name for name in known - {made} if strange(name, known)] == []
    assert strange(f"{made}.manifest.json", set()) == "its backup is not here"
    assert strange("recovery_kit_of_mine.tar.age", known) == "not a backup's name"


@pytest.mark.contract("T14")
@pytest.mark.parametrize("zone", ["Europe/Paris", "America/Sao_Paulo", "Australia/Lord_Howe", "UTC"])
@given(at=st.datetimes(datetime(2023, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC)), hours=st.integers(1, 48))
def test_the_hour_that_a_zone_repeats_or_leaves_out_costs_no_backup_its_name_or_its_place(zone, at, hours):
    """Two backups, some hours apart, in any zone and year: two names, both read back, in the order of their manifests."""
    moments = [at, at + timedelta(hours=hours)]
    taken: list[str] = []
    for moment in moments:
        taken.append(free_name(Kind.SQL, Origin.ROUTINE, stamp(moment.astimezone(ZoneInfo(zone))), taken))
    assert len(set(taken)) == 2
    for name, moment in zip(taken, moments, strict=True):
        parsed = parse(name)
        assert parsed
        assert own_clock(parsed.stamp) == moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None, microsecond=0)


def test_a_free_second_is_the_first_whose_stamp_no_previous_copy_has():
    now = datetime(2026, 2, 4, 3, 0, 0, tzinfo=UTC)
    names = {"db_before_20260204_030000", ".after-20260204_030001"}
    assert free_second(now, set()) == now
    assert free_second(now, names) == now + timedelta(seconds=2)
