"""Media for those who may not read the engine's volumes: through a container; and a site that serves them meanwhile."""

import os
import subprocess
import threading
import time
from contextlib import contextmanager
from urllib.parse import quote

import pytest

from compose.dockerstack import Visitor, belongings, docker, eventually
from compose.test_interrupted import started
from compose.test_product import BIN, files, korrigo, rows, typed

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide the engine's volumes from a command")

HIDDEN = 'mount -t tmpfs none "$1"; shift; exec "$@"'
"""Run in a mount namespace of its own, a command sees no volume: as with Docker Desktop, or as an ordinary user."""

FEWER = ("--accept", "media.shrunk")
"""What a test has lost on purpose is in doubt at the next backup."""


@pytest.fixture
def apart(engine):
    """The words before a command that hide the engine's volumes from it."""
    words = ("unshare", "--mount", "sh", "-c", HIDDEN, "sh", *docker("info", "--format", "{{.DockerRootDir}}"))
    if subprocess.run([*words, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no mount namespaces, so the volumes cannot be hidden")
    return words


def details(stack):
    """Content, mode, owner and time of every file and directory below the media root."""
    listing = "cd /app/media && find . -mindepth 1 -name '.[abs]*-2*' -prune -o -printf '%P %M %U %G %Ts\\n' | sort"
    return files(stack), stack.exec("backend", "sh", "-c", listing).stdout


def lose(stack):
    stack.exec(
        "backend", "sh", "-c", "cd /app/media && rm -rf booklets && chmod 700 copies && echo intruder > intruder"
    )


def aside(stack):
    """What of ours stands in the media root."""
    return [name for name in stack.exec("backend", "ls", "-A", "/app/media").stdout.split() if name.startswith(".")]


@contextmanager
def visited(stack):
    """Ask nginx for a file all the time; yields the list of (time, whether it came)."""
    path = stack.exec("backend", "sh", "-c", "find /app/media/documents -type f -size +0 | head -n 1").stdout.strip()
    content = stack.exec("backend", "cat", path).stdout.encode()
    visitor, over, asked = Visitor(stack.url), threading.Event(), []

    def visit():
        while not over.wait(0.02):
            try:
                came = visitor.get(quote(path.removeprefix("/app"))) == content
            except OSError:
                came = False
            asked.append((time.monotonic(), came))

    thread = threading.Thread(target=visit)
    thread.start()
    try:
        yield asked
    finally:
        over.set()
        thread.join()


@pytest.mark.contract("B4")
@pytest.mark.contract("R5")
def test_a_point_is_made_and_restored_without_the_volume_while_nginx_serves(stack, apart):
    tree = details(stack)
    with visited(stack) as asked:
        typed(stack, *apart, str(BIN / "korrigo-backup"), "backup", "full")
        assert asked
        assert all(came for _, came in asked)
    saved = rows(stack)
    lose(stack)
    with visited(stack) as asked, started(stack, *apart, BIN / "korrigo-backup", "restore", "latest-point", "--yes", program=()) as child:  # fmt: skip
        stopped = None
        output = ""
        for line in child.stdout:
            output += line
            if line.startswith("🛑"):
                stopped = time.monotonic()
        assert child.wait() == 0, output + child.stderr.read()
    assert "media tree /app/media" in output
    before = [came for at, came in asked if at < stopped]
    assert len(before) > 10
    assert all(before)
    assert (rows(stack), details(stack)) == (saved, tree)
    assert stack.healthy(), stack.states()
    korrigo(stack, "verify", "latest-point")
    typed(stack, *apart, str(BIN / "korrigo-backup"), "rollback", "--yes")
    assert "intruder\n" in stack.exec("backend", "ls", "/app/media").stdout
    typed(stack, *apart, str(BIN / "korrigo-backup"), "rollback", "--to", "after", "--media-only", "--yes")
    assert details(stack) == tree


@pytest.mark.contract("T4")
def test_media_are_archived_in_a_container_of_its_own_while_the_backend_is_stopped(stack, apart):
    tree = files(stack)
    stack.compose("stop", "backend")
    before = belongings(stack.project)
    typed(stack, *apart, str(BIN / "korrigo-backup"), "backup", "media")
    typed(stack, *apart, str(BIN / "korrigo-backup"), "compare", "latest", "--media")
    assert belongings(stack.project) == before
    assert stack.states()["backend"].startswith("exited")
    stack.up()
    assert files(stack) == tree


@pytest.mark.promise("P2")
def test_a_restore_that_is_killed_while_it_stages_through_the_container_leaves_the_old(stack, apart):
    stack.exec("backend", "sh", "-c", "head -c 30000000 /dev/urandom > /app/media/large.bin")
    typed(stack, *apart, str(BIN / "korrigo-backup"), "backup", "media", *FEWER)
    lose(stack)
    tree, ours = details(stack), aside(stack)
    media = max((stack.root / "backups").glob("media_backup_*.tar.gz"))
    with started(stack, *apart, BIN / "korrigo-backup", "restore", media, "--yes", program=()) as child:
        for line in child.stdout:
            if line.startswith("📥"):
                break
        eventually(lambda: set(aside(stack)) != set(ours) or child.poll() is not None, pause=0.01)
        child.kill()
    backend = stack.compose("ps", "--quiet", "backend").stdout.strip()
    eventually(lambda: "media_agent" not in " ".join(docker("top", backend)))
    assert details(stack) == tree
    typed(stack, *apart, str(BIN / "korrigo-backup"), "backup", "media", *FEWER)
    assert details(stack) == tree
    assert aside(stack) == ours
    typed(stack, *apart, str(BIN / "korrigo-backup"), "restore", str(media), "--yes")
    stack.exec("backend", "rm", "/app/media/large.bin")


LOSE_A_COPY = """
import os
from exams.models import Copy
copy = Copy.objects.exclude(pdf="").order_by("pk").first()
print("COPY", copy.pk, copy.pdf.name)
os.remove(copy.pdf.path)
copy.delete()
"""


def files_and_properties(stack):
    """Content, mode, owner and time of every live file; a directory has the time of its last change."""
    live = "cd /app/media && find . -name '.[abrs]*-2*' -prune -o -type f"
    sums = stack.exec("backend", "sh", "-c", f"{live} -print0 | sort -z | xargs -0 sha256sum").stdout
    return sums, stack.exec("backend", "sh", "-c", f"{live} -printf '%P %M %U %G %Ts\\n' | sort").stdout


@pytest.mark.promise("P2")
def test_single_files_and_the_files_of_deleted_rows_come_back_through_the_container(stack, apart):
    command = (*apart, str(BIN / "korrigo-backup"))
    typed(stack, *command, "backup", "full")
    tree, saved = files_and_properties(stack), rows(stack)
    printed = stack.manage("shell", "-c", LOSE_A_COPY).stdout
    _, key, path = next(line for line in printed.splitlines() if line.startswith("COPY ")).split(" ", 2)
    plan = typed(stack, *command, "undelete", f"exams.Copy:{key}", "--relink", "--yes")
    assert "1 file" in plan
    assert (rows(stack), files_and_properties(stack)) == (saved, tree)
    typed(stack, *command, "rollback", "--yes")
    assert path not in files(stack)

    restored = typed(stack, *command, "restore", "--file", path, "--yes")
    assert "1 file" in restored
    assert files_and_properties(stack) == tree
    stack.exec("backend", "sh", "-c", 'echo changed > "/app/media/$0"', path)
    changed = files(stack)
    typed(stack, *command, "restore", "--file", path, "--yes", code=3)
    assert files(stack) == changed
    typed(stack, *command, "restore", "--file", path, "--overwrite", "--yes")
    assert files_and_properties(stack) == tree
    typed(stack, *command, "rollback", "--yes")
    assert files(stack) == changed
