"""The runbook's scripts in a site's directory: which are ours, which are the site's own of the same name."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.system.files import explained, write_private
from korrigo_backup.system.installed import program_source

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = Path(__file__).parents[1] / "scripts"
PLACE = "scripts"
"""Where the runbook has them, below the site's directory."""

_MARK = b"command -v korrigo-backup >/dev/null ||"
"""Each script of ours looks for the command so; a site's own may name it, too, in a path for example."""

_NO_SOURCE = "FILE: its wheel, which make dist makes in a clone of the project"
"""The words of a script on where the program comes from, before it is known."""

_LARGEST = 1024 * 1024
_SEARCH = re.compile(r"^PATH=.*$", re.MULTILINE)
_MODE = 0o755


def foreign(directory: Path) -> list[Path]:
    """Return the site's own scripts that have the name of a script of ours."""
    there = (directory / PLACE / one.name for one in sorted(OURS.glob("*.sh")))
    return [path for path in there if path.is_file() and not _is_ours(path)]


def findings(directory: Path) -> Iterator[Finding]:
    """Yield a warning for each script that is not ours although the runbook's words on its name are about ours."""
    for path in foreign(directory):
        shown = path.relative_to(directory)
        yield warning(
            "scripts.foreign",
            f"{shown} is the site's own script, not that of this program: its backups are neither verified nor signed,"
            " and it takes no lock",
            "korrigo-backup init --scripts puts our script there and renames the site's; or type korrigo-backup",
        )


def ours(place: Path) -> Iterator[Path]:
    """Yield our scripts in a directory; one of the site's own with the same name is left out."""
    there = (place / one.name for one in sorted(OURS.glob("*.sh")))
    yield from (path for path in there if _is_ours(path))


def install(place: Path, command: Path, stamp: str) -> Iterator[tuple[Path, Path | None]]:
    """Put our scripts into a directory and yield each that changed, with the copy of the former script.

    They call `command`. Raises Refused if the directory may not be written to.
    """
    with explained(f"write {place}"):
        place.mkdir(parents=True, exist_ok=True)
        for one in sorted(OURS.glob("*.sh")):
            path = place / one.name
            found = f"PATH={shlex.quote(str(command.parent))}:$PATH"
            text = _SEARCH.sub(lambda _: found, one.read_text(encoding="utf-8"))  # noqa: B023 - used at once
            content = text.replace(_NO_SOURCE, _source()).encode()
            if path.is_file() and _content(path) == content:
                continue
            yield path, _put(path, content, stamp)


def _source() -> str:
    """Return the way to install the program again, where it can stand in the quoted text of a script."""
    source = program_source()
    return _NO_SOURCE if re.search(r"['%\\]", source) else source


def _put(path: Path, content: bytes, stamp: str) -> Path | None:
    kept = None
    if os.path.lexists(path) and not _is_ours(path):
        kept = path.with_name(f"{path.name}.bak-{stamp}")
        os.link(path, kept, follow_symlinks=False)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.unlink(missing_ok=True)
    write_private(fresh, content)
    fresh.chmod(_MODE)
    fresh.replace(path)
    return kept


def _is_ours(path: Path) -> bool:
    return path.is_file() and _MARK in _content(path)


def _content(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LARGEST)
