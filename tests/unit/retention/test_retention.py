"""What the rules keep and remove, each with its reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs

from korrigo_backup.artifact.artifact import Artifact
from korrigo_backup.artifact.kinds import Kind, Origin
from korrigo_backup.artifact.manifest import Manifest
from korrigo_backup.artifact.naming import compose, stamp
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.retention.clock import doubt
from korrigo_backup.retention.hold import Hold, standing
from korrigo_backup.retention.policy import Moment, Policy, RetentionFacts, Rule, by_age, decide, thinned, too_many
from korrigo_backup.retention.previous_copies import Kept
from korrigo_backup.retention.previous_copies import decide as decide_kept
from local_times import stamped
from property_testing import given, st

NOW = stamped(2026, 2, 4)
SITE = "korrigo"


def artifact(days=0.0, kind=Kind.SQL, *, origin=Origin.ROUTINE, made=None, **fields):
    created = made or NOW - timedelta(days=days)
    text = stamp(created)
    manifest = Manifest(
        timestamp=text,
        includes_media=False,
        database_backup=fields.pop("database", None),
        media_backup=fields.pop("media", None),
        backup_dir="",
        format=fields.pop("format", 1),
        site=fields.pop("site", SITE),
        origin=fields.pop("saved_origin", origin),
        environment=fields.pop("environment", None),
    )
    authenticity = fields.pop("authenticity", Authenticity.AUTHENTIC)
    manifest = fields.pop("manifest", manifest)
    assert not fields
    return Artifact(
        directory=Path(),
        name=compose(kind, origin, text),
        kind=kind,
        origin=origin,
        stamp=text,
        created=created,
        size=1,
        source=manifest,
        authenticity=authenticity,
    )


def point(days):
    """A restore point and the two backups that it is made of."""
    database, media = artifact(days), artifact(days, Kind.MEDIA)
    return [artifact(days, Kind.POINT, database=database.name, media=media.name), database, media]


def decided(artifacts, policy=None, *, now=NOW, **known):
    decisions = decide(artifacts, policy or Policy(), RetentionFacts(now, SITE, **known))
    assert [d.artifact for d in decisions] == artifacts
    assert all(d.reason for d in decisions)
    return decisions


def removed(artifacts, policy=None, **known):
    return [d.artifact for d in decided(artifacts, policy, **known) if d.remove]


def reason(one, others=(), policy=None, **known):
    return next(d.reason for d in decided([one, *others], policy, **known) if d.artifact is one)


def held(one, **more):
    hold = Hold(name=one.name, reason="exam appeal", holder="ops", since=NOW, **more)
    return standing([hold], NOW)


@pytest.mark.contract("K1")
def test_those_older_than_the_days_go_and_the_others_stay():
    old, edge, young, newest = artifact(31), artifact(30), artifact(29), artifact(0)
    assert removed([old, edge, young, newest]) == [old]


@pytest.mark.contract("K1")
def test_the_table_of_the_runbook_is_the_default():
    weeks = [point(days) for days in (0, 7, 8, 14, 31)]
    deployed = artifact(400, origin=Origin.PRE_DEPLOYMENT)
    django = [artifact(days, Kind.DJANGO) for days in (1, 8)]
    media = [artifact(days + 0.5, Kind.MEDIA) for days in (29, 31)]
    gone = removed([*chain.from_iterable(weeks), deployed, *django, *media])
    kinds = {(one.kind, round((NOW - one.created) / timedelta(days=1), 1)) for one in gone}
    assert kinds == {
        *((Kind.POINT, days) for days in (8, 14, 31)),
        *((Kind.MEDIA, days) for days in (8, 14, 31)),
        (Kind.SQL, 31),
        (Kind.DJANGO, 8),
        (Kind.MEDIA, 31.5),
    }


@pytest.mark.contract("T7")
@pytest.mark.promise("P4")
def test_the_newest_verified_one_stays_whatever_its_age():
    assert removed([artifact(400), artifact(300)]) == [artifact(400)]


@pytest.mark.contract("T7")
def test_a_backup_that_does_not_verify_is_not_the_newest_good_backup():
    oldest, older, newest = artifact(500), artifact(400), artifact(300)
    known = {"good": lambda one: one != newest}
    assert removed([oldest, older, newest], **known) == [oldest]
    assert reason(older, [newest, oldest], **known) == "the newest good backup"
    assert removed([oldest, older, newest], good=lambda _: False) == []


def test_decide_reads_thirty_bad_backups_at_most_and_then_keeps_all():
    asked: list[Artifact] = []
    many = [artifact(n) for n in range(100)]
    assert removed(many, good=asked.append) == []
    assert asked == many[:30]


def test_decide_reads_no_backup_if_none_would_be_removed():
    def never(one):
        pytest.fail(f"{one} was read")

    decided([artifact(1), artifact(2)], good=never)


@pytest.mark.parametrize(
    "other",
    [
        artifact(1, manifest=None),
        artifact(1, format=0),
        artifact(1, authenticity=Authenticity.UNSIGNED),
        artifact(1, authenticity=Authenticity.FORGED),
        artifact(1, authenticity=Authenticity.UNKNOWN_KEY),
        artifact(1, site="another"),
        artifact(-5),
    ],
)
def test_a_backup_of_another_site_is_neither_removed_nor_the_newest_good_backup(other):
    good = artifact(300)
    assert removed([good, other]) == []
    old = artifact(
        400,
        site=other.manifest.site if other.manifest else SITE,
        authenticity=other.authenticity,
        format=other.manifest.format if other.manifest else 0,
    )
    if other.created <= NOW:
        assert removed([artifact(0), old]) == []


@pytest.mark.promise("P4")
def test_what_another_environment_of_the_same_name_has_made_is_not_ours():
    production = [artifact(days, environment="production") for days in (31, 40)]
    ours = [artifact(days, environment="staging") for days in (32, 41)]
    assert removed([*production, *ours], environment="staging") == [ours[1]]
    assert reason(production[0], ours, environment="staging") == "of production, not staging"
    assert removed([artifact(50), artifact(0.5)], environment="staging")


@pytest.mark.parametrize("days", [0, 0.5, 1000])
def test_zeros_never_mean_delete_all(days):
    assert removed([artifact(400 + days), artifact(300), artifact(0)], Policy(database=Rule())) == []


@pytest.mark.contract("B14")
def test_one_made_before_a_deployment_stays_for_ever_even_under_another_name():
    own = artifact(4000, origin=Origin.PRE_DEPLOYMENT)
    renamed = artifact(4000, saved_origin=Origin.PRE_DEPLOYMENT)
    assert removed([own, renamed, artifact(0)], Policy(max_age=30)) == []
    words = reason(own, [artifact(0)], Policy(max_age=30))
    assert words == "made before a deployment: for ever (over the maximum age of 30 days)"


def test_a_safety_backup_stays_for_seven_days_whatever_the_rules_say():
    rules = Policy(safety=Rule(days=1), max_age=2)
    young, old = artifact(6.9, origin=Origin.SAFETY), artifact(8, origin=Origin.SAFETY)
    assert removed([young, old], rules) == [old]


def test_a_young_safety_backup_is_one_under_another_name_too():
    copy, policy = artifact(6, saved_origin=Origin.SAFETY), Policy(database=Rule(last=1))
    assert reason(copy, [artifact(0)], policy) == "a safety backup younger than 7 days"


@pytest.mark.contract("K3")
def test_a_hold_wins_over_age_and_maximum_age_until_it_ends():
    one, newest = artifact(400), artifact(0)
    rules = Policy(max_age=100)
    assert removed([one, newest], rules, holds=held(one)) == []
    assert reason(one, [newest], rules, holds=held(one)).startswith("held by ops: exam appeal (over the maximum")
    assert removed([one, newest], rules, holds=held(one, until=NOW + timedelta(seconds=1))) == []
    assert removed([one, newest], rules, holds=held(one, until=NOW)) == [one]


@pytest.mark.contract("K3")
def test_a_hold_on_a_point_keeps_its_parts():
    old, new = point(400), point(0)
    assert removed([*old, *new], holds=held(old[0])) == []
    assert reason(old[1], [old[0], old[2], *new], holds=held(old[0])) == f"part of {old[0].name}"


@pytest.mark.contract("K3")
def test_the_maximum_age_wins_over_the_rules_but_not_over_the_newest_good_one():
    rules = Policy(database=Rule(days=1000), max_age=365)
    old, newest = artifact(400), artifact(380)
    assert removed([old, newest], rules) == [old]
    assert "over the maximum of 365" in reason(old, [newest], rules)


def test_last_and_the_calendar_keep_the_newest_of_each_period():
    days = [artifact(n) for n in range(100)]
    kept = [
        one for one in days if one not in removed(days, Policy(database=Rule(last=2, daily=3, weekly=2, monthly=3)))
    ]
    ages = [(NOW - one.created).days for one in kept]
    assert ages == [0, 1, 2, 3, 4, 35]  # 2026-02-04 a Wednesday: Sunday the 1st, Saturday the 31st, 31 December


def test_a_kept_database_that_may_be_another_sites_stays():
    at = NOW - timedelta(days=400)
    ours = Kept("20250101_000000", "before", at, "viatique_before_20250101_000000", None)
    (decision,) = decide_kept([ours], Policy(), {}, NOW)
    assert decision.remove
    (decision,) = decide_kept([replace(ours, namesake="viatique_2")], Policy(), {}, NOW)
    assert not decision.remove
    assert "may be of viatique_2" in decision.reason


def test_too_many_at_once_must_be_meant():
    assert too_many(decided([artifact(n) for n in (0, 100, 101, 102)])) is None
    assert too_many(decided([artifact(n) for n in (0, 100, 101, 102, 103)])) == (4, 5)
    assert too_many(decided([artifact(n) for n in (*range(10), 100, 101, 102, 103)])) is None


@pytest.mark.contract("K1")
def test_order_is_that_of_the_manifest_not_of_the_name():
    renamed = artifact(300)
    late = structs.replace(artifact(400), name="db_backup_20300101_000000.sql.gz")
    assert removed([late, renamed]) == [late]


ZONE = ZoneInfo("Europe/Paris")
MOMENTS = st.datetimes(datetime(2023, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC))
RULES = st.builds(Rule, *(st.integers(0, 40) for _ in range(6)))


def clocked(moments):
    ordered = sorted(set(moments), reverse=True)
    return [Moment(at, at.astimezone(ZONE).replace(tzinfo=None)) for at in ordered]


@pytest.mark.promise("P4")
@given(st.lists(MOMENTS, min_size=1), RULES, MOMENTS)
def test_each_rule_keeps_at_least_its_number_of_backups_at_any_moment(moments, rule, now):
    clocks = clocked(moments)
    reasons = by_age(clocks, rule, now)
    kept = [one for one, why in zip(clocks, reasons, strict=True) if why]
    if rule.off:
        assert kept == clocks
    assert len(kept) >= min(rule.last, len(clocks))
    assert all(one in kept for one in clocks if rule.days and now - one.at <= timedelta(days=rule.days))
    for count, period in ((rule.daily, "%Y%j"), (rule.weekly, "%G%V"), (rule.monthly, "%Y%m"), (rule.yearly, "%Y")):
        periods = sorted({f"{one.clock:{period}}" for one in clocks}, reverse=True)
        assert set(periods[:count]) <= {f"{one.clock:{period}}" for one in kept}


@pytest.mark.promise("P4")
@given(st.lists(st.tuples(MOMENTS, st.sampled_from(list(Kind))), min_size=1), RULES, MOMENTS, st.integers(0, 400))
def test_the_newest_good_backup_of_every_kind_is_kept(made, rule, now, max_age):
    artifacts = list({one.name: one for moment, kind in made for one in [artifact(kind=kind, made=moment)]}.values())
    gone = removed(artifacts, Policy(rule, rule, rule, rule, rule, max_age), now=now)
    for kind in Kind:
        past = [one for one in artifacts if one.kind is kind and one.created <= now]
        assert not past or max(past, key=lambda one: (one.created, one.name)) not in gone
    assert not [one for one in gone if one.created > now]


@pytest.mark.promise("P4")
@given(st.integers(0, 400), st.integers(1, 60))
def test_a_day_of_23_or_25_hours_keeps_each_daily_backup_in_its_own_day(first, count):
    """One backup a day at 03:00 of the clock, through every change of the zone: each is of a day of its own."""
    start = datetime(2024, 1, 1, 3)  # 2024 has a 29 February
    clocks = [start + timedelta(days=first + n) for n in range(count)]
    moments = [Moment(one.replace(tzinfo=ZONE).astimezone(UTC), one) for one in reversed(clocks)]
    assert all(by_age(moments, Rule(daily=count), moments[0].at))


def days(*numbers):
    return [NOW - timedelta(days=n) for n in numbers]


def test_a_clock_that_went_back_or_jumped_is_not_believed():
    regular = days(*range(1, 50))
    assert doubt(regular, NOW) is None
    assert "the clock is at" in (doubt(regular, NOW - timedelta(days=365)) or "")
    assert "jumped" in (doubt(regular, NOW + timedelta(days=365)) or "")
    assert doubt([], NOW) is None


def test_a_silence_stays_doubtful_until_confirmed_or_long_past():
    after_a_jump = [NOW + timedelta(days=365 + n) for n in range(40)]
    early, late = after_a_jump[5], after_a_jump[35]
    known = days(*range(50))
    assert "jumped" in (doubt([*known, *after_a_jump[:5]], early) or "")
    assert doubt([*known, *after_a_jump[:5]], early, confirmed=after_a_jump[0]) is None
    assert "jumped" in (doubt([*known, *after_a_jump[:5]], early, confirmed=NOW) or "")
    assert doubt([*known, *after_a_jump[:35]], late) is None


def test_a_backup_dated_in_the_future_stays_whatever_the_rule_says():
    """Its clock was wrong: its age is not known, so no rule decides on it."""
    ahead = artifact(-400)
    policy = Policy(database=Rule(last=1), max_age=1)
    (found,) = [
        one
        for one in decide([ahead, artifact(0), artifact(90)], policy, RetentionFacts(NOW, "korrigo"))
        if one.artifact == ahead
    ]
    assert not found.remove
    assert found.reason == "its time is in the future"


def test_a_backup_dated_in_the_future_takes_no_place_of_those_that_are_kept():
    ahead, today = artifact(-400), artifact(0)
    kept = decide([ahead, today, artifact(90)], Policy(database=Rule(last=1)), RetentionFacts(NOW, "korrigo"))
    assert [one.artifact for one in kept if not one.remove] == [ahead, today]


def test_a_backup_of_this_very_moment_is_not_of_the_future():
    (found,) = decide([artifact(0)], Policy(database=Rule(days=1)), RetentionFacts(NOW, "korrigo"))
    assert found.reason == "0 days old, kept for 1"


def test_a_backup_of_another_site_of_this_name_is_not_ours_to_remove():
    theirs = structs.replace(artifact(400), ours=False)
    found = decide([artifact(0), artifact(1), theirs], Policy(), RetentionFacts(NOW, "korrigo"))
    assert not found[2].remove
    assert "another site of this name" in found[2].reason


def test_points_through_the_day_are_thinned_to_one_an_hour_and_one_a_day():
    now = NOW.replace(hour=12, minute=7)
    made = [now - timedelta(minutes=15 * number) for number in range(4 * 24 * 40)]
    kept = by_age([Moment(one, one.replace(tzinfo=None)) for one in made], thinned(30), now)
    ages = [now - one for one, why in zip(made, kept, strict=True) if why]
    assert sum(age <= timedelta(hours=24) for age in ages) == 97
    assert sum(timedelta(hours=24) < age <= timedelta(hours=71) for age in ages) == 47
    assert max(ages) // timedelta(days=1) == 28
    assert len({(now - age).date() for age in ages}) == 30
