"""The password of the database for a site that is reached directly: tried, and where it is refused, found elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.config.load import OWN_DOTENV
from korrigo_backup.core.dotenv import without, written
from korrigo_backup.errors import KorrigoBackupError, Unreachable
from korrigo_backup.system.files import explained, fsync_directory, replace_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from korrigo_backup.core.secret import Secret
    from korrigo_backup.site.site import Site

VARIABLE = "POSTGRES_PASSWORD"
_REFUSED = "server.password"


def is_refused(build: Callable[[], Site]) -> bool:
    """Return whether the server asks for another password than it got; any other failure is found by the checks.

    `build` returns the live site, or raises.
    """
    try:
        build().postgres.version()
    except Unreachable as problem:
        return problem.id == _REFUSED
    except KorrigoBackupError:
        return False
    return False


def accepted(candidates: Iterable[Secret], refused: Callable[[Secret], bool]) -> Secret | None:
    """Return the first password that the server does not refuse, None if it refuses all of them."""
    return next((one for one in candidates if one and not refused(one)), None)


def keep(directory: Path, password: Secret) -> Path:
    """Write the password into our own settings file, mode 600, in place of a former one; return the file.

    `.env` stays as it is: it is the site's, and its deployment may write it anew. Raises Refused if the directory may
    not be written to.
    """
    path = directory / OWN_DOTENV
    with explained(f"write {path}"):
        before = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
        others = without(before, VARIABLE)
        if others and not others.endswith("\n"):
            others += "\n"
        content = others + written(VARIABLE, password.reveal())
        replace_whole(path, content.encode("utf-8", errors="surrogateescape"))
        fsync_directory(directory)
    return path
