"""Which columns name media files: decided from samples and the files that are there."""

import pytest

from korrigo_backup.errors import UsageError
from korrigo_backup.postgres.references import parse_column, written_column
from korrigo_backup.setup.path_candidates import is_alike, propose, relative

FILES = {"a/1.png", "a/2.png", "top.png"}


@pytest.mark.parametrize("value", ["a/1.png", "/media/a/1.png", "scan 1.pdf", "a/b", "no/ending"])
def test_a_path_has_a_directory_or_an_ending(value):
    assert is_alike(value)


@pytest.mark.parametrize("value", ["", "a", "word", "https://x.org/a.png", "//cdn/a.png", "a/b/", "one\ntwo.png", " a.png",
                                   "and/or what", "data:image/png;base64,AAAA", "x" * 1025 + ".png"])  # fmt: skip
def test_other_text_is_none(value):
    assert not is_alike(value)


def test_a_value_is_taken_relative_to_the_roots_as_the_database_takes_it():
    roots = ("media", "/srv/app/media")
    assert [relative(value, roots) for value in ("/media/a", "//media//a", "/srv/app/media/a", "a//b", "/other/a")] == [
        "a", "a", "a", "a/b", "/other/a",
    ]  # fmt: skip


def entries(*samples):
    return [one.entry for one in propose("t.c", samples, ("media",), FILES)]


@pytest.mark.parametrize(
    ("samples", "found"),
    [
        (["a/1.png", "a/2.png"], ["t.c"]),
        (["a/1.png", "lost/1.png"], ["t.c"]),
        (["a/1.png", "lost/1.png", "lost/2.png"], []),
        (["a/1.png", "a sentence", "another"], []),
        (["top.png"], []),  # one bare name may be chance
        ([["a/1.png", "a/2.png"], []], ["t.c"]),
        ([{"p": [{"i": "a/1.png", "t": "x"}]}], ["t.c:$.p[*].i"]),
        ([{"odd key": "a/1.png", "t": "x"}], ['t.c:$."odd key"']),
        ([{"l": "a/1.png", "r": "/media/a/2.png", "t": "x"}], ["t.c:$.l", "t.c:$.r"]),
        ([{f"k{n}": "a/1.png" for n in range(9)} | {"t": {"x": "y"}}], ["t.c:$.*"]),
        ([None, 1, True, {}], []),
    ],
)
def test_a_column_or_the_ways_into_it_are_proposed(samples, found):
    assert entries(*samples) == found


@pytest.mark.parametrize(
    "names", [("t", "c", None), ("t", "c", "s"), ('a "b"', "c.d", "Odd:Schema"), (" t", "c ", None)]
)
def test_a_column_is_read_as_it_was_written(names):
    column = parse_column(written_column(*names))
    assert (column.table, column.column, column.schema) == names
    assert parse_column(written_column(*names) + ':$.a[*]."b:c"').path == '$.a[*]."b:c"'


@pytest.mark.parametrize("text", ["", "t", "t.", ".c", "a.b.c.d", '"t.c', "t.c.", 't.""'])
def test_a_name_that_is_no_column_is_refused(text):
    with pytest.raises(UsageError):
        parse_column(text)
