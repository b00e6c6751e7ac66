"""The program as one file, the manual pages and the checksums, as `make dist` makes them."""

import json
import shutil
import subprocess

import pytest

from distribution.conftest import clean_environment
from korrigo_backup import __version__
from korrigo_backup.cli.program.verbs import VERBS

pytestmark = pytest.mark.dist


@pytest.fixture
def one_file(dist, tmp_path):
    """The file alone, under the name that it is to have."""
    (tmp_path / "bin").mkdir()
    return shutil.copy2(dist / "korrigo-backup.pyz", tmp_path / "bin" / "korrigo-backup")


def run(command, home, **environment):
    return subprocess.run(
        [*map(str, command)],
        cwd=home,
        env=clean_environment(home, **environment),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_checksums_are_those_of_all_files(dist):
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=dist, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout
    listed = {line.split("  ")[1] for line in (dist / "SHA256SUMS").read_text().splitlines()}
    assert listed == {str(path.relative_to(dist)) for path in dist.rglob("*") if path.is_file()} - {"SHA256SUMS"}


def test_one_file_backs_up_verifies_and_seals_a_kit_with_its_compiled_libraries(site, one_file):
    public = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    (site.home / "korrigo-backup.toml").write_text(f'[kit]\nrecipients = ["{public}"]\n')
    (site.home / ".env").write_text("")
    environment = {name: value for name, value in site.env.items() if name not in {"HOME", "PATH"}}

    def korrigo(*words):
        done = run([one_file, *words], site.home, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert korrigo("--version") == f"korrigo-backup {__version__}\n"
    korrigo("backup", "full")
    korrigo("verify", "latest-point")
    assert "Recovery kit saved" in korrigo("kit", "make")
    assert json.loads(korrigo("list", "--json"))["ok"]
    korrigo("drill", "latest-point")
    assert f"PATH={one_file.parent}:$PATH" in (_scripts(korrigo, site) / "backup_db.sh").read_text()


def _scripts(korrigo, site):
    korrigo("init", "--scripts")
    return site.home / "scripts"


def test_one_file_under_another_name_says_how_it_is_installed(dist, site):
    environment = {name: value for name, value in site.env.items() if name not in {"HOME", "PATH"}}
    done = run([dist / "korrigo-backup.pyz", "schedule", "install", "--cron"], site.home, **environment)
    assert done.returncode == 2
    assert f"hint: install -m 755 {dist / 'korrigo-backup.pyz'} /usr/local/bin/korrigo-backup" in done.stderr


def test_each_verb_has_a_manual_page_that_a_reader_of_manuals_takes(dist):
    pages = {path.name for path in (dist / "man").iterdir()}
    assert pages == {"korrigo-backup.1", *(f"korrigo-backup-{verb}.1" for verb in VERBS)}
    if shutil.which("mandoc"):
        linted = run(["mandoc", "-T", "lint", "-W", "error", *sorted((dist / "man").iterdir())], dist)
        assert (linted.returncode, linted.stdout) == (0, "")
    if shutil.which("man"):
        shown = run(
            ["man", "-l", dist / "man" / "korrigo-backup-verify.1"], dist, MANWIDTH="200", MAN_KEEP_FORMATTING=""
        ).stdout
        assert "korrigo-backup verify [OPTIONS]" in shown
        assert "--depth <structure|content|full>" in shown
