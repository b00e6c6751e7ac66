"""Names of differences that `restore --accept` takes."""

import re

import pytest

from korrigo_backup.errors import UsageError
from korrigo_backup.postgres.difference import KINDS, Acceptance, require_possible
from korrigo_backup.postgres.schema import _OBJECTS
from korrigo_backup.postgres.schema_details import DETAILS


def test_every_kind_of_the_fingerprint_can_be_accepted():
    assert set(re.findall(r"^  (?:UNION ALL )?SELECT '([a-z ]+)',", _OBJECTS + DETAILS, re.MULTILINE)) <= KINDS
    assert {"table", "event trigger", "schema"} <= KINDS


@pytest.mark.parametrize("one", ["table:public.mark", "event-trigger:x", "media.links", "comment:index public.a"])
def test_a_name_that_a_difference_can_have_is_taken(one):
    require_possible({one})


@pytest.mark.parametrize(
    ("one", "hint"),
    [
        ("tabel:public.mark", "did you mean table:public.mark?"),
        ("media.link", "did you mean media.links?"),
        ("table:", "KIND:NAME"),
        ("everything", "KIND:NAME"),
    ],
)
def test_a_name_that_no_difference_can_have_is_a_usage_error(one, hint):
    with pytest.raises(UsageError, match="no difference has such a name") as refused:
        require_possible({"table:public.mark", one})
    assert hint in refused.value.hint


def test_a_name_that_was_not_met_is_not_needed():
    accept = Acceptance(frozenset({"table:a.b", "media.links"}))
    assert accept.takes("media.links")
    assert not accept.takes("table:a.c")
    assert accept.not_needed() == ["table:a.b"]
