"""The locked packages install on the oldest Python that the project names: Debian 12 has 3.11.2."""

import re
import tomllib
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).parents[2]
OLDEST = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=") + ".0"
LOCKED = re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE)


def test_each_locked_package_takes_the_oldest_python():
    found = ((name, distribution(name).metadata) for name in LOCKED)
    wanted = {name: metadata["Requires-Python"] for name, metadata in found if "Requires-Python" in metadata}
    assert len(wanted) > len(LOCKED) / 2
    assert {name: python for name, python in wanted.items() if OLDEST not in SpecifierSet(python)} == {}


def test_each_package_that_only_the_oldest_python_needs_is_locked():
    """`pip-compile` leaves out the requirements that its own Python, a later 3.11, does not have."""
    locked = {name.lower().replace("_", "-") for name in LOCKED}
    environment = {"python_version": "3.11", "python_full_version": OLDEST, "extra": ""}
    needed = {
        f"{name} needs {one.name}"
        for name in LOCKED
        for one in map(Requirement, distribution(name).requires or ())
        if one.marker
        and "python" in str(one.marker)
        and "extra" not in str(one.marker)
        and one.marker.evaluate(environment)
        and one.name.lower().replace("_", "-") not in locked
    }
    assert needed == set()
