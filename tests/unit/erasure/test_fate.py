"""What becomes of a row that refers to an erased row."""

import pytest

from korrigo_backup.erasure.references import Fate, fate


@pytest.mark.parametrize(
    ("rule", "action", "can_be_empty", "expected"),
    [
        ("CASCADE", "a", True, Fate.ERASED),
        ("CASCADE", "n", True, Fate.ERASED),
        ("SET_NULL", "a", True, Fate.EMPTIED),
        ("SET_DEFAULT", "a", False, Fate.ERASED),
        ("SET", "", True, Fate.EMPTIED),
        ("PROTECT", "a", True, Fate.FORBIDDEN),
        ("RESTRICT", "", True, Fate.FORBIDDEN),
        ("DO_NOTHING", "", True, Fate.LEFT),
        ("DO_NOTHING", "a", True, Fate.EMPTIED),
        ("DO_NOTHING", "a", False, Fate.ERASED),
        ("DO_NOTHING", "c", True, Fate.ERASED),
        ("DO_NOTHING", "n", True, Fate.SERVER),
        ("", "a", True, Fate.EMPTIED),
        ("", "a", False, Fate.ERASED),
        ("", "n", True, Fate.SERVER),
        ("", "d", True, Fate.SERVER),
        ("", "r", True, Fate.FORBIDDEN),
        ("", "c", True, Fate.ERASED),
        ("", "", True, Fate.EMPTIED),
        ("a rule of a later version", "a", True, Fate.EMPTIED),
    ],
)
def test_the_rule_of_the_code_decides_then_the_foreign_key(rule, action, can_be_empty, expected):
    assert fate(rule, action, can_be_empty=can_be_empty) is expected
