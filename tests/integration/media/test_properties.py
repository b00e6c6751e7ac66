"""What files and directories are besides their content: owners, modes, ACLs, attributes, links; and trees that are odd."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from sandbox import nothing_changes

OWNERS = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
ACL = bytes.fromhex("0200000001000700ffffffff020006002100000004000500ffffffff10000700ffffffff20000500ffffffff")
"""user::rwx user:33:rw- group::r-x mask::rwx other::r-x, as the kernel has it."""


@contextmanager
def mounted(place):
    done = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


def give(path, *, owner=(0, 0), mode=None, extended=()):
    os.chown(path, *owner, follow_symlinks=False)
    if mode is not None:
        path.chmod(mode)
    for name, value in extended:
        os.setxattr(path, name, value)


def look(root):
    """Owner, mode, time, links and attributes of everything in a tree, the root among it."""
    found = {}
    for path in [root, *sorted(root.rglob("*"))]:
        if path.relative_to(root).parts[:1] and path.relative_to(root).parts[0].startswith(".before"):
            continue
        info = path.lstat()
        names = [] if path.is_symlink() else [name for name in os.listxattr(path) if not name.startswith("security.s")]
        found[str(path.relative_to(root))] = (
            (info.st_uid, info.st_gid),
            stat.filemode(info.st_mode),
            info.st_mtime_ns,
            info.st_nlink if path.is_file() else 0,
            os.readlink(path) if path.is_symlink() else "",
            {name: os.getxattr(path, name) for name in names},
        )
    return found


@pytest.fixture
def odd_tree(site):
    """A tree with what a web server, a worker and an import by FTP leave."""
    media = site.media
    ftp = media / "ftp"
    ftp.mkdir()
    (ftp / "file").write_bytes(b"ftp")
    (media / "setuid").write_bytes(b"program")
    (media / "once").write_bytes(b"two names")
    os.link(media / "once", media / "twice")
    os.link(media / "once", ftp / "thrice")
    (media / "inside").symlink_to("ftp/file")
    (media / "directory").symlink_to("ftp")
    (media / "outside").symlink_to(site.home)
    (media / "empty").mkdir(mode=0o700)
    give(media / "once", extended=[("user.origin", b"scan\0ner \xff"), ("user.a=b%", b"")])
    give(media / "setuid", mode=0o4755)
    give(ftp / "file", owner=(1000, 1001), mode=0o640, extended=[("system.posix_acl_access", ACL)])
    give(ftp, owner=(33, 1234), mode=0o2775, extended=[("system.posix_acl_default", ACL)])
    give(media / "outside", owner=(33, 33))
    os.utime(ftp, (1_582_979_696, 1_582_979_696))
    give(media, owner=(33, 33), mode=0o2770)
    return site


@OWNERS
@pytest.mark.promise("P11")
def test_owners_modes_attributes_and_links_come_back(odd_tree):
    site = odd_tree
    before = look(site.media)
    made = site.backup_media()
    site.write("ftp/later", b"later")
    (site.media / "once").unlink()
    (site.media / "outside").unlink()
    site.korrigo("restore", made, "--yes")
    assert look(site.media) == before
    assert (site.media / "once").stat().st_ino == (site.media / "ftp/thrice").stat().st_ino
    subprocess.run(["sha256sum", "-c", "--quiet", f"{made}.sha256"], cwd=unpacked(site, made), check=True)
    shutil.rmtree(site.media)
    site.korrigo("restore", made, "--yes")
    assert look(site.media) == before


def unpacked(site, made):
    target = site.home / "unpacked"
    target.mkdir()
    subprocess.run(["tar", "-xzf", made, "-C", target], check=True)
    assert (target / "app/media/twice").stat().st_ino == (target / "app/media/once").stat().st_ino
    return target


@OWNERS
@pytest.mark.promise("P5")
def test_an_unsigned_archive_is_restored_without_setuid_bits_and_outside_links(odd_tree):
    site = odd_tree
    made = site.backup_media()
    manifest = made.with_name(made.name + ".manifest.json")
    raw = json.loads(manifest.read_text())
    del raw["auth"]
    manifest.write_text(json.dumps(raw))
    (site.media / "outside").unlink()
    done = site.korrigo("restore", made, "--yes", "--allow-unsigned")
    assert stat.S_IMODE((site.media / "setuid").stat().st_mode) == 0o755
    assert not os.path.lexists(site.media / "outside")
    assert os.readlink(site.media / "inside") == "ftp/file"
    assert (site.media / "ftp").stat().st_gid == 1234
    assert "symbolic links lead out" in done.output


@pytest.mark.promise("P11")
def test_a_link_out_of_the_tree_is_named_until_it_is_accepted_and_never_dropped(site):
    first = site.backup_media()
    (site.media / "archive").symlink_to("/mnt/nas/archive")
    assert "archive -> /mnt/nas/archive" in site.korrigo("backup", "media").out
    assert "archive -> /mnt/nas/archive" in site.korrigo("verify", "latest-media").out
    site.korrigo("restore", first, "--yes")
    assert os.readlink(site.media / "archive") == "/mnt/nas/archive"
    (site.home / "korrigo-backup.toml").write_text('[media]\naccepted_links = ["arch*"]\n')
    done = site.korrigo("backup", "media")
    assert "lead out of the media tree, or to no file" not in done.out
    assert "1 accepted symbolic links" in done.out


@pytest.mark.promise("P9")
def test_a_sparse_file_stays_sparse(site):
    with open(site.media / "sparse", "wb") as file:
        file.truncate(50_000_000)
        file.write(b"begin")
    made = site.backup_media()
    site.korrigo("restore", made, "--yes")
    found = (site.media / "sparse").stat()
    assert (found.st_size, found.st_blocks * 512 < 5_000_000) == (50_000_000, True)
    assert (site.media / "sparse").read_bytes()[:6] == b"begin\0"


@pytest.mark.promise("P10")
def test_a_mount_in_the_tree_is_named_saved_and_refused_by_a_restore_alone(site):
    place = site.media / "pages" / "cache"
    place.mkdir()
    with mounted(place):
        (place / "c.jpg").write_bytes(b"cached")
        done = site.korrigo("backup", "full")
        assert "file systems are mounted inside the media tree: pages/cache" in done.out
        site.korrigo("verify", "latest-point", "--depth", "full")
        with nothing_changes(site):
            assert f"umount {place}" in site.korrigo("plan", "latest-point", code=4).err
            site.korrigo("restore", "latest-point", "--yes", code=4)
            assert "pages/cache" in site.korrigo("doctor", code=(0, 4, 10)).out
    site.korrigo("restore", "latest-point", "--yes")
    assert (place / "c.jpg").read_bytes() == b"cached"


@pytest.mark.promise("P4")
def test_a_tree_that_is_not_mounted_is_a_doubt_until_so_few_are_accepted(site):
    full = site.korrigo("backup", "full") and site.one("restore_point_*.json")
    away = site.media.with_name("nas")
    site.media.rename(away)
    done = site.korrigo("backup", "full", code=3)
    assert "the media directory" in done.err
    assert len(list(site.backups.glob("db_backup_2*.sql.gz"))) == 2
    site.media.mkdir()
    for _ in range(2):  # the second one is compared with the last that was in no doubt, too
        done = site.korrigo("backup", "media", code=3)
        assert "the media have 0 files; media_backup_" in done.err
    assert "the media have 0 files" in site.korrigo("verify", "latest-media").out
    site.korrigo("backup", "media", "--accept", "media.shrunk")
    site.korrigo("backup", "media")
    assert full.exists()


AS_NOBODY = """
import os, sys
from pathlib import Path
from korrigo_backup.media.archive import Reading, load
from korrigo_backup.media.tree import MediaTree
archive = open(sys.argv[2], "rb", buffering=0)
os.chdir(sys.argv[1])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
tree = MediaTree(Path("."))
staging = tree.stage("20260204_030000")
load(archive, None, "archive", reading=Reading("app/media", trusted=True, owners=True), staging=staging)
lost = staging.finish()
tree.swap("20260204_030000")
print(sorted(lost.counts))
"""


@OWNERS
@pytest.mark.promise("P11")
def test_another_user_names_the_owners_and_modes_that_it_cannot_give_back(odd_tree):
    made = odd_tree.backup_media()
    with tempfile.TemporaryDirectory() as place:  # where every user may go, unlike tmp_path
        os.chown(place, 65534, 65534)
        argv = [sys.executable, "-c", AS_NOBODY, place, made]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert (done.stdout.strip(), done.stderr) == ("['mode', 'owner']", "")
        assert (Path(place) / "ftp" / "file").read_bytes() == b"ftp"
