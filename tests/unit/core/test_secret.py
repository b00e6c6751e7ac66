"""Secrets are shown nowhere."""

import pytest

from korrigo_backup.core.secret import STARS, Secret, redact, redact_message
from property_testing import given, st

pytestmark = [pytest.mark.contract("C5"), pytest.mark.promise("P7")]


def test_a_secret_prints_as_stars_in_every_form():
    secret = Secret("hunter22")
    assert {str(secret), repr(secret), f"{secret}", "%s" % secret, f"{[secret]}"} == {STARS, f"[{STARS}]"}  # noqa: UP031
    assert not hasattr(secret, "__dict__")


def test_reveal_returns_the_secret():
    assert Secret("hunter22").reveal() == "hunter22"
    assert Secret("a") == Secret("a")
    assert Secret("a") != "a"


@given(st.text(), st.text(min_size=3), st.text())
def test_redacted_text_holds_no_secret(head, secret, tail):
    if secret not in STARS + head + STARS + tail:
        assert secret not in redact(head + secret + tail, [Secret(secret)])


def test_a_very_short_secret_does_not_spoil_every_message():
    assert redact("a bad day", [Secret("a")]) == "a bad day"


def test_redact_masks_the_whole_of_a_secret_that_begins_with_another_secret():
    assert redact("pa55word-of-2026", [Secret("pa55word"), Secret("pa55word-of-2026")]) == "***"


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("the site serves; no site.", "the site serves; no site."),
        ("site", "site"),
        ("PGPASSWORD=site", "PGPASSWORD=***"),
        ('password "site" is wrong', 'password "***" is wrong'),
        ("postgres://user:site@db/shop", "postgres://user:***@db/shop"),
        ("sites, mysite", "***s, my***"),
    ],
)
def test_a_secret_that_is_an_ordinary_word_is_masked_where_it_may_be_a_value(text, redacted):
    assert redact_message(text, [Secret("site")]) == redacted


def test_another_secret_is_masked_in_a_message_wherever_it_stands():
    assert redact_message("the hunter22 of site", [Secret("site"), Secret("hunter22")]) == "the *** of site"
    assert redact("the site", [Secret("site")]) == "the ***"


@pytest.mark.parametrize("secret", ["kor", "korrigo", "korrigo-backup"])
def test_a_secret_in_the_name_of_the_program_stays_in_that_name_alone(secret):
    shown = redact_message(f"korrigo-backup list; PGPASSWORD={secret} hunter22", [Secret(secret), Secret("hunter22")])
    assert shown == "korrigo-backup list; PGPASSWORD=*** ***"
