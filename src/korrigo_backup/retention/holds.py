"""The holds of a site, in a private file in the backup directory (`.holds.json`).

A file that cannot be read stops every removal: it must never be taken for an empty list of holds. An empty file is such
a file: content that is written here begins with a bracket.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.errors import NotFound, Refused, UsageError
from korrigo_backup.retention.hold import Hold, standing
from korrigo_backup.system import lock
from korrigo_backup.system.files import explained, fsync_directory, open_plain, write_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog

FILE = ".holds.json"
_LOCK = ".holds.lock"
_LARGEST = 16 * 1024 * 1024
"""Bytes: some fifty thousand holds."""


def read(directory: Path) -> tuple[Hold, ...]:
    """Return every hold, also ended holds, oldest first; Refused when the file is there and cannot be read."""
    try:
        with explained(f"read the holds {directory / FILE}"), _opened(directory / FILE) as raw:
            return () if raw is None else tuple(msgspec.json.decode(raw, type=list[Hold]))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as problem:
        raise Refused(
            f"the holds {directory / FILE} cannot be read: {problem}",
            hint="correct the file or put it back from a copy: until then no backup is removed",
        ) from None


def on(catalog: Catalog, artifact: Artifact, now: datetime) -> Hold | None:
    """Return the hold on an artifact, or on a restore point that it is a component of; None without a hold."""
    held = standing(read(catalog.directory), now)
    if not held:
        return None
    name = artifact.name
    points = (one for one in catalog.artifacts() if one.name in held and one.header)
    of = [p.name for p in points if p.header and name in {p.header.database_backup, p.header.media_backup}]
    return next((held[one] for one in (name, *of) if one in held), None)


def add(directory: Path, hold: Hold, *, dry_run: bool = False) -> None:
    """Add a hold; with `dry_run` only see whether that is possible.

    Raises UsageError for a hold that has ended already, or for the same name and holder twice.
    """
    if hold.until is not None and hold.until <= hold.since:
        day = f"{hold.until.astimezone():%Y-%m-%d}"
        raise UsageError(f"{day} has passed", hint="name a later day, or leave --until out")
    with _alone(directory):
        known = read(directory)
        for one in known:
            if (one.name, one.holder) == (hold.name, hold.holder) and one.stands(hold.since):
                raise UsageError(
                    f"{hold.name} is {one.described()}",
                    hint=f"to change it, release it first: korrigo-backup hold release {hold.name} --by {hold.holder}",
                )
        if not dry_run:
            _write(directory, (*known, hold))


def release(directory: Path, name: str, holder: str | None, *, dry_run: bool = False) -> tuple[Hold, ...]:
    """Take away the holds on `name`, all or those of a holder; return them. NotFound when there is none.

    With `dry_run` they stay.
    """
    with _alone(directory):
        known = read(directory)
        gone = tuple(one for one in known if one.name == name and holder in {None, one.holder})
        if not gone:
            names = sorted({one.name for one in known})
            raise NotFound(
                f"there is no hold on {name}" + (f" for {holder}" if holder else ""),
                hint=f"held are: {first_of(names, 5) or 'none'}; korrigo-backup hold list",
            )
        if not dry_run:
            _write(directory, tuple(one for one in known if one not in gone))
    return gone


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep other changes of the holds out: not the site's lock, since a hold must be possible during a long backup."""
    with lock.exclusive(directory / _LOCK, "change of the holds"), explained(f"write the holds {directory / FILE}"):
        yield


@contextmanager
def _opened(path: Path) -> Iterator[bytes | None]:
    """Yield the content of the file, None without a file: an empty file has lost its holds."""
    try:
        file = open_plain(path)
    except FileNotFoundError:
        yield None
        return
    with file:
        yield file.read(_LARGEST)


def _write(directory: Path, holds: tuple[Hold, ...]) -> None:
    fresh = directory / f"{FILE}.{os.getpid()}"
    fresh.unlink(missing_ok=True)
    write_private(fresh, msgspec.json.format(msgspec.json.encode(holds), indent=2) + b"\n")
    fresh.replace(directory / FILE)
    fsync_directory(directory)
