"""The first signal ends a run; what Python says of a later one is not for a person."""

import os
import signal
import subprocess
import sys

ENDED = """
import os, signal, sys, time
from korrigo_backup.system.signals import EndingSignals

class Broken:
    def __init__(self, words):
        self.words = words

    def __del__(self):
        raise OSError(self.words)

EndingSignals([signal.SIGINT, signal.SIGTERM], SystemExit(7)).listen()
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(30)
finally:
    os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGTERM)
    Broken("Signal 2 ignored due to race condition")
    Broken("another problem")
"""


def test_the_first_signal_ends_the_run_and_later_ones_say_nothing():
    done = subprocess.run([sys.executable, "-c", ENDED], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 7
    assert "race condition" not in done.stderr
    assert "another problem" in done.stderr


def test_a_process_that_is_started_after_it_ignores_ctrl_c():
    child = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('alive')"
    program = ENDED.partition("finally:")[0] + (
        f"finally:\n    import subprocess\n    subprocess.run([sys.executable, '-c', {child!r}], check=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True, timeout=60, env=os.environ
    )
    assert (done.returncode, done.stdout) == (7, "alive\n")
    assert signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
