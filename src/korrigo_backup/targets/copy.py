"""Copy artifacts to all targets at once; each target by itself, so that none keeps another from its copies.

A copy reads the backup directory and changes no backup in it.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from korrigo_backup.core.finding import Level
from korrigo_backup.errors import PartlyDone
from korrigo_backup.run.journal import recorded
from korrigo_backup.run.record import Verb
from korrigo_backup.system import lock
from korrigo_backup.targets.duplicity import DuplicityTarget
from korrigo_backup.targets.duplicity_copy import DuplicityCopy
from korrigo_backup.targets.target_copy import CopyOptions, TargetCopy, TargetResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.run.journal import JournaledSite
    from korrigo_backup.targets.destination import Destination

LOCK = ".copying"
"""The lock file of a copy: it does not keep a backup from being made."""

_NAMED = 3
"""Problems of a target that are named."""

_ENDING = 5.0
"""Seconds for the threads to see that they shall stop."""


def copy(catalog: Catalog, destinations: Sequence[Destination], options: CopyOptions) -> list[TargetResult]:
    """Copy every item to every target and return a result for each; Locked while another copy runs.

    The problems of a target are in its result: none is raised.
    """
    with lock.exclusive(catalog.directory / LOCK, "copy"):
        stop = threading.Event()
        kinds = (DuplicityCopy if isinstance(one.target, DuplicityTarget) else TargetCopy for one in destinations)
        copies = [kind(catalog, one, options, stop) for kind, one in zip(kinds, destinations, strict=True)]
        threads = [threading.Thread(target=one.run, name=one.result.name, daemon=True) for one in copies]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():  # a join without a limit would not let a signal through
                    thread.join(0.2)
        except BaseException:
            stop.set()
            for thread in threads:
                thread.join(_ENDING)
            raise
    return [one.result for one in copies]


def recorded_copy(
    catalog: Catalog, destinations: Sequence[Destination], options: CopyOptions, name: JournaledSite
) -> list[TargetResult]:
    """Copy as `copy` does, with a line in the journal that has the problems of the targets."""
    results: list[TargetResult] = []
    subject = ", ".join(one.name for one in destinations)
    with (
        suppress(PartlyDone),  # it is for the journal; the caller raises it after it has shown the results
        recorded(catalog.directory, name, Verb.COPY, subject, listener=options.listen) as running,
    ):
        results += copy(catalog, destinations, replace(options, listen=running.listen))
        running.bytes = sum(result.bytes for result in results)
        require_all(results)
    return results


def require_all(results: Sequence[TargetResult]) -> None:
    """Raise PartlyDone for targets that lack a copy, each with its reason; the local backups are not concerned."""
    bad = [result for result in results if result.problems]
    losses = [finding for result in results for finding in result.findings if finding.level is Level.LOSS]
    if not bad and not losses:
        return
    messages = [problem.message for result in bad for problem in result.problems[:_NAMED]]
    more = [(len(result.problems) - _NAMED, result.name) for result in bad]
    messages += [f"and {number} more on {name}" for number, name in more if number > 0]
    hints = [problem.hint for result in bad for problem in result.problems[:1]]
    raise PartlyDone(
        "; ".join([*messages, *(finding.message for finding in losses)]),
        hint="; ".join(dict.fromkeys([*hints, *(finding.hint for finding in losses)])),
        state="the backups on this machine are untouched; a copy that is not complete is not listed there",
    )
