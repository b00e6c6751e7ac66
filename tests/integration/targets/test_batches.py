"""Many files to a target at once: the contract of a single put holds for each of them."""

import hashlib
import json
import os
import subprocess
import time
from dataclasses import replace
from getpass import getuser

import pyrage
import pytest

from korrigo_backup.errors import KorrigoBackupError, ProofFailed, Unreachable, UsageError
from korrigo_backup.targets.batch import batches, gathered, trees
from korrigo_backup.targets.port import BatchingTarget, PutObject, PutResult, StoredObject
from korrigo_backup.targets.rclone import RcloneTarget
from korrigo_backup.targets.ssh import SshPlace, SshTarget
from sandbox import kill_all, until
from targetservers import RCLONE, free_port

SITE = "0e2f6c1a-6a0c-5f0b-9a51-3d8f6f0a7e11"


@pytest.fixture(params=["ssh", "write-only", "rclone"])
def place(request, tmp_path):
    """A target that takes batches, and the directory of its server."""
    if request.param == "rclone":
        return RcloneTarget("drive", f"{tmp_path}/there", (str(RCLONE),)), tmp_path / "there"
    ssh = request.getfixturevalue("ssh")
    full = request.param == "ssh"
    root = f"{ssh.data}/{tmp_path.name}" if full else tmp_path.name
    at = SshPlace(
        host="127.0.0.1", root=root, user=getuser(), port=ssh.port, words=ssh.words if full else ssh.write_only
    )
    return SshTarget("nas", at), ssh.data / tmp_path.name


def store(tmp_path, count, size=1000):
    """Return files of a media store as a copy puts them."""
    objects = []
    for _ in range(count):
        content = os.urandom(size)
        digest = hashlib.sha256(content).hexdigest()
        path = tmp_path / "backups" / "media-store" / digest[:2] / digest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(0o400)
        objects.append(PutObject(f"{SITE}/media-store/{digest[:2]}/{digest}", path, digest))
    return objects


def sent(target, objects, tmp_path, *, together):
    """Put objects, in a directory of their own if they are `together`."""
    if not together:
        return target.put_many(objects)
    with gathered(objects, tmp_path / "batch") as links:
        return target.put_many(links)


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.contract("B9")
def test_many_files_are_put_and_those_that_are_there_are_not_sent_again(place, tmp_path, together):
    target, data = place
    objects = store(tmp_path, 60)
    assert isinstance(target, BatchingTarget)
    data.mkdir(mode=0o755)
    first = sent(target, objects[:40], tmp_path, together=together)
    assert first == {one.name: PutResult(is_new=True) for one in objects[:40]}
    times = {one.name: (data / one.name).stat().st_mtime_ns for one in objects[:40]}
    second = sent(target, objects, tmp_path, together=together)
    assert [second[one.name] for one in objects] == [PutResult(is_new=False)] * 40 + [PutResult(is_new=True)] * 20
    for one in objects:
        assert (data / one.name).read_bytes() == one.source.read_bytes()
    assert {name: (data / name).stat().st_mtime_ns for name in times} == times
    assert data.stat().st_mode & 0o777 == 0o755
    assert not (tmp_path / "batch").exists()


@pytest.mark.contract("T13")
def test_a_file_with_another_content_there_is_kept_and_named_and_the_others_are_put(place, tmp_path):
    target, data = place
    objects = store(tmp_path, 10)
    (data / objects[3].name).parent.mkdir(parents=True)
    (data / objects[3].name).write_bytes(bytes(1000))  # the same size
    found = target.put_many(objects)
    assert [one.name for one in objects if isinstance(found[one.name], ProofFailed)] == [objects[3].name]
    assert "has another content" in found[objects[3].name].message
    assert (data / objects[3].name).read_bytes() == bytes(1000)
    assert all((data / one.name).read_bytes() == one.source.read_bytes() for one in objects if one is not objects[3])


def test_a_file_that_rots_there_is_found_by_the_next_batch(place, tmp_path):
    target, data = place
    objects = store(tmp_path, 5)
    target.put_many(objects)
    there = data / objects[0].name
    there.chmod(0o600)
    content = bytearray(there.read_bytes())
    content[10] ^= 1
    there.write_bytes(content)
    assert isinstance(target.put_many(objects)[objects[0].name], ProofFailed)


def test_a_local_file_that_is_gone_makes_no_object(place, tmp_path):
    target, data = place
    objects = store(tmp_path, 3)
    objects[1].source.unlink()
    with pytest.raises(KorrigoBackupError, match=objects[1].source.name):
        target.put_many(objects)
    assert not (data / objects[1].name).exists()


def test_names_that_lead_elsewhere_are_refused(place, tmp_path):
    target, _ = place
    (one,) = store(tmp_path, 1)
    with pytest.raises(UsageError):
        target.put_many([replace(one, name=f"../{one.source.name}")])
    with pytest.raises(UsageError):
        target.put_many([replace(one, name=f"{SITE}/another-name")])


def test_a_connection_is_held_for_many_operations_and_ends_with_them(ssh, tmp_path):
    at = SshPlace(host="127.0.0.1", root=f"{ssh.data}/{tmp_path.name}", user=getuser(), port=ssh.port, words=ssh.words)
    target = SshTarget("nas", at)
    (one,) = store(tmp_path, 1)
    with target.connected():
        socket = target._shared[1]
        assert os.path.exists(socket)
        assert target.put(one.name, one.source, one.sha256).is_new
        assert target.stat(one.name) == StoredObject(one.name, 1000)
    assert not os.path.exists(socket)
    assert subprocess.run(["pgrep", "-f", socket], check=False, stdout=subprocess.PIPE).stdout == b""
    assert target.stat(one.name) == StoredObject(one.name, 1000)


def test_without_a_server_no_connection_is_held_and_each_operation_has_its_own_error(ssh, tmp_path):
    at = SshPlace(host="127.0.0.1", root="x", user=getuser(), port=free_port(), words=ssh.words)
    target = SshTarget("nas", at, timeout=2)
    began = time.monotonic()
    with target.connected(), pytest.raises(Unreachable) as found:
        target.put_many(store(tmp_path, 2))
    assert time.monotonic() - began < 8
    assert "korrigo-ssh-" not in found.value.hint


def test_the_remains_of_a_killed_batch_are_no_objects(ssh, tmp_path):
    data = ssh.data / tmp_path.name
    target = SshTarget(
        "nas", SshPlace(host="127.0.0.1", root=str(data), user=getuser(), port=ssh.port, words=ssh.words)
    )
    (data / SITE).mkdir(parents=True)
    (data / SITE / ".db_backup_20260204_030000.sql.gz.Xy12ab").write_bytes(b"half")
    (data / SITE / ".rsync-partial").mkdir()
    (data / SITE / ".rsync-partial" / "a.gz").write_bytes(b"half")
    assert list(target.list()) == []


def test_a_batch_has_a_limit_of_bytes_and_a_larger_file_is_a_batch_of_its_own():
    mib = 1024 * 1024
    sizes = [("a", 150 * mib), ("b", 100 * mib), ("c", 50 * mib), ("d", 900 * mib), ("e", 1)]
    assert list(batches(sizes)) == [["a", "b"], ["c"], ["d"], ["e"]]
    assert [len(batch) for batch in batches((number, 1) for number in range(45_000))] == [20_000, 20_000, 5_000]


def test_files_go_as_they_are_where_there_are_no_hard_links(tmp_path, monkeypatch):
    objects = store(tmp_path, 3)
    monkeypatch.setattr(os, "link", lambda *_: os.stat("/nowhere"))
    with gathered(objects, tmp_path / "batch") as found:
        assert found == objects


def test_a_directory_with_other_files_is_not_sent_whole(tmp_path):
    objects = store(tmp_path, 3)
    (tree,) = trees(objects)
    assert tree.tops == ["media-store"]
    (tree,) = trees(objects[1:])
    assert tree.tops == []


def test_files_of_two_directories_are_two_trees(tmp_path):
    stored = store(tmp_path, 3)
    other = tmp_path / "spool" / "a.gz"
    other.parent.mkdir()
    other.write_bytes(b"")
    found = trees([*stored, PutObject(f"{SITE}/w/a.gz", other, "")])
    assert [(tree.base, tree.prefix, len(tree.objects)) for tree in found] == [
        (tmp_path / "backups", SITE, 3),
        (tmp_path / "spool", f"{SITE}/w", 1),
    ]


@pytest.mark.contract("B9")
@pytest.mark.parametrize("seals", [False, True])
def test_a_media_store_is_copied_by_a_key_for_writing_and_finished_after_a_kill(site, ssh, seals):
    key = pyrage.x25519.Identity.generate()
    (site.home / "holder.key").write_text(f"{key}\n")
    root = f"{site.database}-{seals}"
    words = json.dumps(list(ssh.write_only))
    url = f"ssh://{getuser()}@127.0.0.1:{ssh.port}/{root}"
    reading = f"ssh://{getuser()}@127.0.0.1:{ssh.port}{ssh.data}/{root}"
    seal = f'recipients = ["{key.to_public()}"]' if seals else "seal = false"

    def configure(url, words, more=""):
        (site.home / "korrigo-backup.toml").write_text(
            f'[media]\nstore = true\n[targets.nas]\nurl = "{url}"\nssh = {words}\n{seal}\n{more}\n'
        )

    for number in range(30):
        site.write(f"scan{number}.bin", os.urandom(100_000))
    configure(url, words, "limit = 500")
    site.korrigo("backup", "media")
    with site.started("copy") as child:
        until(lambda: list((ssh.data / root).rglob("media-store/*/*")))
        kill_all(child)
    assert not list((ssh.data / root).rglob("*.receipt.json"))
    configure(url, words)
    assert "✅ nas: 1 copied" in site.korrigo("copy", code=(0, 3)).out
    assert not list(site.backups.glob(".copying-nas"))
    assert "0 copied (0B), 1 there already" in site.korrigo("copy", code=(0, 3)).out
    configure(reading, json.dumps(list(ssh.words)))
    assert "1 copy read back" in site.korrigo("verify", "--on", "nas", "all", "--identity", "holder.key").out
