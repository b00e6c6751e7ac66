"""The seconds of a drill by phase: the measured time of a restore of this backup."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from korrigo_backup.run.record import Phase
from korrigo_backup.run.step import (
    AnonymisingCopy,
    LoadingThere,
    MakingPlace,
    PlaceMade,
    Proving,
    RemovingLoaded,
    Step,
    VerifyingArtifact,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from korrigo_backup.run.step import Listener

_BEGINS: dict[type, Phase] = {
    VerifyingArtifact: Phase.CHECK,
    MakingPlace: Phase.MAKE,
    PlaceMade: Phase.CHECK,
    LoadingThere: Phase.LOAD,
    Proving: Phase.PROVE,
    AnonymisingCopy: Phase.REMOVE,
    RemovingLoaded: Phase.REMOVE,
}
"""The steps with which a phase begins. Files are proven as they are written: that is a part of their load.

The later use of proven data is no part of a recovery."""


@dataclass
class Stopwatch:
    """Measures from its making on, in the phase `CHECK`, and goes on by the steps that it hears."""

    clock: Callable[[], float] = time.monotonic
    _spent: dict[Phase, float] = field(default_factory=dict)
    _phase: Phase = Phase.CHECK

    def __post_init__(self) -> None:
        self._since = self.clock()

    def begin(self, phase: Phase) -> None:
        """End the present phase and begin another."""
        now = self.clock()
        self._spent[self._phase] = self._spent.get(self._phase, 0.0) + now - self._since
        self._phase, self._since = phase, now

    def listening(self, listen: Listener) -> Listener:
        """Return a listener that measures and passes each step on."""

        def hear(step: Step) -> None:
            if phase := _BEGINS.get(type(step)):
                self.begin(phase)
            listen(step)

        return hear

    def phases(self) -> dict[str, float]:
        """Return the seconds of each phase so far, in the order of a drill."""
        self.begin(self._phase)
        return {str(phase): round(self._spent[phase], 3) for phase in Phase if phase in self._spent}
