"""Property tests with hypothesis, under the settings of this project: tests take all of its names from here.

A test without generated values starts without hypothesis, whose import takes longer than most unit tests.
"""

import os
from pathlib import Path

from hypothesis import HealthCheck, Phase, event, example, given, note, settings
from hypothesis import strategies as st

__all__ = ["HealthCheck", "Phase", "event", "example", "given", "note", "settings", "st"]

os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(Path(__file__).parents[1] / ".venv" / "cache" / "hypothesis")
settings.register_profile(
    "korrigo-backup",
    deadline=None,  # the machine may be busy
    database=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("korrigo-backup")
