"""The right to write among the media is looked at before anything is changed."""

import os

import pytest

from korrigo_backup.errors import Refused
from korrigo_backup.media.tree import MediaTree

NOBODY = 65534


@pytest.fixture
def tree(tmp_path):
    """A tree of this user, with a directory in it; the test goes on as a user without rights."""
    root = tmp_path / "media"
    (root / "scans").mkdir(parents=True)
    opened = [one for one in (tmp_path, *tmp_path.parents) if not one.stat().st_mode & 0o001]
    modes = {one: one.stat().st_mode for one in opened}
    for one in opened:
        one.chmod(modes[one] | 0o011)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(NOBODY)
    yield MediaTree(root)
    if is_root:
        os.seteuid(0)
    for one in opened:
        one.chmod(modes[one])


def rights(tree, **modes):
    """Set modes of the root and of a directory as their owner."""
    user = os.geteuid()
    if user == NOBODY:
        os.seteuid(0)
    for name, mode in modes.items():
        (tree.root if name == "root" else tree.root / name).chmod(mode)
    if user == NOBODY:
        os.seteuid(NOBODY)


def test_a_root_of_another_user_is_refused_with_its_name(tree):
    rights(tree, root=0o555)
    with pytest.raises(Refused) as refused:
        tree.require_writable()
    assert (refused.value.id, str(tree.root) in refused.value.message) == ("file.permission", True)


def test_the_directory_of_a_path_is_looked_at_and_for_a_missing_one_its_parent(tree):
    rights(tree, root=0o777, scans=0o555)
    tree.require_writable(["new/deep/1.pdf"])
    for paths in (["scans/1.pdf"], ["scans/new/1.pdf"]):
        with pytest.raises(Refused) as refused:
            tree.require_writable(paths)
        assert str(tree.root / "scans") in refused.value.message


def test_a_swap_needs_the_right_to_move_each_directory(tree):
    rights(tree, root=0o777, scans=0o555)
    tree.require_writable()
    with pytest.raises(Refused, match="scans"):
        tree.require_writable(swap=True)
    rights(tree, scans=0o777)
    tree.require_writable(swap=True)


BEFORE = ".before-20260504_120000"


def test_the_kept_copy_of_another_user_is_in_the_way_of_its_own_rollback_alone(tree):
    user = os.geteuid()
    rights(tree, root=0o777, scans=0o777)
    if user == NOBODY:
        os.seteuid(0)
    (tree.root / BEFORE / "scans").mkdir(parents=True)
    if user == NOBODY:
        os.seteuid(NOBODY)
    rights(tree, **{BEFORE: 0o500})
    tree.require_writable(swap=True)
    with pytest.raises(Refused, match="before-20260504_120000"):
        tree.require_writable(swap=True, kept=BEFORE)
    rights(tree, **{BEFORE: 0o777, f"{BEFORE}/scans": 0o555})
    with pytest.raises(Refused, match="before-20260504_120000/scans"):
        tree.require_writable(swap=True, kept=BEFORE)
    rights(tree, **{f"{BEFORE}/scans": 0o777})
    tree.require_writable(swap=True, kept=BEFORE)


def test_a_tree_below_a_directory_that_may_not_be_entered_is_refused_in_words(tree):
    rights(tree, root=0o700, scans=0o700)
    if os.geteuid() == NOBODY:
        with pytest.raises(Refused):
            tree.require_writable(["scans/deep/1.pdf"])
