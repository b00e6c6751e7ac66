"""The wheel and the source distribution that `make dist-packages` builds install and run in a clean environment."""

import email
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from korrigo_backup import __version__

PROJECT = Path(__file__).parents[2]
WHEEL = f"korrigo_backup-{__version__}-py3-none-any.whl"
SOURCES = f"korrigo_backup-{__version__}.tar.gz"


def run(*command, directory=PROJECT):
    """Run a command with nothing of the development environment but the pip configuration of the machine."""
    needed = ("PATH", "HOME", "LANG", "PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_CERT", "https_proxy", "no_proxy")
    environment = {name: os.environ[name] for name in needed if name in os.environ}
    environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    return subprocess.run(command, cwd=directory, env=environment, capture_output=True, text=True, check=False)


def pip(*arguments):
    return run(sys.executable, "-m", "pip", "--quiet", *arguments)


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Build with the project's own recipe. The development environment is not made anew under a running test."""
    directory = tmp_path_factory.mktemp("dist")
    done = run("make", "--old-file=.venv/ready", "dist-packages", f"DIST={directory}")
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.fixture(scope="module")
def packages(dist, tmp_path_factory):
    """The libraries of the wheel in the versions of the lock file, and the backend that builds a wheel from sources."""
    directory = tmp_path_factory.mktemp("packages")
    locked = re.findall(r"^[a-z0-9.-]+==[^ ]+", (PROJECT / "requirements" / "dev.txt").read_text(), re.MULTILINE)
    versions = directory / "versions.txt"
    versions.write_text("\n".join(locked))
    done = pip("download", "--dest", directory, "--constraint", versions, dist / WHEEL, "hatchling", "editables")
    if done.returncode:
        pytest.skip(f"the libraries of the wheel cannot be downloaded here: {done.stderr.strip().splitlines()[-1]}")
    (directory / WHEEL).unlink()
    return directory


def metadata(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return email.message_from_bytes(wheel.read(name))


def test_both_files_have_the_version_of_the_package(dist):
    assert sorted(path.name for path in dist.iterdir()) == [WHEEL, SOURCES]
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        assert metadata(wheel)["Version"] == __version__


def test_the_wheel_holds_the_package_alone_and_its_scripts_are_executable(dist):
    with zipfile.ZipFile(dist / WHEEL) as wheel:
        entries = {entry.filename: entry.external_attr >> 16 for entry in wheel.infolist()}
    assert {name.split("/")[0] for name in entries} == {"korrigo_backup", f"korrigo_backup-{__version__}.dist-info"}
    assert "korrigo_backup/py.typed" in entries
    assert {"korrigo_backup/ci/gitlab-ci.yml", "korrigo_backup/ci/github-actions.yml"} <= set(entries)
    assert {"korrigo_backup/explain/errors.toml"} <= set(entries)
    assert "korrigo_backup/djangoapp/locale/fr/LC_MESSAGES/django.mo" in entries
    scripts = [mode for name, mode in entries.items() if name.startswith("korrigo_backup/scripts/")]
    assert scripts
    assert all(mode & 0o111 for mode in scripts)


def test_the_source_distribution_holds_all_that_git_has(dist):
    tracked = run("git", "ls-files")
    if tracked.returncode:
        pytest.skip("this tree is no checkout of git")
    with tarfile.open(dist / SOURCES) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert set(tracked.stdout.splitlines()) - names == set()


@pytest.mark.parametrize("name", [WHEEL, SOURCES])
def test_it_installs_and_runs_in_a_clean_environment(name, dist, packages, tmp_path):
    clean, empty = tmp_path / "clean", tmp_path / "empty"
    empty.mkdir()
    venv.create(clean)
    target = ("--python", clean / "bin" / "python", "install", "--no-compile", "--no-index", "--find-links", packages)
    done = pip(*target, dist / name)
    assert done.returncode == 0, done.stderr
    command = clean / "bin" / "korrigo-backup"

    version = run(command, "--version", directory=empty)
    assert (version.returncode, version.stdout) == (0, f"korrigo-backup {__version__}\n")

    helped = run(command, "--help", directory=empty)
    assert helped.returncode == 0
    assert "Exit codes" in helped.stdout

    listed = run(command, "list", directory=empty)
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "no backups" in listed.stdout
    assert list(empty.iterdir()) == []
