"""Facts about a service from the directory that its image is built from: base image, program, Django's media."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.compose.service import ServiceText

_LARGEST = 256 * 1024
"""Bytes of a Dockerfile or a settings module."""

_MANAGE_PLACES = ("", "backend", "src", "app", "server", "django", "web", "site")
_DEEPEST = 4
_FILES = 2000
"""How deep and how wide settings are looked for below a build context."""

_FROM = re.compile(r"^\s*FROM\s+(?:--\S+\s+)*(?P<image>\S+)(?:\s+AS\s+(?P<stage>\S+))?", re.IGNORECASE | re.MULTILINE)
_PROGRAM = re.compile(r"^\s*(?:CMD|ENTRYPOINT)\s+(.*)$", re.IGNORECASE | re.MULTILINE)
_MEDIA_ROOT = re.compile(r"^\s*MEDIA_ROOT\s*(?::\s*\w+\s*)?=\s*(.*)$", re.MULTILINE)
_TEXT = re.compile(r"""["']([^"'\n]+)["']""")
_LEFT_OUT = {"node_modules", "venv", "env", "site-packages", "static", "media", "tests", "migrations", "templates"}


def with_build(one: ServiceText, home: Path) -> ServiceText:
    """Return the service with the facts in its build context; `home` is the directory of the project's first file.

    `base` becomes the image that its image is made from, `program` the image's own command, `manage` whether a
    manage.py is copied from the context, `code` the directories of the container that are Python files of this machine.
    """
    one = replace(one, code=frozenset(volume.target for volume in one.volumes if is_code(home, volume.source)))
    if not one.context:
        return one
    context = home / one.context
    text = _text(context / (one.dockerfile or "Dockerfile"))
    manage = any((context / place / "manage.py").is_file() for place in _MANAGE_PLACES)
    return replace(one, base=_base(text), program=" ".join(_PROGRAM.findall(text)), manage=manage)


def media_names(one: ServiceText, home: Path) -> tuple[str, ...]:
    """Return the last part of each MEDIA_ROOT that settings in the build context of a service set, as written."""
    if not one.context:
        return ()
    found = []
    for path in islice(_settings(home / one.context), 50):
        for line in _MEDIA_ROOT.findall(_text(path)):
            found += [PurePosixPath(text.rstrip("/")).name for text in _TEXT.findall(line)[-1:]]
    return tuple(dict.fromkeys(name for name in found if name))


def is_code(home: Path, source: str) -> bool:
    """Return whether the source of a volume is a directory here with Python files in it."""
    if not source.startswith((".", "/")):
        return False
    try:
        return any(path.suffix == ".py" for path in islice((home / source).iterdir(), _FILES))
    except OSError:
        return False


def _settings(top: Path) -> Iterator[Path]:
    seen = 0
    for place, directories, files in os.walk(top):
        depth = len(Path(place).relative_to(top).parts)
        kept = [name for name in directories if not name.startswith(".") and name not in _LEFT_OUT]
        directories[:] = sorted(kept) if depth < _DEEPEST else []
        seen += len(files)
        if seen > _FILES:
            return
        for name in sorted(files):
            if name.endswith(".py") and ("settings" in name or Path(place).name in ("settings", "config")):
                yield Path(place) / name


def _base(text: str) -> str:
    """Return the image of the last stage of a Dockerfile; if that is another stage, return the image of that stage."""
    stages: dict[str, str] = {}
    image = ""
    for found in _FROM.finditer(text):
        image = stages.get(found["image"].lower(), found["image"])
        if found["stage"]:
            stages[found["stage"].lower()] = image
    return image


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST).decode(errors="replace") if path.is_file() else ""
    except OSError:
        return ""
