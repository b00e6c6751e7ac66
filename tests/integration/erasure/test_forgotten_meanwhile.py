"""An erasure that is recorded while a change of the site is on its way is not lost."""

import threading

import pytest

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.erasure.ledger import ErasedMeanwhile
from korrigo_backup.rescue.forget.forget import ForgetOptions, forget
from korrigo_backup.rescue.media_files.plan import FilesOptions
from korrigo_backup.rescue.media_files.restore import restore_files
from korrigo_backup.rescue.undelete import UndeleteOptions, undelete
from korrigo_backup.rescue.values.table import TableOptions, restore_tables
from korrigo_backup.restore.rollback import RollbackOptions, rollback
from korrigo_backup.run.step import StoppingServices

SCHEMA = "CREATE TABLE a (id int PRIMARY KEY, n text); INSERT INTO a VALUES (1, 'Anna'), (2, 'Ben'), (3, 'Cora')"


@pytest.fixture
def town(make_site):
    made = make_site(schema=SCHEMA)
    made.made = made.backup()
    return made


def forgotten(town, *objects, files=(), confirm=lambda _: True):
    wired = town.wired()
    return forget(
        wired.site(), wired.catalog, wired.ledger(), ForgetOptions(objects, files), now=local_now(), confirm=confirm
    )


def forgetting(town, *objects, files=()):
    """Return a listener that forgets while the services are stopped."""
    return lambda step: forgotten(town, *objects, files=files) if isinstance(step, StoppingServices) else None


def test_a_restore_and_its_rollback_erase_what_is_recorded_before_the_swap(town):
    town.sql("DELETE FROM a WHERE id = 1")
    done = town.restore(town.made, listen=forgetting(town, "a:1"))
    assert town.sql("SELECT id FROM a") == [(2,), (3,)]
    assert "erasure.applied" in [one.id for one in done.findings]
    assert town.journal()[-2]["erased"] == {"public.a": 1}
    town.sql("DELETE FROM a WHERE id = 2; UPDATE a SET n = 'the restored'")
    wired = town.wired()
    rollback(wired.site(), wired.catalog, RollbackOptions(), confirm=lambda _: True, listen=forgetting(town, "a:2"))
    assert town.sql("SELECT * FROM a") == [(3, "Cora")]


def test_the_first_erasure_of_a_site_waits_for_a_change_that_is_on_its_way(town):
    ledger = town.wired().ledger()
    assert not ledger.path.exists()
    first = threading.Thread(target=forgotten, args=(town, "a:1"))
    with ledger.seen().unchanged():
        first.start()
        first.join(1)
        assert first.is_alive()
        assert ledger.read() == ()
    first.join(20)
    assert [one.table for one in ledger.read()] == ["public.a"]


def test_the_smaller_ways_back_refuse_when_something_was_recorded_since_the_plan(town):
    town.sql("DELETE FROM a")
    wired = town.wired()
    with pytest.raises(ErasedMeanwhile):
        undelete(wired.site(), wired.catalog, UndeleteOptions(("a:1",)), now=local_now(),
                 confirm=lambda _: forgotten(town, "a:1"))  # fmt: skip
    with pytest.raises(ErasedMeanwhile):
        restore_tables(wired.site(), wired.catalog, wired.catalog.find(str(town.made)), TableOptions(("a",)),
                       now=local_now(), confirm=lambda _: forgotten(town, "a:2"))  # fmt: skip
    assert town.sql("SELECT * FROM a") == []
    assert not town.hidden() & {name for name in town.hidden() if "undelete" in name}
    town.korrigo("restore", "--table", "a", str(town.made), "--yes")
    assert town.sql("SELECT id FROM a") == [(3,)]


def test_a_restore_of_files_refuses_when_a_file_was_recorded_since_the_plan(town):
    town.write("scans/1.pdf", b"one")
    town.backup_media()
    (town.media / "scans/1.pdf").unlink()
    wired = town.wired()
    with pytest.raises(ErasedMeanwhile):
        restore_files(wired.site(), wired.catalog, FilesOptions(("scans/1.pdf",)), now=local_now(),
                      confirm=lambda _: forgotten(town, files=("scans/1.pdf",)))  # fmt: skip
    assert not (town.media / "scans/1.pdf").exists()


def test_a_row_that_comes_back_while_it_is_recorded_is_named_as_live(town):
    def come(_):
        town.sql("INSERT INTO a VALUES (9, 'Zoe')")
        return True

    done = forgotten(town, "a:9", confirm=come)
    assert done.live == ("public.a:9",)
    assert [one.live for one in town.wired().ledger().read()] == [False, True]
