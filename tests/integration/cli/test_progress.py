"""Progress on a terminal and in logs: a verb that takes longer than a second shows how far it is."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from demosite import MANAGE
from korrigo_backup.run.progress.lines import width
from sandbox import KORRIGO
from screen import terminal

PAUSE = 3
"""Seconds for which the dump stands still, in the middle of a table."""

MINUTE = "from korrigo_backup.run.progress import display; display.LINE_EVERY = 1.0"
"""A minute of a second, for a process of its own."""

LOADED = """
import sys
from korrigo_backup.cli.main import guarded

assert guarded(["backup"]) == 0
sys.exit(str([name for name in sys.modules if name.partition(".")[0] == "rich" or name.endswith(("progress.lines", "progress.terminal"))]))
"""

CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@pytest.fixture
def slow_site(site, tmp_path):
    """A site whose pg_dump pauses after two megabytes."""
    site.sql("CREATE TABLE page AS SELECT n, md5(n::text) || md5((-n)::text) AS body FROM generate_series(1, 40000) n")
    clients, real = tmp_path / "clients", site.server.access().client_dir
    clients.mkdir()
    (clients / "psql").symlink_to(real / "psql")
    (clients / "pg_dump").write_text(
        f"#!/bin/sh\n'{real}/pg_dump' \"$@\" | {{ head -c 2500000; sleep {PAUSE}; cat; }}\n"
    )
    (clients / "pg_dump").chmod(0o755)
    return site, site.env | {"KORRIGO_BACKUP_CLIENT_DIR": str(clients)}


def drawn_now(seen):
    """The lines of progress that are on the screen; none between two drawings."""
    return [line for line in seen.lines if line.startswith("step no. 1 ") or "dumping the database" in line]


@pytest.mark.parametrize("columns", [80, 60])
def test_a_backup_shows_its_table_bytes_and_tables_on_a_terminal_and_leaves_it_clean(slow_site, columns):
    site, env = slow_site
    with terminal([KORRIGO, "backup"], env=env, cwd=site.home, columns=columns) as seen:
        seen.until(lambda: "public.page" in seen.text and len(drawn_now(seen)) == 2)
        head, work = drawn_now(seen)
        assert seen.wait() == 0
    assert re.search(r"\d(\.\d)?[KM]B?  ", work)
    assert re.search(r"tables: \d of 5", work) or columns == 60
    assert re.fullmatch(r"step no\. 1  0:\d\d", head)
    assert all(
        len(CONTROL.sub("", line)) < columns for line in re.findall(r"(?:step no|dumping)[^\r\n\x1b]*", seen.text)
    )
    assert seen.lines[0].startswith("📦 Creating database backup: ")
    assert seen.lines[1].startswith("✅ Backup created: ")
    assert "dumping the database" not in "\n".join(seen.lines)


def test_a_second_backup_knows_its_steps_its_size_and_the_time_left(slow_site):
    site, env = slow_site
    site.korrigo("backup", env=env)
    with terminal([KORRIGO, "backup"], env=env, cwd=site.home) as seen:
        seen.until(lambda: "public.page" in seen.text)
        assert seen.wait() == 0
    assert re.search(r"step 1 of 3 ", seen.text)
    assert re.search(r"step 1 of 3  0:0\d  time left: 0:0\d\r", seen.text)
    assert re.search(r"\d+ %  [\d.]+[KM]/~[\d.]+[KM]  tables: \d of 5  public\.page", CONTROL.sub("", seen.text))


def test_standard_output_is_the_same_with_and_without_a_terminal(slow_site, tmp_path):
    site, env = slow_site
    at_terminal, without = tmp_path / "terminal", tmp_path / "without"
    with at_terminal.open("wb") as out, terminal([KORRIGO, "backup"], env=env, cwd=site.home, stdout=out) as seen:
        assert seen.wait() == 0
    assert "dumping the database" in seen.text
    assert set("".join(seen.lines)) == set()
    with without.open("wb") as out:
        done = subprocess.run(
            [KORRIGO, "backup"], env=env, cwd=site.home, stdout=out, stderr=subprocess.PIPE, check=True
        )
    assert done.stderr == b""

    def masked(path):
        lines = re.sub(rb"\d{8}_\d{6}|\d\d:\d\d|[\d.]+[KMB]", b"*", path.read_bytes()).splitlines(keepends=True)
        return lines[: lines.index(next(line for line in lines if b"Available backups" in line)) + 2]

    assert masked(at_terminal) == masked(without)


def test_an_interrupted_backup_leaves_its_error_alone_on_the_terminal(slow_site):
    site, env = slow_site
    with terminal([KORRIGO, "backup"], env=env, cwd=site.home) as seen:
        seen.until(lambda: "public.page" in seen.text)
        seen.type("\x03")
        assert seen.wait() == 130
    shown = [line.removeprefix("^C") for line in seen.lines if line]
    assert [line.partition(":")[0] for line in shown[1:]] == ["error", "hint", "state"]
    assert "\x1b[?25l" not in seen.text


@pytest.mark.parametrize(("variables", "shown"), [({"TERM": "xterm"}, True), ({}, False)], ids=["watched", "cron"])
def test_a_log_gets_a_line_a_minute_and_under_cron_none(slow_site, variables, shown):
    site, env = slow_site
    short = f"import sys; {MINUTE}; from korrigo_backup.cli.main import guarded; sys.exit(guarded(['backup']))"
    done = site.run([sys.executable, "-c", short], env=env | variables)
    lines = [line for line in done.err.splitlines() if "dumping the database" in line]
    assert bool(lines) is shown
    assert not CONTROL.search(done.err)
    for line in lines:
        assert re.fullmatch(
            r"step no\. 1, 0:0\d, dumping the database [\d.]+[KM]B? tables: \d of 5 public\.page.*", line
        )


def test_a_run_without_a_terminal_imports_neither_rich_nor_the_display(slow_site):
    site, env = slow_site
    done = site.run([sys.executable, "-c", LOADED], env=env, code=1)
    assert done.err.splitlines() == ["[]"]


def test_a_quiet_backup_and_one_in_a_log_show_none_in_their_first_minute(slow_site):
    site, env = slow_site
    with terminal([KORRIGO, "backup", "-q"], env=env, cwd=site.home) as seen:
        assert seen.wait() == 0
    assert "dumping" not in seen.text
    done = site.korrigo("backup", env=env | {"TERM": "xterm"})
    assert "dumping" not in done.output


DRAWING = """
from korrigo_backup.run.progress import display

from korrigo_backup.system import screen

display.DELAY, display.REDRAWN = 0.0, 0.01
begin, show = display.Display.begin, display.Display.show

def show_alone(self):
    with screen._Drawn.lock:
        show(self)

def begin_and_draw(self):
    begin(self)
    self.show()

display.Display.begin, display.Display.show = begin_and_draw, show_alone
"""
"""A process draws at the begin of each work and many times a second: the data of a test are few.

The working thread draws beside that of the display here, which alone draws otherwise: one of them at a time.
"""

AT_ONCE = f"{DRAWING}\nimport sys\nfrom korrigo_backup.cli.main import guarded\nsys.exit(guarded(sys.argv[1:]))"


def shown(site, *arguments, columns=80, code=0):
    """Run a verb on a terminal; return all that it has drawn there."""
    with terminal([sys.executable, "-c", AT_ONCE, *arguments], env=site.env, cwd=site.home, columns=columns) as seen:
        assert seen.wait() == code, seen.lines
    assert not [line for line in seen.lines if re.search(r"[━╸╺]|time left|temps restant|\d+ %  ", line)], seen.lines
    text = CONTROL.sub("", seen.text)
    drawn = re.findall(r"[^\r\n]*(?:\d:\d\d|\d+ %  )[^\r\n]*", text)
    drawn = [line for line in drawn if str(site.home) not in line and "root root" not in line]
    assert all(width(line) < columns for line in drawn), max(drawn, key=width)
    return text


@pytest.fixture
def filled(site):
    """A site with some megabytes in a table, and in files of two sizes."""
    site.sql("CREATE TABLE page AS SELECT n, md5(n::text) || md5((-n)::text) AS body FROM generate_series(1, 60000) n")
    site.write("scans/élève.jpg", os.urandom(20_000_000))
    for number in range(40):
        site.write(f"thumbnails/{number}.jpg", os.urandom(20_000))
    return site


def test_media_their_check_and_their_restore_show_files_and_bytes(filled):
    saving = shown(filled, "backup", "media")
    assert re.search(r"saving the media files  (?:[━╸╺]{10}  )?\d+ %  [\d.]+[KMB]+/~20M  files: \d+ of 45", saving)
    assert "scans/" in saving
    assert re.search(
        r"reading the media archive  (?:[━╸╺]{10}  )?\d+ %  [\d.]+[KMB]+/\d+M", shown(filled, "verify", "latest-media")
    )
    assert "computing the checksum of a backup" in shown(filled, "verify", "latest-media", "--depth", "structure")
    loading = shown(filled, "restore", "latest-media", "--yes", columns=60)
    assert "unpacking the media files" in loading
    assert "comparing the media files" in shown(filled, "compare", "latest-media")


def test_stored_media_show_files_and_bytes(filled):
    (filled.home / "korrigo-backup.toml").write_text("[media]\nstore = true\n")
    assert "saving the media files" in shown(filled, "backup", "media")
    assert re.search(r"reading the stored media files  .*\d+ %", shown(filled, "verify", "latest-media"))
    (filled.media / "scans/élève.jpg").unlink()
    assert "unpacking the media files" in shown(filled, "restore", "latest-media", "--yes")


def test_a_restore_of_the_database_a_drill_and_a_comparison_show_the_dump_and_the_tables(filled):
    filled.korrigo("backup")
    loading = shown(filled, "restore", "latest", "--yes")
    assert "reading the dump" in loading
    assert re.search(r"loading the dump .*public\.page", loading)
    assert re.search(r"computing the digests of tables .*tables: \d of 5", loading)
    assert "loading the dump" in shown(filled, "drill")
    filled.sql("DELETE FROM page WHERE n < 10")
    assert "comparing the rows of tables" in shown(filled, "compare", "latest", code=9)


def test_copies_and_what_is_fetched_show_the_target_and_bytes(filled, other_disk):
    (filled.home / "korrigo-backup.toml").write_text(f'[targets.nas]\nurl = "file://{other_disk}"\nseal = false\n')
    filled.korrigo("backup", "media")
    assert re.search(r"copying to nas  (?:[━╸╺]{10}  )?\d+ %  [\d.]+[KMB]+/\d+M  files: \d of 3", shown(filled, "copy"))
    for path in filled.backups.glob("media_backup*"):
        path.unlink()
    assert re.search(r"fetching from nas  .*\d+ %", shown(filled, "fetch", "nas", "latest-media"))
    assert "fetching from nas" in shown(filled, "verify", "latest-media", "--on", "nas")


def test_progress_is_french_and_fits_sixty_columns(filled):
    seen = shown(filled, "--lang", "fr", "backup", "full", columns=60)
    assert "sauvegarde des médias" in seen
    assert re.search(r"étape n° \d", seen)
    assert "dumping" not in seen


MANAGE_PY = shlex.split(MANAGE)[1]

MANAGE_AT_ONCE = f"""
{DRAWING}
import runpy, sys
sys.argv[0] = {MANAGE_PY!r}
sys.path.insert(0, {str(Path(MANAGE_PY).parent)!r})
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def test_manage_py_shows_tables_rows_and_files_of_its_backup_and_its_restore(demo):
    def manage(*arguments):
        argv = [sys.executable, "-c", MANAGE_AT_ONCE, *arguments]
        with terminal(argv, env=demo.env, cwd=demo.home) as seen:
            assert seen.wait() == 0, seen.lines
        assert not [line for line in seen.lines if re.search(r"\d+ %  |time left", line)], seen.lines
        return CONTROL.sub("", seen.text)

    saving = manage("backup", "--include-media", "--output-dir", str(demo.backups))
    assert re.search(r"saving the rows  [^\r]*tables: \d+ of \d+", saving)
    assert re.search(r"saving the media files  [^\r]*files: \d+ so far", saving)
    assert "reading the rows of the backup" in saving
    (made,) = demo.backups.glob("korrigo_backup_*")
    loading = manage("restore", str(made))
    assert re.search(r"loading the rows  [^\r]*\d+ %", loading)
    assert "proving the rows" in loading
    assert "unpacking the media files" in loading


def test_a_django_backup_and_its_restore_from_the_host_show_what_manage_py_does(demo):
    assert re.search(r"running manage\.py backup", shown(demo, "backup", "full", "--method", "django"))
    (made,) = demo.backups.glob("korrigo_backup_*")
    loading = shown(demo, "restore", str(made), "--yes")
    assert re.search(r"loading by manage\.py restore  [^\r]*\d+ %", loading)
