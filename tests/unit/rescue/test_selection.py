"""Files chosen by path, directory or pattern."""

from korrigo_backup.rescue.media_files.saved import near_paths
from korrigo_backup.rescue.media_files.selection import SavedFile, Selection


def saved(backup, *paths):
    return [SavedFile(path, "0" * 64, 1, 1, backup) for path in paths]


def chosen(asked, *backups):
    selection = Selection(asked)
    for name, paths in backups:
        selection.add(saved(name, *paths))
    return [(one.path, one.artifact) for one in selection.files]


NEWEST = ("new", ["a.pdf", "scans/1.pdf", "scans/deep/2.pdf", "scans-old/3.pdf"])
OLDER = ("old", ["a.pdf", "scans/1.pdf", "scans/9.pdf", "x[1].pdf"])


def test_a_path_is_that_file_from_the_newest_backup_that_has_it():
    assert chosen(["a.pdf"], NEWEST, OLDER) == [("a.pdf", "new")]
    assert chosen(["scans/9.pdf"], NEWEST, OLDER) == [("scans/9.pdf", "old")]


def test_a_directory_is_all_below_it_and_no_neighbour():
    found = chosen(["scans"], NEWEST, OLDER)
    assert found == [("scans/1.pdf", "new"), ("scans/9.pdf", "old"), ("scans/deep/2.pdf", "new")]


def test_a_star_stands_for_slashes_too():
    assert [path for path, _ in chosen(["scans*.pdf"], NEWEST)] == [
        "scans-old/3.pdf",
        "scans/1.pdf",
        "scans/deep/2.pdf",
    ]
    assert len(chosen(["*"], NEWEST, OLDER)) == 6


def test_a_name_with_brackets_is_found_as_it_is():
    assert chosen(["x[1].pdf"], OLDER) == [("x[1].pdf", "old")]


def test_a_file_is_chosen_once_and_the_rest_is_missing():
    selection = Selection(["a.pdf", "*.pdf", "nothing", "no/*"])
    selection.add(saved("new", "a.pdf"))
    assert [one.path for one in selection.files] == ["a.pdf"]
    assert selection.missing == ["nothing", "no/*"]
    assert not selection.is_complete


def test_only_a_typed_path_is_named():
    selection = Selection(["a.pdf", "scans"])
    selection.add(saved(*NEWEST[:1], *NEWEST[1]))
    assert [path for path in ("a.pdf", "scans/1.pdf", "scans") if selection.is_named(path)] == ["a.pdf"]


def test_files_found_by_their_path_need_no_older_backup():
    selection = Selection(["a.pdf"])
    selection.add(saved("new", "a.pdf"))
    assert selection.is_complete


def test_near_paths_are_near():
    paths = ["scans/scan1.pdf", "scans/other.pdf", "old/scan2.pdf", "nothing.txt"]
    assert near_paths("scans/scan2.pdf", iter(paths)) == ["old/scan2.pdf", "scans/scan1.pdf"]
    assert near_paths("scans/zzz", iter(paths)) == []


def test_nothing_is_added_below_or_in_the_place_of_what_a_newer_backup_has():
    link = ("new", ["up/docs", "up/x.pdf"])
    directory = ("old", ["up/docs/f.pdf", "up/x.pdf/1", "up/y.pdf"])
    for asked in (["up"], ["up/*"]):
        assert [path for path, _ in chosen(asked, link, directory)] == ["up/docs", "up/x.pdf", "up/y.pdf"]
        assert [path for path, _ in chosen(asked, directory, link)] == ["up/docs/f.pdf", "up/x.pdf/1", "up/y.pdf"]


def test_a_file_and_one_below_its_path_that_were_typed_clash():
    selection = Selection(["up/docs", "up/docs/f.pdf"])
    selection.add(saved("new", "up/docs"))
    selection.add(saved("old", "up/docs/f.pdf"))
    assert [one.path for one in selection.clash or ()] == ["up/docs", "up/docs/f.pdf"]
