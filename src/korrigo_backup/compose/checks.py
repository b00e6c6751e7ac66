"""The containers' own health checks, run by us: the engine runs some of them only each half minute."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.system.run import Command, run

if TYPE_CHECKING:
    from datetime import datetime

    from korrigo_backup.compose.container import Container
    from korrigo_backup.compose.project import Project

SETTLING = 1.0
"""Seconds that a container has run before its check counts: a check of a file's age would find the file of before."""

_LONGEST = 10.0
"""Seconds for a check; where it needs more, the engine's own result is waited for."""

_PAUSE, _LONGEST_PAUSE = 0.3, 5.0

_NOT_THERE = frozenset({126, 127})
"""Exit statuses of `docker exec` for a program that the container does not have."""

_Start = tuple[str, "datetime"]


@dataclass
class _Asked:
    """When a start of a container was seen first, when its check is run next, and how long is waited after it."""

    seen: float
    due: float
    pause: float = _PAUSE
    passed: bool = False


@dataclass
class OwnChecks:
    """Runs the checks of containers that the engine calls `starting`, each with growing pauses."""

    project: Project
    _asked: dict[_Start, _Asked] = field(default_factory=dict)

    def passes(self, one: Container | None) -> bool:
        """Return whether a container's own check has passed since its last start."""
        if one is None or not one.running or one.health != "starting" or not one.probe:
            return False
        now = time.monotonic()
        asked = self._asked.setdefault((one.id, one.started), _Asked(now, now + SETTLING))
        if not asked.passed and now >= asked.due:
            asked.passed = self._run(one, asked)
        return asked.passed

    def _run(self, one: Container, asked: _Asked) -> bool:
        began = time.monotonic()
        command = Command(("docker", "exec", one.id, *one.probe), self.project.environment)
        try:
            status = run(command, timeout=min(one.patience or _LONGEST, _LONGEST)).status
        except KorrigoBackupError:  # it hangs in the container, and a second check would hang, too
            status = min(_NOT_THERE)
        now = time.monotonic()
        asked.due = float("inf") if status in _NOT_THERE else now + max(asked.pause, now - began)
        asked.pause = min(2 * asked.pause, _LONGEST_PAUSE)
        return status == 0
