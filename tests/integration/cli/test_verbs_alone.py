"""Each verb is loaded in a process of its own: none needs a module that only another verb imports."""

import subprocess
import sys

LOAD = """
import importlib, os, sys
import korrigo_backup.cli.main
from korrigo_backup.cli.program.verbs import VERBS

failed = []
for verb, entry in VERBS.items():
    if (child := os.fork()) == 0:
        importlib.import_module(f"korrigo_backup.cli.{entry.module}")
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        failed.append(verb)
sys.exit(" ".join(failed) or 0)
"""


def test_each_verb_loads_without_the_modules_of_the_others():
    done = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
