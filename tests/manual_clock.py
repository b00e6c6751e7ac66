"""A clock that only a wait moves on, in the place of the clock of `system/wait.py`."""

from korrigo_backup.system import wait


class ManualClock:
    """Counts the seconds that were slept."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        assert self.now < 3600, "it waits without end"


def install_clock(monkeypatch):
    clock = ManualClock()
    monkeypatch.setattr(wait, "time", clock)
    return clock
