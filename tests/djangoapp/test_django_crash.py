"""kill -9 at every step of a restore: database and media are both old or both new after the next command."""

import io
import os
import signal
import sys
from types import SimpleNamespace

import pytest
from django.core.management import CommandError, call_command
from django.db import connections

from korrigo_backup.djangoapp.transaction import commit
from korrigo_backup.media.tree import MediaTree
from korrigo_backup.site import unfinished
from korrigo_backup.site.unfinished import DjangoRestoreRecord
from testsite import models as m

FILES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "os.utime", "open", "os.link"}
"""What Python tells an audit hook about before it happens; statements to the database are added below."""


def dies_at(step, work, alias, root):
    """Run `work` in a process of its own that is killed at its n-th change; return the steps it made to its end."""
    for connection in connections.all():
        connection.close()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            steps = _count(step, connections[alias], str(root))
            work()
            os.write(writing, str(len(steps)).encode())
            os._exit(0)
        except BaseException as problem:  # noqa: BLE001 - the child must end here, whatever happened
            os.write(2, f"{problem!r}\n".encode())
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as output:
        whole = output.read()
    assert os.WIFSIGNALED(status) or status == 0, "it failed"
    return int(whole) if whole else None


def _count(step, connection, root):
    steps = []

    def tick():
        steps.append(1)
        if len(steps) > step:
            os.kill(os.getpid(), signal.SIGKILL)

    def audit(event, arguments):
        if event in FILES and any(
            root in os.fsdecode(a) for a in arguments if isinstance(a, str | bytes | os.PathLike)
        ):
            tick()

    def execute(inner, *arguments):
        tick()
        return inner(*arguments)

    commit = connection._commit

    def at_commit():
        tick()
        commit()
        tick()

    connection.execute_wrappers.append(execute)
    connection._commit = at_commit
    sys.addaudithook(audit)
    return steps


@pytest.fixture
def two(site):
    """A site, a backup of its former state, and how both states look."""
    old = site.rows(), site.files()
    made = site.backup()
    m.Base.objects.using(site.alias).create(name="newer than the backup")
    (site.media / "newer").write_bytes(b"x")
    (site.media / "a" / "b.pdf").write_bytes(b"changed")
    new = site.rows(), site.files()
    return SimpleNamespace(made=made.path, saved=old, live=new)


@pytest.fixture
def command(site, tmp_path):
    """The two commands, to be run in a process that may die."""
    quiet = {"database": site.alias, "stdout": io.StringIO(), "stderr": io.StringIO()}
    return SimpleNamespace(
        restore=lambda path: call_command("restore", str(path), **quiet),
        backup=lambda: call_command("backup", output_dir=str(tmp_path / "next"), include_media=True, **quiet),
    )


def make_live_again(site, two):
    m.Base.objects.using(site.alias).create(name="newer than the backup")
    (site.media / "newer").write_bytes(b"x")
    (site.media / "a" / "b.pdf").write_bytes(b"changed")
    two.live = site.rows(), site.files()


@pytest.mark.promise("P2")
def test_killed_at_any_step_the_next_command_makes_both_old_or_both_new(site, two, command):
    steps = dies_at(100_000, lambda: command.restore(two.made), site.alias, site.media)
    make_live_again(site, two)
    outcomes = []
    for step in (*range(0, steps - 60, steps // 8), *range(steps - 60, steps + 1, 3)):
        dies_at(step, lambda: command.restore(two.made), site.alias, site.media)
        command.backup()
        found = site.rows(), site.files()
        if found not in (two.saved, two.live):
            pytest.fail(f"{step} of {steps}: {[side(found[n], two.saved[n]) for n in (0, 1)]}")
        outcomes.append(found == two.saved)
        assert not [p for p in site.media.iterdir() if p.name.startswith((".stage-", ".journal-"))]
        if found == two.saved:
            make_live_again(site, two)
    assert outcomes == sorted(outcomes), "once the restore took place it stays"
    assert set(outcomes) == {False, True}


@pytest.mark.promise("P2")
def test_killed_while_taking_back_it_is_taken_back_again(site, two, command):
    steps = dies_at(100_000, lambda: command.restore(two.made), site.alias, site.media)
    make_live_again(site, two)
    tree = MediaTree(site.media)
    for step in range(steps, 0, -1):  # back to the last step before COMMIT: the media are new already
        dies_at(step, lambda: command.restore(two.made), site.alias, site.media)
        if _is_swapped(tree) and not _committed(tree):
            break
        command.backup()
        make_live_again(site, two)
    assert site.files() != two.live[1]
    for again in range(0, 60, 4):
        if dies_at(again, command.backup, site.alias, site.media) is not None:
            break
    command.backup()
    assert (site.rows(), site.files()) == two.live


def side(found, wanted):
    """What differs, for a message that can be read."""
    return {
        key: (found.get(key), wanted.get(key))
        for key in found.keys() | wanted.keys()
        if found.get(key) != wanted.get(key)
    }


def _is_swapped(tree):
    """Whether a dead restore had already moved the new media in."""
    return any(record.marker for record in unfinished.records(tree)) and tree.kept("before")


def _committed(tree):
    (record,) = unfinished.records(tree)
    return record.done or commit.happened(record.alias, record.marker or "")


def test_a_second_restore_of_the_media_is_refused_while_another_runs(site, two, refused):
    with unfinished.alone(MediaTree(site.media), "test"):
        assert refused(two.made).code == 7


@pytest.mark.parametrize("alias", ["default"], indirect=True)
def test_a_transaction_that_the_server_never_wrote_down_did_not_happen(site):
    assert commit.happened("default", "99999999") is False


def test_a_record_of_another_database_is_not_guessed_at(site, two, refused):
    tree = MediaTree(site.media)
    unfinished.write(tree, DjangoRestoreRecord("20260204_030000", site.alias, "elsewhere", "1"))
    found = refused(two.made)
    assert found.code == 4
    assert "was into the database elsewhere" in found.text
    unfinished.remove(tree, "20260204_030000")


def test_a_damaged_record_is_named(site, two, refused):
    (site.media / ".journal-20260204_030000").write_text("{")
    assert "cannot be read" in refused(two.made).text
    with pytest.raises(CommandError, match="cannot be read"):
        site.backup()
