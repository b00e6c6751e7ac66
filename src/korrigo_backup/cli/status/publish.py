"""Write how the backups stand to files that others read: the page in Django's admin, node_exporter."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.cli.output import say
from korrigo_backup.errors import KorrigoBackupError, PartlyDone, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from korrigo_backup.app.build import Wired
    from korrigo_backup.status.model import Status


@contextmanager
def shown(wired: Wired) -> Iterator[None]:
    """Write the files that `[status]` names after the block, however it ends.

    Raises PartlyDone when all of the block is done and a file could not be written.
    """
    try:
        yield
    except BaseException:
        try:
            _show(wired)
        except KorrigoBackupError as problem:
            say(f"⚠️ {problem.message}")
        raise
    try:
        _show(wired)
    except KorrigoBackupError as problem:
        raise PartlyDone(
            f"the run is done, but its status is not published: {problem.message}",
            hint=problem.hint,
            state="the work itself is complete",
        ) from None


def write_status(wired: Wired, place: Path) -> Status:
    """Write the facts of the status to a file that all may read, and return the status.

    Raises UsageError for a directory.
    """
    from korrigo_backup.app.build_status import facts, goals  # noqa: PLC0415 - as above
    from korrigo_backup.status import published  # noqa: PLC0415 - a night without a published status does not load it
    from korrigo_backup.status.evaluate import evaluate  # noqa: PLC0415 - as above
    from korrigo_backup.system.files import PUBLIC_MODE, explained, replace_whole  # noqa: PLC0415 - as above

    if place.is_dir():
        raise UsageError(f"{place} is a directory", hint="name a file in it, which the site's process can see")
    now = local_now()
    found, wanted = facts(wired, now=now, ask=True), goals(wired)
    with explained(f"publish the status in {place}"):
        replace_whole(place, published.encode(found, wanted), PUBLIC_MODE)
    return evaluate(found, wanted, now=now)


def write_metrics(wired: Wired, place: Path) -> None:
    """Write the metrics to a file that all may read."""
    from korrigo_backup.app.build_status import status  # noqa: PLC0415 - as above
    from korrigo_backup.status.metrics import metrics  # noqa: PLC0415 - as above
    from korrigo_backup.system.files import PUBLIC_MODE, explained, replace_whole  # noqa: PLC0415 - as above

    text = metrics(status(wired, now=local_now(), ask=True))
    with explained(f"write the metrics {place}"):
        replace_whole(place, text.encode(), PUBLIC_MODE)


def _show(wired: Wired) -> None:
    wanted = wired.config.status
    if wanted.publish:
        write_status(wired, wanted.publish)
    if wanted.textfile:
        write_metrics(wired, wanted.textfile)
