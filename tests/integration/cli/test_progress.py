"""Progress on a terminal and in logs: a verb that takes longer than a second shows how far it is."""

import re
import subprocess
import sys

import pytest

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


@pytest.mark.parametrize("columns", [80, 60])
def test_a_backup_shows_its_table_bytes_and_tables_on_a_terminal_and_leaves_it_clean(slow_site, columns):
    site, env = slow_site
    with terminal([KORRIGO, "backup"], env=env, cwd=site.home, columns=columns) as seen:
        seen.until(lambda: "public.page" in seen.text)
        work = next(line for line in seen.lines if "dumping the database" in line)
        head = next(line for line in seen.lines if line.startswith("step no. 1 "))
        assert seen.wait() == 0
    assert re.search(r"\d(\.\d)?[KM]B?  ", work)
    assert re.search(r"tables: \d of 5", work) or columns == 60
    assert re.fullmatch(r"step no\. 1  0:0\d", head)
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
    assert re.search(r"[━╸╺]{10}  \d+ %  [\d.]+[KM]/~[\d.]+[KM]  ", CONTROL.sub("", seen.text))


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
