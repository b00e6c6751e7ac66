"""The image of the sidecar as a file, built on a base of Debian's packages, so without any image registry."""

import json
import shutil
import subprocess
import tarfile

import pytest

from distribution.conftest import PROJECT
from korrigo_backup import __version__

pytestmark = pytest.mark.dist

BASE = "korrigo-test/python:3.11"
NAME = f"korrigo-backup:{__version__}"


def docker(*words):
    return subprocess.run(["docker", *map(str, words)], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    if not shutil.which("docker") or docker("image", "inspect", BASE).returncode:
        pytest.skip(f"there is no {BASE}: infra/docker/images/build.sh makes it")
    directory = tmp_path_factory.mktemp("image")
    recipe = ["make", "--silent", "--old-file=.venv/ready", "dist-image", f"DIST={directory}", f"BASE={BASE}"]
    done = subprocess.run(recipe, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    yield directory / "korrigo-backup-image.tar"
    docker("image", "rm", NAME)


def test_the_file_holds_the_image_under_the_name_of_its_version(image):
    with tarfile.open(image) as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest
        (described,) = json.load(manifest)
    assert described["RepoTags"] == [NAME]


def test_the_loaded_image_runs_without_root_a_capability_or_the_network(image):
    docker("image", "rm", NAME)
    assert docker("load", "--input", image).returncode == 0
    confined = ("run", "--rm", "--network", "none", "--cap-drop", "ALL", "--read-only", NAME)
    done = docker(*confined, "--version")
    assert (done.returncode, done.stdout) == (0, f"korrigo-backup {__version__}\n"), done.stderr
    assert docker(*confined[:-1], "--entrypoint", "pg_dump", NAME, "--version").returncode == 0
    assert docker(*confined[:-1], "--entrypoint", "id", NAME, "-u").stdout == "1000\n"
