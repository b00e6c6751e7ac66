"""Secrets are shown nowhere."""

import pytest

from korrigo_backup.core.secret import STARS, Secret, redact
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
