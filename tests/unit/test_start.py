"""A unit test starts in a fraction of a second: it imports nothing of other tests."""

import subprocess
import sys
from pathlib import Path

LOAD = """
import sys, pytest

assert pytest.main(["-q", sys.argv[1]]) == 0
heavy = {"apprise", "django", "hypothesis", "psycopg", "sandbox", "typer"}
sys.exit(", ".join(sorted(heavy & set(sys.modules))) or 0)
"""


def test_a_unit_test_imports_neither_django_nor_hypothesis_nor_a_database_client():
    small = Path(__file__).parent / "core" / "test_excerpt.py"
    done = subprocess.run([sys.executable, "-c", LOAD, small], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
