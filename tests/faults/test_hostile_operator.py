"""A hurried operator with odd settings, paths, streams and locales: told in words, with the documented code."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from sandbox import KORRIGO, PROJECT, nothing_changes, until

SCRIPTS = PROJECT / "scripts"


def in_words(done):
    """The three lines are there, and it is not called a fault of the program."""
    assert all(f"{line}: " in done.err for line in ("error", "hint", "state")), done.err
    assert "unexpected" not in done.err
    return done.err


@pytest.mark.promise("P8")
@pytest.mark.parametrize(
    ("variable", "value", "code", "words"),
    [
        ("KORRIGO_BACKUP_CLIENT_DIR", "/etc/hostname", 2, "cannot run /etc/hostname/psql: Not a directory"),
        ("KORRIGO_BACKUP_KEY_FILE", "/etc", 2, "the key file /etc is not a regular file"),
        ("KORRIGO_BACKUP_KEY_FILE", "/dev/null", 2, "the key file /dev/null is not a regular file"),
        ("BACKUP_DIR", "/etc/hostname/x", 1, "hint: correct the path"),
        ("BACKUP_DIR", "loop", 1, "hint: correct the path"),
        ("BACKUP_DIR", "/tmp/" + "y" * 300, 1, "hint: correct the path"),
        ("BACKUP_DIR", os.fsdecode(b"\xff\xfe"), 2, "BACKUP_DIR in the environment is not UTF-8 text"),
        ("BACKUP_DIR", "~nobody-of-that-name/x", 2, "has ~ and no such home directory"),
        ("BACKUP_DIR", "media/backups", 2, "lies in the media directory"),
    ],
)
def test_a_wrong_place_is_named(site, variable, value, code, words):
    (site.home / "loop").symlink_to("loop")
    with nothing_changes(site):
        done = site.korrigo("backup", code=code, env={variable: value})
    assert words in in_words(done)


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("[services]\nstop = [[]]", "services.stop.0"),
        ("[services]\nhealth_url = 'localhost:8000'", "must be an http:// or https:// address"),
        ("[media]\narchive_root = '../etc'", "without .. in it"),
        ("[media]\narchive_root = ''", "must be a path of plain names"),
        ("[backup]\ndir = ''", "backup.dir: must not be empty"),
        ("[backup]\nretention_days = true", "must be a whole number, got true or false"),
    ],
)
def test_settings_that_would_fail_in_the_middle_of_a_restore_are_refused_before(site, toml, words):
    (site.home / "korrigo-backup.toml").write_text(toml)
    done = site.korrigo("list", code=2, env={"BACKUP_DIR": None})
    assert words in in_words(done)


def test_a_configuration_without_an_end_is_not_read_whole(site):
    assert "too large" in in_words(site.korrigo("--config", "/dev/zero", "list", code=2))


def test_an_archive_root_may_be_written_as_the_path_it_is(site):
    (site.home / "korrigo-backup.toml").write_text("[media]\narchive_root = '/app/media/'")
    site.korrigo("backup", "media")
    listing = subprocess.run(["tar", "-tzf", site.one("media_*.gz")], capture_output=True, text=True, check=True)
    assert "app/media/pages/p1.jpg" in listing.stdout.splitlines()


def test_a_home_directory_is_one_also_where_no_shell_sees_to_it(site):
    (site.home / ".env").write_text("BACKUP_DIR=~/kept\n")
    site.korrigo("backup", env={"BACKUP_DIR": None})
    assert list((site.home / "kept").glob("db_backup_2*"))
    assert not (site.home / "~").exists()


def test_a_line_of_the_settings_that_cannot_be_read_is_named_but_not_shown(site):
    (site.home / ".env").write_text("# fine\nBACKUP_DIR=elsewhere\nPOSTGRES_PASSWORD='hunter2\n")
    done = site.korrigo("backup", code=2, env={"BACKUP_DIR": None})
    assert f"{site.home}/.env, line 3: " in in_words(done)
    assert "hunter2" not in done.output
    assert not (site.home / "elsewhere").exists()


@pytest.mark.parametrize(
    "lines",
    [
        "export BACKUP_DIR='a b'\n",
        'BACKUP_DIR="a b"\r\n# comment\r\n',
        "\ufeffBACKUP_DIR = a b # a comment\n",
    ],
)
def test_settings_may_be_written_as_shells_and_editors_write_them(site, lines):
    (site.home / ".env").write_text(lines, newline="")
    site.korrigo("backup", env={"BACKUP_DIR": None})
    assert list((site.home / "a b").glob("db_backup_2*"))


@pytest.mark.promise("P1")
@pytest.mark.parametrize(
    "env",
    [{"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}],
    ids=["latin-1", "ascii"],
)
def test_a_locale_without_our_signs_ends_no_run(site, env):
    site.korrigo("backup", env=env)
    made = site.one("db_backup_2*.sql.gz")
    rows = site.rows()
    site.wreck()
    site.korrigo("restore", made, "--yes", env=env)
    assert site.rows() == rows


@pytest.mark.promise("P1")
def test_closed_streams_do_not_become_the_backup(site):
    def closing(command):
        return site.run(["sh", "-c", f'exec "$@" {command}', "sh", str(KORRIGO), "backup"]).output

    assert "Traceback" not in closing("<&- >&- 2>&-")
    site.korrigo("verify", site.one("db_backup_2*.sql.gz"))


def test_a_restore_without_an_answer_to_its_question_is_cancelled(site):
    made = site.backup()
    with nothing_changes(site):
        done = site.run(["sh", "-c", '"$@" <&-', "sh", str(KORRIGO), "restore", str(made)], code=5)
    assert done.err.startswith("Restore cancelled\nhint: ")


def test_the_exit_code_stays_correct_if_the_output_cannot_be_written(site):
    full = ["sh", "-c", '"$@" 2>/dev/full', "sh", str(KORRIGO)]
    site.run([*full, "backup"], code=8, env={"POSTGRES_PASSWORD": "wrong"})
    done = site.run(["sh", "-c", '"$@" >/dev/full', "sh", str(KORRIGO), "--help"], code=1)
    assert "cannot print: No space left on device" in in_words(done)


def test_files_are_for_their_owner_whatever_the_umask(site):
    for umask in (0o000, 0o777):
        site.korrigo("backup", umask=umask, env={"BACKUP_DIR": f"of{umask}"})
        modes = {p.stat().st_mode & 0o777 for p in (site.home / f"of{umask}").iterdir() if not p.is_symlink()}
        assert modes == {0o600}


def test_a_deleted_current_directory_is_reported(site):
    gone = site.home / "gone"
    gone.mkdir()
    done = site.run(["sh", "-c", 'cd gone && rmdir ../gone && exec "$@"', "sh", str(KORRIGO), "list"], code=2)
    assert "the current directory does not exist any more" in in_words(done)


def test_the_scripts_find_the_command_through_a_link(site):
    link = site.home / "back up"
    link.symlink_to(SCRIPTS / "backup_db.sh")
    site.run([str(link)], env={"PATH": "/usr/bin:/bin"})
    assert site.one("db_backup_2*.sql.gz")


@pytest.mark.parametrize(("name", "code"), [("backup_db", 2), ("restore_db", 2), ("validate_backup", 1)])
def test_the_scripts_say_when_there_is_no_command(site, name, code):
    copied = shutil.copy(SCRIPTS / f"{name}.sh", site.home)
    done = site.run([copied, "some.sql.gz"], code=code, env={"PATH": "/usr/bin:/bin"})
    assert "korrigo-backup is not installed" in in_words(done)


def test_an_interrupt_during_imports_prints_an_error_without_a_traceback(site):
    with site.started("backup") as child:
        until(lambda: "msgspec/_core" in Path(f"/proc/{child.pid}/maps").read_text())
        child.send_signal(signal.SIGINT)
        err = child.communicate(timeout=30)[1].decode()
    assert child.returncode == 130
    assert "error: interrupted" in err
    assert "state: nothing was changed" in err
    assert "Traceback" not in err
