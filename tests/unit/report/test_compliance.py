"""The questions of auditors: no answer without its evidence."""

from datetime import timedelta
from typing import Any

import pytest

from korrigo_backup.report.collect import contents
from korrigo_backup.report.compliance import AuditAnswer, AuditEvidence, answers, compliance_page
from korrigo_backup.report.evaluate import drills, period
from korrigo_backup.report.html import html
from korrigo_backup.report.markdown import markdown
from korrigo_backup.report.model import RecoveryTargets
from korrigo_backup.run.record import Outcome
from korrigo_backup.status.evaluate import evaluate
from korrigo_backup.status.model import ArtifactCopy, Goals, TargetCopies
from standings import NOW, backup, facts, ran

DAY = 86400


def evidence(*artifacts, records=(), stated=False, sealed=(), days=30, **more):
    known = evaluate(facts(*artifacts, records=tuple(records), **more), Goals(), now=NOW)
    tests = drills(records, contents(artifacts))
    found = period(records, tests, NOW - timedelta(days=days), NOW)
    return AuditEvidence(
        status=known,
        period=found,
        drills=tests,
        targets=RecoveryTargets(rpo=DAY, rto=DAY / 6),
        stated=stated,
        sealed=sealed,
    )


def answer(given, point, *, lang="en"):
    return [one.answer for one in answers(given, lang) if one.source.endswith(f" — {point}")]


def nightly(*, count=30, drilled=(), failed=()):
    made = [backup(24 * days + 3) for days in range(count)]
    records = [ran(24 * days + 3) for days in reversed(range(count))]
    tests: list[tuple[int, dict[str, Any]]] = [(days, {"seconds": 600.0}) for days in drilled]
    tests += [(days, {"outcome": Outcome.FAILED, "exit_code": 9}) for days in failed]
    records += [
        ran(24 * days + 2, verb="verify", subject=made[days].name, why={"depth": "full"}, **more)
        for days, more in tests
    ]
    return made, sorted(records, key=lambda one: one.started)


def test_a_site_without_backups_meets_nothing_that_data_can_show():
    found = answers(evidence(), "en")
    assert [one.source for one in found if one.answer is AuditAnswer.MET and "4.2.2 (f)" not in one.source] == []
    assert answer(evidence(), "13.2") == [AuditAnswer.NOT_MET]
    assert answer(evidence(), "17.1") == [AuditAnswer.NOT_MET]


def test_nightly_backups_and_a_drill_each_month_meet_the_tests():
    made, records = nightly(drilled=(1, 20))
    given = evidence(*made, records=records)
    assert answer(given, "17.1") == [AuditAnswer.MET]
    assert answer(given, "13.2") == [AuditAnswer.MET]
    assert set(answer(given, "4.2.3")) == {AuditAnswer.MET, AuditAnswer.NOT_KNOWN}
    assert answer(given, "4.2.2 (b)") == [AuditAnswer.MET]
    assert answer(given, "17.3") == [AuditAnswer.MET]


def test_a_failed_drill_that_was_not_repeated_is_not_met():
    made, records = nightly(drilled=(20,), failed=(1,))
    assert answer(evidence(*made, records=records), "4.2.2 (b)") == [AuditAnswer.NOT_MET]
    made, records = nightly(drilled=(1,), failed=(20,))
    assert answer(evidence(*made, records=records), "4.2.2 (b)") == [AuditAnswer.MET]


def test_a_year_without_a_test_is_not_met():
    made = backup(400 * 24)
    old = ran(390 * 24, verb="verify", subject=made.name, why={"depth": "full"})
    assert answer(evidence(made, records=[old], days=395), "13.2") == [AuditAnswer.NOT_MET]


@pytest.mark.parametrize(("off_site", "expected"), [(True, AuditAnswer.MET), (False, AuditAnswer.NOT_MET)])
def test_only_a_copy_off_site_is_far_enough(off_site, expected):
    made, records = nightly(count=3)
    copies = TargetCopies(name="s3", off_site=off_site, copies=(ArtifactCopy(name=made[0].name, sent=NOW),))
    assert answer(evidence(*made, records=records, targets=(copies,)), "4.2.2 (c)") == [expected]


def test_a_copy_is_immutable_only_if_its_retention_was_read_back():
    made, records = nightly(count=3)
    plain = ArtifactCopy(name=made[0].name, sent=NOW)
    locked = ArtifactCopy(name=made[0].name, sent=NOW, locked_until=NOW + timedelta(days=9), lock_read=NOW)
    for copy, expected in ((plain, AuditAnswer.NOT_KNOWN), (locked, AuditAnswer.MET)):
        given = evidence(*made, records=records, targets=(TargetCopies(name="s3", copies=(copy,)),))
        assert answer(given, "13.3") == [expected]
    assert answer(evidence(*made, records=records), "13.3") == [AuditAnswer.NOT_MET]


def test_targets_count_as_set_only_if_the_site_set_them():
    assert answer(evidence(stated=True), "13.4") == [AuditAnswer.MET]
    assert answer(evidence(), "13.4") == [AuditAnswer.NOT_KNOWN]


def test_copies_that_are_not_sealed_or_an_open_directory_are_not_protected():
    made, copies = backup(3), (TargetCopies(name="s3"),)
    assert answer(evidence(made, targets=copies), "17.2") == [AuditAnswer.NOT_MET]
    assert answer(evidence(made, targets=copies, sealed=("s3",)), "17.2") == [AuditAnswer.MET]
    assert answer(evidence(made, open_mode=0o755), "17.2") == [AuditAnswer.NOT_MET]


@pytest.mark.parametrize("point", ["4.2.4", "13.6"])
def test_questions_about_people_are_left_to_people(point):
    made, records = nightly(drilled=(1,))
    assert answer(evidence(*made, records=records), point) == [AuditAnswer.NOT_KNOWN]


def test_both_languages_have_the_same_answers_in_other_words():
    made, records = nightly(drilled=(1,))
    given = evidence(*made, records=records)
    english, french = answers(given, "en"), answers(given, "fr")
    assert [one.answer for one in english] == [one.answer for one in french]
    assert not {one.question for one in english} & {one.question for one in french}


def test_foreign_text_is_neither_markup_nor_another_line():
    made, records = nightly(count=2)
    given = evidence(*made, records=records)
    page = compliance_page(given, site="<b>a|b\n# x", environment="<script>", lang="en")
    assert "<script>" not in html(page)
    assert "<b>a" not in html(page)
    assert "\n# x" not in markdown(page)
