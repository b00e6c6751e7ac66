"""A date, a stamp and the beginning of a name mean artifacts."""

import pytest

from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.artifact.meaning import matching_names, only_match
from korrigo_backup.errors import UsageError

DUMP = "db_backup_20260504_140500.sql.gz"
MEDIA = "media_backup_20260504_140500.tar.gz"
POINT = "restore_point_20260504_140500.json"
LATER = "db_backup_20260504_180000.sql.gz"
NEXT = "db_backup_20260505_030000.sql.gz"
SAFETY = "pre_restore_safety_backup_20260505_101500.sql.gz"
DJANGO = "korrigo_backup_20260503_020000_2"
NAMES = [NEXT, LATER, POINT, MEDIA, DUMP, SAFETY, DJANGO, "notes.txt"]


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("2026-05-05", [NEXT]),  # not the safety backup
        ("2026-05-04", [POINT]),  # it brings back the two others
        ("2026-05-04 14:05", [POINT]),
        ("2026-05-04T14:05:00", [POINT]),
        ("2026-05-04 18", [LATER]),
        ("20260504_18", [LATER]),
        ("20260505", [NEXT]),
        ("2026-05-06", []),
        ("db_backup_20260505", [NEXT]),
        ("db_backup_20260504", [DUMP, LATER]),
        ("pre_restore", [SAFETY]),
        ("rest", [POINT]),
        ("korrigo_backup_2026", [DJANGO]),
        ("korrigo_backup_20260503_020000", []),  # the first of that second is gone: the second is another backup
        (DUMP, [DUMP]),
        ("db", []),  # too short
        ("", []),
        ("notes", []),
    ],
)
def test_what_a_text_means(named, meant):
    assert matching_names(named, NAMES) == meant


def test_with_a_kind_only_its_artifacts_are_meant():
    assert matching_names("2026-05-04", NAMES, Kind.MEDIA) == [MEDIA]
    assert matching_names("2026-05-04", NAMES, Kind.SQL) == [DUMP, LATER]


def test_several_are_named_as_candidates():
    with pytest.raises(UsageError, match=f"means 2 backups: {DUMP}, {LATER}"):
        only_match("db_backup_20260504", matching_names("db_backup_20260504", NAMES))
    assert only_match("2026-05-05", [NEXT]) == NEXT
    assert only_match("2026-05-06", []) is None
