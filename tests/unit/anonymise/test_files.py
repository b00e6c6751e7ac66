"""Files of an anonymised copy: replaced as new files, and found again under other names."""

import os

import pytest

from korrigo_backup.anonymise.files import CopyFiles, NamedFile
from korrigo_backup.anonymise.rules import FileAct


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "copies").mkdir(parents=True)
    (root / "copies" / "anna.pdf").write_bytes(b"%PDF anna")
    (root / "thumb.png").write_bytes(b"thumb")
    return root


def named(path, act, new=None):
    return NamedFile(path, new or path, act, "copy.pdf")


def test_a_linked_file_keeps_its_bytes_elsewhere(tree, tmp_path):
    os.link(tree / "copies" / "anna.pdf", tmp_path / "stored")
    files = CopyFiles(tree)
    files.change([named("copies/anna.pdf", FileAct.RENAME, "anonymised/1.pdf")])
    files.change_others(FileAct.KEEP)
    assert (tmp_path / "stored").read_bytes() == b"%PDF anna"
    assert (tree / "anonymised" / "1.pdf").read_bytes().startswith(b"%PDF-1.4")
    assert not (tree / "copies").exists()
    assert (files.replaced, files.kept, files.survivors()) == (1, 1, [])


def test_the_bytes_of_a_replaced_file_under_another_name_survive(tree):
    (tree / "export.bin").write_bytes(b"%PDF anna")
    files = CopyFiles(tree)
    files.change([named("copies/anna.pdf", FileAct.PLACEHOLDER)])
    files.change_others(FileAct.KEEP)
    assert [one.of for one in files.survivors()] == ["copy.pdf"]
    files.change_others(FileAct.REMOVE)
    assert files.survivors() == []


@pytest.mark.parametrize("path", ["../outside", "/etc/hostname", "out/inside", "", "copies", "none.pdf"])
def test_a_path_that_leads_out_or_names_no_file_changes_nothing(tree, tmp_path, path):
    (tmp_path / "outside").write_bytes(b"stays")
    (tmp_path / "inside").write_bytes(b"stays")
    (tree / "out").symlink_to(tmp_path)
    files = CopyFiles(tree)
    files.change([named(path, FileAct.REMOVE)])
    assert (files.absent, files.removed) == (1, 0)
    files.change_others(FileAct.KEEP)
    assert not (tree / "out").is_symlink()
    assert {(tmp_path / name).read_bytes() for name in ("outside", "inside")} == {b"stays"}
