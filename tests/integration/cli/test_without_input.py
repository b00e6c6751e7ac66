"""No verb waits for an input that does not come, and none ends with a fault of the program for the want of it."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from korrigo_backup.cli.program.verbs import VERBS
from sandbox import KORRIGO

DOCUMENTED = {*range(11), 130}
ARGUMENTS = {
    "completion": ["bash"],
    "explain": ["-"],
    "fetch": ["nas", "latest", "--identity", "-"],
    "guard": ["--", "true"],
    "history": ["exams.exam:1"],
    "hold": ["add", "latest", "--reason", "x"],
    "kit": ["open", "kit", "--identity", "-"],
    "media": ["export", "latest"],
    "notify": ["test"],
    "rebuild": ["--empty"],
    "rehearse": ["latest", "--image", "x"],
    "schedule": ["install", "--cron", "--dry-run"],
    "seal": ["check", "--identity", "-"],
    "show": ["latest"],
    "undelete": ["exams.exam:1"],
}


def without_input(words, stdin, **options):
    """Run a command line whose standard input is empty, closed, or open for writing alone."""
    redirected = {"empty": "</dev/null", "closed": "<&-", "for writing": "0>/dev/null"}[stdin]
    argv = ["sh", "-c", f'exec "$0" "$@" {redirected}', str(KORRIGO), *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False, **options)
    assert done.returncode in DOCUMENTED, (words, stdin, done.stderr)
    assert "Traceback" not in done.stderr, (words, stdin, done.stderr)
    assert "unexpected" not in done.stderr, (words, stdin, done.stderr)
    return done


@pytest.mark.promise("P8")
@pytest.mark.parametrize("stdin", ["empty", "closed"])
def test_every_verb_ends_in_words_without_an_input(tmp_path, stdin):
    env = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPYCACHEPREFIX") if name in os.environ}
    env |= {"POSTGRES_HOST": str(tmp_path / "no-server"), "BACKUP_DIR": str(tmp_path / "backups"), "LC_ALL": "C.UTF-8"}

    def tried(verb):
        place = tmp_path / verb
        place.mkdir()
        return without_input([verb, *ARGUMENTS.get(verb, [])], stdin, env=env, cwd=place)

    with ThreadPoolExecutor(2) as pool:
        for done in pool.map(tried, VERBS):
            assert done.returncode == 0 or "error: " in done.stderr or done.stdout, done


@pytest.mark.promise("P8")
def test_a_question_without_an_answer_is_a_no(site):
    site.korrigo("backup", "full")
    site.korrigo("restore", "latest-point", "--yes")
    for words in (["restore", "latest-point"], ["rollback"], ["rebuild", "--empty"], ["adopt", "--new-key"]):
        for stdin in ("empty", "closed"):
            done = without_input(words, stdin, env=site.env, cwd=site.home)
            assert done.returncode == 5, (words, stdin, done.stderr)
    done = without_input(["rollback"], "for writing", env=site.env, cwd=site.home)
    assert done.returncode == 2, done.stderr
    assert "error: standard input cannot be read: " in done.stderr
