"""The monitoring kit: rules, a dashboard and examples for monitors, put where an operator wants them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from korrigo_backup.errors import Refused
from korrigo_backup.system.files import PUBLIC_MODE, explained, replace_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TEMPLATES = Path(__file__).parents[1] / "monitoring"

_SITE = "/srv/korrigo"
_COMMAND = f"{_SITE}/venv/bin/korrigo-backup"
_KIT = f"{_SITE}/monitoring"
"""The example in the templates: a site's directory, the command that makes its backups, the place of the kit."""

_PLAIN = re.compile(r"/[A-Za-z0-9_./+-]+")
"""A path that needs no quoting in any of the files: each monitor has its own rules."""

_SCRIPT_MODE = 0o755


class MonitoredSite(NamedTuple):
    """The directory of a site, the command that makes its backups, and the place of the kit, all absolute."""

    directory: Path
    command: Path
    kit: Path

    @property
    def is_plain(self) -> bool:
        """Whether the files can name the paths; if not, they name those of the example."""
        return all(_PLAIN.fullmatch(str(path)) for path in self)


def files(site: MonitoredSite | None = None) -> dict[str, str]:
    """Return the texts of the kit by file name, with the paths of `site`, or with those of the example."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.iterdir()) if path.is_file()}
    if site is None or not site.is_plain:
        return texts
    values = {_COMMAND: str(site.command), _KIT: str(site.kit), _SITE: str(site.directory)}
    return {name: re.sub("|".join(values), lambda found: values[found[0]], text) for name, text in texts.items()}


def missing(place: Path, texts: Mapping[str, str]) -> list[Path]:
    """Return the files of the kit that a directory lacks. Raises Refused if another file has one of the names."""
    with explained(f"read {place}"):
        for path, text in ((place / name, text) for name, text in texts.items()):
            if path.exists() and not (path.is_file() and path.read_bytes() == text.encode()):
                raise Refused(
                    f"{path} exists already and is another file", hint=f"move it away: mv {path} {path}.former"
                )
    return [place / name for name in texts if not (place / name).exists()]


def install(paths: Sequence[Path], texts: Mapping[str, str]) -> None:
    """Write files of the kit, readable by all: they hold no secret. Raises Refused if one cannot be written."""
    for path in paths:
        with explained(f"write {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            replace_whole(path, texts[path.name].encode(), _SCRIPT_MODE if path.suffix == ".sh" else PUBLIC_MODE)
