"""A swap of the media that stops anywhere can be taken back, also when the taking back stops, too."""

import os
from pathlib import Path

import pytest

from korrigo_backup.media.staging import GivenProperties
from korrigo_backup.media.tree import REDO, RESTORE, ROLLBACK, MediaTree

STAMP = "20260204_030000"
OLD = {"a.pdf": b"old a", "scans/1.jpg": b"old 1", "zz": b"old z"}
NEW = {"a.pdf": b"new a", "new.pdf": b"new", "scans/2.jpg": b"new 2"}


class PowerCut(Exception):
    """The machine is gone."""


def content(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.relative_to(root).parts[0].startswith(".")
    }


def fill(root, files):
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


@pytest.fixture
def tree(tmp_path):
    """A tree with OLD live and NEW staged and proven."""
    found = MediaTree(tmp_path / "media")
    found.root.mkdir()
    fill(found.root, OLD)
    staging = found.stage(STAMP)
    for name, data in NEW.items():
        with staging.create(name) as file:
            file.write(data)
            staging.settle(file, GivenProperties(0o644, 0))
    staging.finish()
    return found


@pytest.fixture
def cut(monkeypatch):
    """Return a function that lets the power go at the n-th rename, mkdir or rmdir from now."""
    steps = {"left": -1}

    def counted(real):
        def call(self, *arguments, **options):
            if steps["left"] == 0:
                raise PowerCut
            steps["left"] -= 1
            return real(self, *arguments, **options)

        return call

    for name in ("rename", "mkdir", "rmdir"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    return lambda number: steps.update(left=number)


def interrupted(cut, number, action):
    """Run `action` with the power going at step `number`; return whether it went."""
    cut(number)
    try:
        action()
    except PowerCut:
        return True
    finally:
        cut(-1)
    return False


@pytest.mark.promise("P2")
def test_a_swap_puts_the_new_in_place_and_keeps_the_old(tree):
    previous = tree.swap(STAMP)
    assert content(tree.root) == NEW
    assert content(previous) == OLD
    assert tree.unfinished() == []


@pytest.mark.promise("P2")
@pytest.mark.parametrize("move", [RESTORE, ROLLBACK, REDO], ids=lambda move: f"{move.source} to {move.kept}")
def test_a_swap_cut_at_any_step_is_seen_and_taken_back_even_if_that_is_cut_at_any_step(tmp_path, move, cut):
    first = 0
    while True:
        second = 0
        while True:
            home = tmp_path / f"{first}-{second}"
            tree = MediaTree(home)
            fill(home, OLD)
            fill(home / f".{move.source}-{STAMP}", NEW)
            if not interrupted(cut, first, lambda: tree.swap(STAMP, move)):  # noqa: B023 - called here
                assert content(tree.root) == NEW
                return
            assert (STAMP, move) in tree.unfinished() or content(tree.root) == OLD
            went = interrupted(cut, second, lambda: tree.undo_swap(STAMP, move))  # noqa: B023 - called here
            for stamp, found in tree.unfinished():
                tree.undo_swap(stamp, found)
            assert content(tree.root) == OLD
            assert content(home / f".{move.source}-{STAMP}") == NEW
            if not went:
                break
            second += 1
        first += 1


def test_a_rollback_brings_back_the_old_and_a_redo_the_new(tree):
    tree.swap(STAMP)
    tree.swap(STAMP, ROLLBACK)
    assert content(tree.root) == OLD
    assert tree.kept("after") == [STAMP]
    tree.swap(STAMP, REDO)
    assert content(tree.root) == NEW
    assert tree.kept("before") == [STAMP]


@pytest.mark.promise("P5")
@pytest.mark.parametrize(
    "path", ["/etc/x", "../x", "a/../../x", "a//b", "", ".", "a/./b", f".before-{STAMP}/x", "a\0b"]
)
def test_a_path_that_leads_outside_is_refused(tree, path):
    staging = tree.stage("20260204_030001")
    with pytest.raises(Exception, match="not a path inside the media tree"):
        staging.create(path)
    staging.close()


def test_a_walk_skips_staged_files_and_marks_pipes_and_symbolic_links(tree):
    os.mkfifo(tree.root / "pipe")
    (tree.root / "link").symlink_to("/etc/passwd")
    found = {entry.path: entry.odd for entry in tree.walk()}
    assert found["pipe"] == "pipe"
    assert found["link"] == "symbolic link"
    assert not any(path.startswith(".stage") for path in found)
