"""A restore can be undone by renames, and the undo, too; nothing is deleted on the way."""

import pytest


@pytest.fixture
def restored(site):
    """A site that was saved, changed, and restored: (site, content when saved, content before the restore)."""
    saved = site.content()
    made = site.backup()
    site.wreck()
    before = site.content()
    site.restore(made, safety_backup=True)
    assert site.content() == saved
    return site, saved, before


@pytest.mark.contract("R7")
def test_a_rollback_brings_back_what_the_restore_replaced_and_after_brings_the_restore_back(restored):
    site, saved, before = restored
    done = site.korrigo("rollback", "--yes")
    assert "Rollback completed successfully" in done.out
    assert site.content() == before
    site.korrigo("rollback", "--to", "after", "--yes")
    assert site.content() == saved


@pytest.mark.contract("R7")
def test_a_rollback_of_the_media_leaves_the_database(site):
    site.backup_media()
    saved = site.tree()
    site.write("copies/new.pdf", b"uploaded since")
    before, rows = site.tree(), site.content()
    site.korrigo("restore", site.one("media_backup_*.tar.gz"), "--yes")
    assert site.tree() == saved
    site.korrigo("rollback", "--media-only", "--yes")
    assert site.tree() == before
    assert site.content() == rows


@pytest.mark.contract("R7")
def test_a_rollback_to_the_safety_backup_restores_its_file(restored):
    site, _, before = restored
    site.korrigo("rollback", "--to", "safety", "--yes")
    assert site.content() == before


@pytest.mark.contract("R7")
def test_a_rollback_to_the_last_automatic_backup_leaves_the_safety_ones_out(restored):
    site, saved, _ = restored
    site.sql("DELETE FROM annotation")
    done = site.korrigo("rollback", "--to", "automatic", "--yes")
    assert "pre_restore" not in done.out.split("Plan:")[1].split("\n")[0]
    assert site.content() == saved


@pytest.mark.contract("R7")
def test_any_other_answer_than_yes_leaves_everything(restored):
    site, saved, _ = restored
    site.korrigo("rollback", code=5, stdin="y\n")
    assert site.content() == saved


def test_without_a_restore_there_is_nothing_to_go_back_to(site):
    assert "no restore has left anything" in site.korrigo("rollback", "--yes", code=6).err
