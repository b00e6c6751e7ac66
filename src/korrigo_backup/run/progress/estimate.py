"""How far a run is, and how long it still takes: from a former run of its kind and from the rate of its work."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from korrigo_backup.run.record import Outcome, Verb

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from korrigo_backup.run.record import Record, Timed
    from korrigo_backup.system.progress import Work

_BY_SUBJECT = frozenset({Verb.BACKUP, Verb.NIGHTLY, Verb.COPY})
"""Verbs whose subject decides on the steps; the subject of the others is the name of an artifact."""

_WINDOW = 20
"""Samples of a rate: ten seconds at two a second."""

_FEWEST = 3


class Rate:
    """Bytes a second over the last samples."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=_WINDOW)

    def add(self, at: float, size: int) -> float | None:
        """Add the bytes so far at a time in seconds; return the rate, None while it is not known."""
        if self._samples and size < self._samples[-1][1]:
            self._samples.clear()  # the work began anew
        self._samples.append((at, size))
        seconds = at - self._samples[0][0]
        if len(self._samples) < _FEWEST or seconds <= 0:
            return None
        return (size - self._samples[0][1]) / seconds


def former_run(records: Iterable[Record], verb: str, subject: str, steps: Sequence[str]) -> Record | None:
    """Return the newest run of this kind that was done and began with the same steps, None if there is none.

    A run of the same subject is preferred.
    """
    found = [
        one
        for one in records
        if one.verb == verb
        and one.outcome in {Outcome.DONE, Outcome.PARTLY}
        and one.seconds is not None
        and tuple(step.id for step in one.steps[: len(steps)]) == tuple(steps)
    ]
    same = [one for one in found if one.subject == subject]
    if same or verb in _BY_SUBJECT:
        return same[-1] if same else None
    return found[-1] if found else None


def work_left(work: Work, rate: float | None) -> float | None:
    """Return the seconds that a work still takes at this rate of bytes, None if its total or its rate is not known."""
    if not work.whole or not rate or work.size >= work.whole:
        return None
    return (work.whole - work.size) / rate


def time_left(
    former: Record | None, steps: Sequence[Timed], elapsed: float, works: Iterable[float | None]
) -> float | None:
    """Return the seconds that a run still takes, None if that is not known.

    `works` are the seconds that the works under way still take. What follows the present step takes as long as in the
    former run; the step itself as long as its longest work, or else the rest of its former time.
    """
    longest = max((one for one in works if one is not None), default=None)
    if former is None or former.seconds is None or not steps:
        return longest
    times = [step.at for step in former.steps] + [former.seconds]
    number = len(steps)
    if number >= len(times):
        return longest
    if longest is None:
        longest = times[number] - times[number - 1] - (elapsed - steps[-1].at)
        if longest < 0:
            return None  # the step takes longer than it did
    return longest + former.seconds - times[number]
