"""The distribution, made once by the project's own recipe. make test-dist runs these tests: they fetch packages."""

import os
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PASSED_ON = ("PATH", "LANG", "PIP_CONFIG_FILE", "PIP_INDEX_URL", "PIP_CERT", "https_proxy", "no_proxy")


def clean_environment(home, **more):
    """Nothing of the development environment but the pip configuration of the machine."""
    found = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return found | {"HOME": str(home), "PIP_DISABLE_PIP_VERSION_CHECK": "1"} | more


@pytest.fixture(scope="session")
def dist(tmp_path_factory):
    """What `make dist` makes. The development environment is not made anew under a running test."""
    directory = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        ["make", "--silent", "--old-file=.venv/ready", "dist", f"DIST={directory}"],
        cwd=PROJECT,
        env=clean_environment(os.environ["HOME"]),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and ("Could not find a version" in done.stderr or "No matching distribution" in done.stderr):
        pytest.skip(f"the packages cannot be fetched here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stdout + done.stderr
    return directory
