"""The operations that `rollback` takes back: each in the data in which it was carried out, and one of them by its id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from korrigo_backup.artifact.naming import stamp

if TYPE_CHECKING:
    from sandbox import Sandbox


def undeleted(site: Sandbox, *keys: int) -> str:
    """Delete annotations and bring them back one by one; return the backup."""
    backup = site.backup().name
    site.sql(f"DELETE FROM annotation WHERE id IN ({', '.join(map(str, keys))})")
    for key in keys:
        site.korrigo("undelete", f"annotation:{key}", "--from", backup, "--yes")
    return backup


def listed(site: Sandbox, name: str = "undoable") -> list[Any]:
    found: list[Any] = site.json("list")[name]
    return found


def is_live(site: Sandbox, key: int) -> bool:
    return bool(site.sql(f"SELECT 1 FROM annotation WHERE id = {key}"))


def test_after_a_restore_they_belong_to_the_replaced_data_and_count_again_after_its_rollback(site: Sandbox) -> None:
    backup = undeleted(site, 4, 5)
    before = [one["stamp"] for one in listed(site)]
    site.korrigo("restore", backup, "--yes", "--no-validate")
    assert listed(site) == []
    assert [one["stamp"] for one in listed(site, "undoable_in_replaced_data")] == before
    assert "when those are live again" in site.korrigo("list").out
    assert "rollback brings the data of before" in site.korrigo("rollback", "--undo", before[0], "--yes", code=4).err
    site.korrigo("rollback", "--yes")
    assert [one["stamp"] for one in listed(site)] == before
    site.korrigo("rollback", "--yes")
    assert (is_live(site, 4), is_live(site, 5)) == (True, False)


def test_an_operation_in_restored_data_is_none_of_the_data_of_before(site: Sandbox) -> None:
    backup = undeleted(site, 4)
    site.korrigo("restore", backup, "--yes", "--no-validate")
    site.sql("DELETE FROM annotation WHERE id = 9")
    site.korrigo("undelete", "annotation:9", "--from", backup, "--yes")
    (in_restored,) = listed(site)
    site.korrigo("rollback", "--yes")
    assert not is_live(site, 9)
    site.korrigo("rollback", "--yes")
    assert [one["asked"] for one in listed(site)] == [["public.annotation:4"]]
    site.korrigo("rollback", "--to", "after", "--yes")
    assert in_restored["stamp"] not in [one["stamp"] for one in listed(site)]


def test_one_that_cannot_be_undone_does_not_block_an_older_one(site: Sandbox) -> None:
    undeleted(site, 7, 8)
    newest, older = listed(site)
    site.sql("UPDATE annotation SET body = 'z' WHERE id = 8")
    assert "rollback --undo ID" in site.korrigo("rollback", "--yes", code=4).err
    assert f"rollback --undo {older['stamp']}" in site.korrigo("list").out
    site.korrigo("rollback", "--undo", older["stamp"], "--yes")
    assert (is_live(site, 7), is_live(site, 8)) == (False, True)
    assert [one["stamp"] for one in listed(site)] == [newest["stamp"]]


def test_the_record_of_another_operation_of_the_same_second_is_not_overwritten(site: Sandbox) -> None:
    site.backup()
    now = datetime.now(UTC)
    others = [site.backups / f".undelete-{stamp(now + timedelta(seconds=n))}.done" for n in range(120)]
    for path in others:
        path.write_text("of another operation")
    undeleted(site, 7)
    assert {path.read_text() for path in others} == {"of another operation"}
    assert len(listed(site)) == 1


def test_an_older_one_is_refused_if_a_later_one_touched_its_rows(site: Sandbox) -> None:
    backup = undeleted(site, 7)
    (older,) = listed(site)
    site.sql("UPDATE annotation SET body = 'z' WHERE id = 7")
    site.korrigo("revert", "--table", "annotation", "--from", backup, "--yes")
    later = listed(site)[0]
    assert f"rollback --undo {later['stamp']}" in site.korrigo("rollback", "--undo", older["stamp"], code=4).err
    site.korrigo("rollback", "--undo", later["stamp"], "--yes")
    assert site.sql("SELECT body FROM annotation WHERE id = 7") == [("z",)]


def test_an_id_that_is_none_is_named(site: Sandbox) -> None:
    undeleted(site, 7)
    assert "no operation 20200101_000000" in site.korrigo("rollback", "--undo", "20200101_000000", code=6).err
    assert "--undo names a single" in site.korrigo("rollback", "--undo", "x", "--to", "after", code=2).err
