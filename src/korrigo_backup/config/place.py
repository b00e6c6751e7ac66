"""The directory of a site's configuration: the present directory, or one above it, as git looks for its repository."""

from __future__ import annotations

import os
import pwd
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_NAME = "korrigo-backup.toml"


def directory_above(start: Path) -> Path | None:
    """Return the nearest directory above `start` with a configuration, None if `start` has one or no directory has.

    A configuration names commands that are run. Raises UsageError for one of another user than root, this user, and for
    root the user who called sudo, and for a link that another user has made (docs/decisions/0050).
    """
    if os.path.lexists(start / FILE_NAME):
        return None
    found = next((above for above in start.absolute().parents if (above / FILE_NAME).is_file()), None)
    if found is None:
        return None
    if strangers := _owners(found / FILE_NAME) - _trusted(os.environ):
        raise UsageError(
            f"{found / FILE_NAME} belongs to {_named(min(strangers))}, and is not used from a directory below it",
            hint=f"if you trust it, go there: cd {shlex.quote(str(found))}; or name it: --config"
            f" {shlex.quote(str(found / FILE_NAME))}",
        )
    return found


def _trusted(environment: Mapping[str, str]) -> set[int]:
    trusted = {0, os.geteuid()}
    caller = environment.get("SUDO_UID", "")
    if os.geteuid() == 0 and caller.isascii() and caller.isdecimal():
        trusted.add(int(caller))
    return trusted


def _named(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"user {user}"


def _owners(path: Path) -> set[int]:
    return {path.stat().st_uid, path.lstat().st_uid}
