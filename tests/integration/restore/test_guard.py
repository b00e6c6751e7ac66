"""`guard`: a command that changes the site has a way back."""

import os
import pty
import signal
import subprocess
import time

import pytest

from sandbox import KORRIGO

PSQL = (
    'PGPASSWORD=$POSTGRES_PASSWORD psql -qX -h "$POSTGRES_HOST" -p "$POSTGRES_PORT" -U "$POSTGRES_USER" "$POSTGRES_DB"'
)
DAMAGE = "--", "sh", "-c", f"{PSQL} -c 'TRUNCATE exam CASCADE' && exit 3"


def test_a_command_that_succeeds_leaves_its_changes_and_a_point(site):
    done = site.korrigo("guard", "--", "/bin/sh", "-c", f"echo changed > {site.media}/new.txt; echo from the command")
    assert "from the command" in done.out
    assert (site.media / "new.txt").exists()
    point = site.one("restore_point_*.json")
    assert f"korrigo-backup restore {point.name}" in done.out
    site.korrigo("restore", point, "--yes")
    assert not (site.media / "new.txt").exists()


@pytest.mark.promise("P1", "P2")
def test_a_command_that_fails_is_undone_if_that_is_chosen(site):
    before = site.content(), site.tree()
    done = site.korrigo("guard", "--on-failure", "restore", *DAMAGE, code=10)
    assert "ended with status 3" in done.err
    assert "state: restored" in done.err
    assert (site.content(), site.tree()) == before
    assert site.previous_databases()


def test_without_a_terminal_the_data_stay_and_the_way_back_is_named(site):
    before = site.content()
    done = site.korrigo("guard", *DAMAGE, code=10)
    point = site.one("restore_point_*.json").name
    assert f"hint: to go back to the data of before: korrigo-backup restore {point}" in done.err
    assert site.content() != before
    site.korrigo("restore", point, "--yes")
    assert site.content() == before


@pytest.mark.parametrize(("answer", "restored"), [(b"yes\n", True), (b"no\n", False)])
def test_an_operator_is_asked(site, answer, restored):
    before = site.content()
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    argv = [str(KORRIGO), "guard", *DAMAGE]
    done = subprocess.run(argv, env=site.env, cwd=site.home, stdin=theirs, capture_output=True, timeout=60, check=False)
    assert done.returncode == 10, done.stderr
    assert (site.content() == before) is restored


def test_a_command_that_leaves_a_site_that_does_not_work_is_a_failure(site):
    before = site.content()
    words = "--", "sh", "-c", f'{PSQL} -c "DROP TABLE exam CASCADE" && rm -r "$MEDIA_ROOT"'
    done = site.korrigo("guard", "--on-failure", "restore", *words, code=10)
    assert "validation checks failed" in done.err
    assert site.content() == before


def test_nothing_is_run_without_a_point(site):
    site.korrigo("guard", "--", "touch", "done", code=8, env={"POSTGRES_PASSWORD": "wrong"})
    assert not (site.home / "done").exists()
    assert "there is no such program" in site.korrigo("guard", "--", "no-such-program", code=2).err
    assert "no command is given" in site.korrigo("guard", code=2).err
    assert not list(site.backups.glob("restore_point_*"))


def test_a_signal_ends_the_command_and_names_the_way_back(site):
    with site.started("guard", "--", "/bin/sh", "-c", "touch began; exec sleep 600") as child:
        while not (site.home / "began").exists():
            assert child.poll() is None
            time.sleep(0.05)
        child.send_signal(signal.SIGTERM)
        _, err = child.communicate(timeout=30)
    point = site.one("restore_point_*.json").name
    assert child.returncode == 130
    assert f"korrigo-backup restore {point}" in err.decode()
