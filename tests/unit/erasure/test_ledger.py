"""The ledger is added to whole or not at all, and a line that cannot be trusted is an error."""

import errno
import multiprocessing
import os
import signal
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from korrigo_backup.artifact import keyring
from korrigo_backup.artifact.keyring import Keyring
from korrigo_backup.artifact.signature import Key
from korrigo_backup.erasure.entry import Entry, Scope, Subject, file_hash, row_hash
from korrigo_backup.erasure.erased import erased_keys
from korrigo_backup.erasure.ledger import ErasureLedger, UnreadableLedger
from korrigo_backup.errors import KorrigoBackupError, NotFound

SCOPE = Scope("korrigo", "production", "viatique")
KEY = Key(bytes(range(32)))


@pytest.fixture
def ledger(tmp_path):
    return ErasureLedger(tmp_path / "private" / "erasures.jsonl", Keyring(tmp_path / "key", (KEY,)))


def entry(number, key=KEY):
    found = row_hash(key, "public.person", [("id", str(number).encode())])
    return Entry(
        time=datetime(2026, 5, 4, tzinfo=UTC), scope=SCOPE, subject=Subject.ROW, hash=found, key=key.id,
        table="public.person", columns=("id",),
    )  # fmt: skip


def test_no_file_is_an_empty_ledger(ledger):
    assert ledger.read() == ()


def test_what_was_added_is_read_and_private(ledger):
    ledger.append([entry(1), entry(2)])
    ledger.append([entry(3)])
    assert [one.hash for one in ledger.read()] == [entry(number).hash for number in (1, 2, 3)]
    assert ledger.path.stat().st_mode & 0o777 == 0o600
    assert ledger.path.parent.stat().st_mode & 0o777 == 0o700


def test_an_entry_is_added_once(ledger):
    assert len(ledger.append([entry(1)])) == 1
    assert ledger.append([entry(1)]) == ()


def test_the_hash_is_of_table_columns_and_values():
    erased = erased_keys([entry(7)], {KEY.id: KEY})
    assert erased.holds("public.person", {"id": b"7", "name": b"x"})
    assert not erased.holds("public.person", {"id": b"8"})
    assert not erased.holds("public.other", {"id": b"7"})
    assert not erased.holds("public.person", {"name": b"7"})


def test_another_key_gives_another_hash():
    assert entry(7).hash != entry(7, Key(bytes(32))).hash


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_last_line_that_is_cut_is_an_error_and_nothing_is_added_behind_it(ledger, cut):
    ledger.append([entry(1), entry(2)])
    whole = ledger.path.read_bytes()
    ledger.path.write_bytes(whole[:-cut])
    for act in (ledger.read, lambda: ledger.append([entry(3)])):
        with pytest.raises(UnreadableLedger, match="is cut") as found:
            act()
        assert str(ledger.path) in found.value.hint
    assert ledger.path.read_bytes() == whole[:-cut]


def test_a_line_that_was_altered_is_an_error(ledger):
    ledger.append([entry(1)])
    ledger.path.write_bytes(ledger.path.read_bytes().replace(b"public.person", b"public.parson"))
    with pytest.raises(UnreadableLedger, match="was altered"):
        ledger.read()


def test_a_line_that_is_no_entry_is_an_error(ledger):
    ledger.append([entry(1)])
    ledger.path.write_bytes(b"{}\n" + ledger.path.read_bytes())
    with pytest.raises(UnreadableLedger, match=r"line 1 .* is no entry"):
        ledger.read()


def test_the_loss_of_the_key_is_an_error_and_makes_no_new_key(ledger, tmp_path):
    ledger.append([entry(1)])
    lost = ErasureLedger(ledger.path, Keyring(tmp_path / "key", ()))
    with pytest.raises(UnreadableLedger, match=KEY.id):
        lost.append([entry(2)])
    assert not (tmp_path / "key").exists()


def test_a_former_key_reads_its_lines(ledger, tmp_path):
    ledger.append([entry(1)])
    new = Key(bytes(32))
    both = ErasureLedger(ledger.path, Keyring(tmp_path / "key", (new, KEY)))
    both.append([entry(2, new)])
    erased = erased_keys(both.read(), both.keyring.by_id)
    assert all(erased.holds("public.person", {"id": str(number).encode()}) for number in (1, 2))


def test_the_first_entry_makes_the_key(tmp_path):
    ledger = ErasureLedger(tmp_path / "erasures.jsonl", keyring.read(tmp_path / "key"))
    key = ledger.keyring.signing()
    ledger.append([entry(1, key)])
    assert len(ErasureLedger(ledger.path, keyring.read(tmp_path / "key")).read()) == 1


def test_a_full_disk_leaves_the_ledger_as_it_was(ledger, monkeypatch):
    ledger.append([entry(1)])
    whole, write = ledger.path.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:10]))
    with pytest.raises(KorrigoBackupError) as found:
        ledger.append([entry(2)])
    assert found.value.id == "disk.full"
    assert ledger.path.read_bytes() == whole


def test_an_error_of_the_disk_leaves_the_ledger_as_it_was(ledger, monkeypatch):
    ledger.append([entry(1)])
    whole = ledger.path.read_bytes()

    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KorrigoBackupError):
        ledger.append([entry(2)])
    assert ledger.path.read_bytes() == whole


def _add(ledger, numbers):
    for number in numbers:
        ledger.append([entry(number)])


def test_two_processes_that_add_at_once_lose_no_entry(ledger):
    made = multiprocessing.get_context("fork")
    children = [made.Process(target=_add, args=(ledger, range(begin, begin + 20))) for begin in (0, 100)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    assert len(ledger.read()) == 40


def _killed_before_sync(ledger):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: os.kill(os.getpid(), signal.SIGKILL))
        ledger.append([entry(2)])


def test_a_kill_between_the_write_and_its_sync_leaves_whole_lines_and_no_lock(ledger):
    ledger.append([entry(1)])
    child = multiprocessing.get_context("fork").Process(target=_killed_before_sync, args=(ledger,))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert len(ledger.read()) == 2
    ledger.append([entry(3)])
    assert len(ledger.read()) == 3


def test_the_scope_is_that_of_the_site_and_its_database():
    other = Scope("korrigo", "staging", "viatique")
    assert SCOPE.holds(None, SCOPE)
    assert not SCOPE.holds(None, other)
    assert not SCOPE.holds(None, Scope("korrigo", "production", "another"))


def test_an_entry_that_is_named_is_taken_out_and_no_other(ledger):
    ledger.append([entry(number) for number in range(5)])
    ledger.remove(ledger.find(entry(3).hash[:8]))
    assert [one.hash for one in ledger.read()] == [entry(number).hash for number in (0, 1, 2, 4)]
    assert ledger.path.stat().st_mode & 0o777 == 0o600
    for id_ in (entry(3).hash, entry(1).hash[:7], ""):
        with pytest.raises(NotFound):
            ledger.find(id_)


def _remove(ledger, numbers):
    for number in numbers:
        ledger.remove(ledger.find(entry(number).hash))


def test_a_removal_loses_no_entry_that_another_process_adds_at_the_same_time(ledger):
    ledger.append([entry(number) for number in range(20)])
    context = multiprocessing.get_context("fork")
    others = [
        context.Process(target=_remove, args=(ledger, range(20))),
        context.Process(target=_add, args=(ledger, range(100, 140))),
    ]
    for one in others:
        one.start()
    for one in others:
        one.join()
    assert {one.hash for one in ledger.read()} == {entry(number).hash for number in range(100, 140)}


def test_an_entry_may_go_when_no_backup_is_as_old_unless_it_was_live():
    made = entry(1)
    assert made.may_go(None)
    assert made.may_go(made.time + timedelta(seconds=1))
    assert not made.may_go(made.time)
    assert not msgspec.structs.replace(made, live=True).may_go(None)
    assert not msgspec.structs.replace(made, subject=Subject.RULES).may_go(None)


def test_files_are_known_by_their_path_and_those_of_rows_apart():
    typed, named = (
        msgspec.structs.replace(entry(1), subject=Subject.FILE, hash=file_hash(KEY, path), of_row=path == "b/2")
        for path in ("a/\udce9", "b/2")
    )
    erased = erased_keys([typed, named], {KEY.id: KEY})
    assert erased.holds_file("a/\udce9")
    assert not erased.holds_file("b/2")
    assert erased.holds_file_of_row("b/2")
    assert not erased.holds_file_of_row("a/\udce9")


def _add_when_told(ledger, told):
    told.wait()
    ledger.append([entry(1)])


def test_only_an_entry_makes_the_directory_and_it_waits_for_the_end_of_a_change(ledger):
    context = multiprocessing.get_context("fork")
    told = context.Event()
    child = context.Process(target=_add_when_told, args=(ledger, told))
    child.start()  # before the lock, which a fork would hold, too
    with ledger.held() as new:
        told.set()
        child.join(0.5)
        assert (new, ledger.path.parent.exists()) == (0, False)
    child.join(60)
    assert len(ledger.read()) == 1
