"""The last failure of each working directory, for `explain --last`: also of runs that never reached a site.

The journal stands in the backup directory, which is not known if the configuration is wrong, and has the runs of some
verbs alone. This file is of the user: `$XDG_STATE_HOME/korrigo-backup/failures.json`, by default in `~/.local/state`.
Under sudo it is root's, also where sudo leaves the caller's HOME.
"""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from datetime import datetime  # noqa: TC003 - msgspec reads it
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.paths import readable
from korrigo_backup.system.files import private_directory, read_plain, replace_whole

if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST = 20
"""Directories that are remembered."""

_LARGEST = 1024 * 1024


class FailedCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command that failed in a working directory: its verb, the id of its error, its exit code and its words.

    `at` is UTC. The words hold no secret of the site.
    """

    at: datetime
    directory: str
    verb: str
    id: str
    code: int
    message: str
    hint: str


def note(environment: Mapping[str, str], failure: FailedCommand) -> None:
    """Write a failure in place of the one before in its directory; where that is not possible, none is kept."""
    path = file(environment)
    if path is None:
        return
    failure = msgspec.structs.replace(
        failure,
        directory=readable(failure.directory),
        message=readable(failure.message),
        hint=readable(failure.hint),
    )
    others = [one for one in _read(path) if one.directory != failure.directory]
    with suppress(OSError):
        private_directory(path.parent)
        replace_whole(path, msgspec.json.encode([*others, failure][-_MOST:]) + b"\n")


def last(environment: Mapping[str, str], directory: Path) -> FailedCommand | None:
    """Return the last failure of this user in a directory, None if none is known."""
    path = file(environment)
    here = readable(str(directory))
    return next((one for one in _read(path) if one.directory == here), None) if path else None


def file(environment: Mapping[str, str]) -> Path | None:
    """Return the path of the file, None where the environment names no home."""
    state, home = Path(environment.get("XDG_STATE_HOME", "")), Path(environment.get("HOME", ""))
    base = state if state.is_absolute() else home / ".local" / "state"
    if _is_of_another_user(state if state.is_absolute() else home):
        base = Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".local" / "state"
    return base / "korrigo-backup" / "failures.json" if base.is_absolute() else None


def _is_of_another_user(directory: Path) -> bool:
    """Return whether a directory is of another user: sudo may leave the caller's HOME, and root would write in it."""
    try:
        return directory.is_absolute() and directory.stat().st_uid != os.geteuid()
    except OSError:
        return False


def _read(path: Path) -> list[FailedCommand]:
    with suppress(OSError, ValueError, msgspec.DecodeError):
        return msgspec.json.decode(read_plain(path, _LARGEST), type=list[FailedCommand])
    return []
