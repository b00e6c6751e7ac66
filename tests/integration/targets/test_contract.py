"""One contract for every target, on real servers: what is put there is whole, verified and never replaced."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from getpass import getuser
from pathlib import Path

import pytest

from korrigo_backup.core.secret import Secret
from korrigo_backup.errors import KorrigoBackupError, NotFound, ProofFailed, Refused, Unreachable, UsageError
from korrigo_backup.targets.directory import DeletingDirectoryTarget, DirectoryTarget
from korrigo_backup.targets.pace import Pace
from korrigo_backup.targets.port import DeletingTarget, StoredObject, Target
from korrigo_backup.targets.rclone import DeletingRcloneTarget, RcloneTarget
from korrigo_backup.targets.s3 import Bucket, DeletingS3Target, S3Target
from korrigo_backup.targets.ssh import DeletingSshTarget, SshPlace, SshTarget
from targetservers import ACCESS_KEY, RCLONE, SECRET_KEY, free_port

SITE = "0e2f6c1a-6a0c-5f0b-9a51-3d8f6f0a7e11"


@dataclass(frozen=True)
class Place:
    """A target, the same with the right to delete, one whose server is not there, and the files of the server."""

    target: Target
    deleting: Target
    absent: Target
    data: Path


def s3_place(s3, prefix):
    bucket = Bucket(
        bucket=s3.bucket, prefix=prefix, endpoint=s3.endpoint, access_key=ACCESS_KEY, secret_key=Secret(SECRET_KEY)
    )
    absent = replace(bucket, endpoint=f"http://127.0.0.1:{free_port()}")
    return Place(
        S3Target("cloud", bucket, "STANDARD_IA"),
        DeletingS3Target("cloud", bucket),
        S3Target("cloud", absent, timeout=2),
        s3.data / prefix,
    )


def ssh_place(ssh, root):
    at = SshPlace(host="127.0.0.1", root=str(ssh.data / root), user=getuser(), port=ssh.port, words=ssh.words)
    absent = replace(at, port=free_port())
    return Place(SshTarget("nas", at), DeletingSshTarget("nas", at), SshTarget("nas", absent), ssh.data / root)


def rclone_place(rclone, prefix):
    s3, words = rclone
    root = f"there:{s3.bucket}/{prefix}"
    return Place(
        RcloneTarget("drive", root, words),
        DeletingRcloneTarget("drive", root, words),
        RcloneTarget("drive", root.replace("there:", "nowhere:"), (*words, "--low-level-retries", "1"), timeout=2),
        s3.data / prefix,
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("mounted")


def directory_place(mounted, prefix):
    root = mounted / prefix
    root.mkdir(parents=True)
    return Place(
        DirectoryTarget("disk", root),
        DeletingDirectoryTarget("disk", root),
        DirectoryTarget("disk", root / "not mounted"),
        root,
    )


@pytest.fixture(scope="module")
def rclone(s3, tmp_path_factory):
    config = tmp_path_factory.mktemp("rclone") / "rclone.conf"
    for name, endpoint in (("there", s3.endpoint), ("nowhere", f"http://127.0.0.1:{free_port()}")):
        with config.open("a") as file:
            file.write(
                f"[{name}]\ntype = s3\nprovider = Other\nendpoint = {endpoint}\n"
                f"access_key_id = {ACCESS_KEY}\nsecret_access_key = {SECRET_KEY}\n"
            )
    return s3, (str(RCLONE), "--config", str(config))


@pytest.fixture(params=["s3", "ssh", "rclone", "directory"])
def place(request, tmp_path):
    make = {"s3": s3_place, "ssh": ssh_place, "rclone": rclone_place, "directory": directory_place}[request.param]
    return make(request.getfixturevalue(request.param), f"korrigo/{tmp_path.name}")


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source"
    path.write_bytes(os.urandom(300_000))
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def put(target, name, source, site=SITE):
    named = source.with_name(name.rpartition("/")[2])
    if named != source:
        shutil.copyfile(source, named)
    return target.put(f"{site}/{name}", named, sha256(named))


@pytest.mark.contract("B9")
def test_a_file_is_put_listed_and_fetched(place, source, tmp_path):
    assert put(place.target, "db_backup_20260204_030000.sql.gz", source).is_new
    name = f"{SITE}/db_backup_20260204_030000.sql.gz"
    assert list(place.target.list(f"{SITE}/")) == [StoredObject(name, 300_000)]
    assert place.target.stat(name) == StoredObject(name, 300_000)
    assert place.target.fetch(name, tmp_path / "back") == sha256(source)
    assert (tmp_path / "back").read_bytes() == source.read_bytes()
    assert (tmp_path / "back").stat().st_mode & 0o777 == 0o600
    assert (place.data / name).read_bytes() == source.read_bytes()


def test_what_is_not_there_has_no_list_no_state_and_no_content(place, tmp_path):
    assert list(place.target.list()) == []
    assert list(place.target.list(f"{SITE}/")) == []
    assert place.target.stat(f"{SITE}/nothing") is None
    with pytest.raises(NotFound):
        place.target.fetch(f"{SITE}/nothing", tmp_path / "back")


def test_a_list_shows_all_below_a_name_and_no_other_site(place, source):
    put(place.target, "a.gz", source)
    put(place.target, "korrigo_backup_20260204_030000/manifest.json", source)
    put(place.target, "b.gz", source, "other-site")
    found = sorted(one.name for one in place.target.list(f"{SITE}/"))
    assert found == [f"{SITE}/a.gz", f"{SITE}/korrigo_backup_20260204_030000/manifest.json"]
    assert len(list(place.target.list())) == 3


@pytest.mark.contract("B9")
def test_the_same_content_is_not_sent_again(place, source):
    assert put(place.target, "a.gz", source).is_new
    before = (place.data / SITE / "a.gz").stat()
    assert not put(place.target, "a.gz", source).is_new
    after = (place.data / SITE / "a.gz").stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


@pytest.mark.contract("T13")
def test_no_put_replaces_another_content(place, source):
    put(place.target, "a.gz", source)
    before = source.read_bytes()
    source.write_bytes(bytes(300_000))  # the same size
    with pytest.raises(ProofFailed, match="has another content"):
        put(place.target, "a.gz", source)
    assert (place.data / SITE / "a.gz").read_bytes() == before


def test_a_file_that_rots_there_is_found_by_the_next_put(place, source):
    put(place.target, "a.gz", source)
    there = place.data / SITE / "a.gz"
    content = bytearray(there.read_bytes())
    content[1000] ^= 1
    there.write_bytes(content)
    with pytest.raises(ProofFailed):
        put(place.target, "a.gz", source)


def test_a_target_keeps_its_copy_if_the_local_file_is_emptied(place, source):
    put(place.target, "a.gz", source)
    source.write_bytes(b"")
    put(place.target, "b.gz", source)
    assert (place.data / SITE / "a.gz").stat().st_size == 300_000
    assert (place.data / SITE / "b.gz").stat().st_size == 0


def test_a_server_that_is_not_there_is_unreachable(place, source, tmp_path):
    for use in (
        lambda: put(place.absent, "a.gz", source),
        lambda: list(place.absent.list(f"{SITE}/")),
        lambda: place.absent.stat("a.gz"),
        lambda: place.absent.fetch("a.gz", tmp_path / "back"),
    ):
        with pytest.raises(Unreachable) as found:
            use()
        assert found.value.message.startswith(f"{place.absent.name}: ")


def test_to_delete_is_a_right_of_its_own(place, source):
    put(place.target, "a.gz", source)
    assert not isinstance(place.target, DeletingTarget)
    assert isinstance(place.deleting, DeletingTarget)
    place.deleting.delete(f"{SITE}/a.gz")
    place.deleting.delete(f"{SITE}/a.gz")
    assert list(place.target.list()) == []


@pytest.mark.parametrize("name", ["../a", "/a", "a/../b", "a b", ".hidden", "", "-rf", "a;b", "a\nb"])
def test_a_name_that_leads_elsewhere_is_refused(place, source, name):
    with pytest.raises(UsageError):
        place.target.put(name, source, sha256(source))


# S3


def test_a_large_file_goes_in_parts_that_are_checked(s3, tmp_path):
    place, source = s3_place(s3, tmp_path.name), tmp_path / "large"
    source.write_bytes(os.urandom(1_000_000) * 40)
    assert put(place.target, "large.gz", source).is_new
    assert not put(place.target, "large.gz", source).is_new
    assert place.target.fetch(f"{SITE}/large.gz", tmp_path / "back") == sha256(source)


def test_a_retention_that_the_server_does_not_keep_is_not_believed(s3, source, tmp_path):
    target = replace(s3_place(s3, tmp_path.name).target, lock_days=30)
    found = put(target, "a.gz", source)
    assert (found.is_new, found.locked_until) == (True, None)


def test_a_wrong_secret_and_a_missing_bucket_are_refused_in_words(s3, source):
    target = s3_place(s3, "p").target
    wrong = replace(target, bucket=replace(target.bucket, secret_key=Secret("not-the-secret-at-all")))
    with pytest.raises(Refused, match=r"cloud: .*s3://korrigo-backups/p"):
        put(wrong, "a.gz", source)
    missing = replace(target, bucket=replace(target.bucket, bucket="no-such-bucket"))
    with pytest.raises(KorrigoBackupError):
        put(missing, "a.gz", source)


def test_a_limit_of_the_bandwidth_is_kept(s3, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(os.urandom(40_000_000))
    target = replace(s3_place(s3, tmp_path.name).target, pace=Pace(20_000_000))
    began = time.monotonic()
    put(target, "a.gz", source)
    assert time.monotonic() - began > 1.0  # the last part, of 16 MiB, waits for all others, which have 23 MB


# SSH


@pytest.mark.contract("B9")
def test_a_key_that_may_only_write_is_enough_for_a_put(ssh, source, tmp_path):
    at = SshPlace(host="127.0.0.1", root="korrigo", user=getuser(), port=ssh.port, words=ssh.write_only)
    target = SshTarget("nas", at)
    assert put(target, "w/a.gz", source).is_new
    assert not put(target, "w/a.gz", source).is_new
    assert (ssh.data / "korrigo" / SITE / "w/a.gz").read_bytes() == source.read_bytes()
    source.write_bytes(bytes(300_000))
    with pytest.raises(ProofFailed):
        put(target, "w/a.gz", source)
    with pytest.raises(Refused):
        target.fetch(f"{SITE}/w/a.gz", tmp_path / "back")
    with pytest.raises(Refused):
        list(target.list())
    with pytest.raises(Refused):
        DeletingSshTarget("nas", at).delete(f"{SITE}/w/a.gz")
    assert (ssh.data / "korrigo" / SITE / "w/a.gz").exists()


def test_a_transfer_that_was_killed_leaves_no_object_and_is_finished_later(ssh, tmp_path):
    place, source = ssh_place(ssh, tmp_path.name), tmp_path / "large.gz"
    source.write_bytes(os.urandom(1_000_000) * 20)
    slow = replace(place.target, limit=2_000)
    argv = ["rsync", "--bwlimit=2000"]
    with pytest.raises(subprocess.TimeoutExpired):
        # the same words as the target's own, ended by SIGKILL in the middle
        subprocess.run(
            [*argv, "--ignore-existing", "--mkpath", "--partial-dir=.rsync-partial", f"--rsh={' '.join(slow._ssh)}",
             str(source), slow._directory(f"{SITE}/large.gz")],
            timeout=2, check=True,
        )  # fmt: skip
    assert place.target.stat(f"{SITE}/large.gz") is None
    assert put(place.target, "large.gz", source).is_new
    assert [one.name for one in place.target.list()] == [f"{SITE}/large.gz"]


HOLDS = """
import sys, time
from korrigo_backup.targets.ssh import SshPlace, SshTarget
at = SshPlace(host="127.0.0.1", root=sys.argv[1], user=sys.argv[2], port=int(sys.argv[3]), words=tuple(sys.argv[4:]))
with SshTarget("nas", at).connected():
    print("connected", flush=True)
    time.sleep(60)
"""


@pytest.mark.promise("P6")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_copy_leaves_no_connection(ssh, tmp_path, how):
    words = [sys.executable, "-c", HOLDS, str(tmp_path), getuser(), str(ssh.port), *ssh.words]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"connected\n"
        assert clients_of(ssh)
        child.send_signal(how)
    until(lambda: not clients_of(ssh))


def clients_of(server):
    """Return the shared connections to a server."""
    found = subprocess.run(["pgrep", "-f", f"^ssh .*{server.port}.* -M "], check=False, capture_output=True)
    return found.stdout.split()


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_server_that_refuses_the_key_ends_the_attempt_at_once(ssh, tmp_path):
    at = SshPlace(host="127.0.0.1", root=str(tmp_path), user="nobody-of-that-name", port=ssh.port, words=ssh.words)
    began = time.monotonic()
    with SshTarget("nas", at).connected():
        pass
    assert time.monotonic() - began < 8  # less than the wait for a server that does not answer


def test_a_full_disk_there_is_an_error_in_words(ssh, source):
    at = SshPlace(host="127.0.0.1", root="/proc/korrigo", user=getuser(), port=ssh.port, words=ssh.words)
    with pytest.raises(KorrigoBackupError, match="nas: cannot"):
        put(SshTarget("nas", at), "a.gz", source)


def test_a_disk_that_is_not_mounted_gets_no_copy(tmp_path, source):
    """Its mount point is an empty directory of the disk with the backups."""
    (tmp_path / "backups").mkdir()
    (tmp_path / "disk").mkdir()
    with pytest.raises(Unreachable, match="on the same file system"):
        put(DirectoryTarget("disk", tmp_path / "disk", apart=tmp_path / "backups"), "a.gz", source)
    assert list((tmp_path / "disk").iterdir()) == []
    if os.stat("/dev/shm").st_dev != tmp_path.stat().st_dev:
        assert put(DirectoryTarget("disk", tmp_path / "disk", apart=Path("/dev/shm")), "a.gz", source).is_new


def test_a_directory_keeps_no_half_object(tmp_path, source):
    (tmp_path / "disk").mkdir()
    target = DirectoryTarget("disk", tmp_path / "disk")
    with pytest.raises(ProofFailed):
        target.put(f"{SITE}/source", source, "0" * 64)
    assert [path for path in (tmp_path / "disk").rglob("*") if path.is_file()] == []
    (tmp_path / "disk" / SITE / ".partial-x").write_bytes(b"of a killed copy")
    assert list(target.list()) == []
    (tmp_path / "disk" / SITE / "link").symlink_to(source)
    assert list(target.list()) == []
    assert target.stat(f"{SITE}/link") is None
