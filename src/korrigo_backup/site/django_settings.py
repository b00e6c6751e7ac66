"""A site's Django settings, read through its manage.py before the site is configured."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.secret import Secret
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.site.manage import child_environment, understood
from korrigo_backup.system.run import Command, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_SECONDS = 60.0
"""Seconds; a site that needs longer to import its code is asked by hand."""

LIBPQ = ("sslmode", "sslrootcert", "sslcert", "sslkey", "passfile")
"""The OPTIONS of Django's database that are asked for: they are keys of [database]."""

_ASK = f"""
import json
from django.conf import settings
one = settings.DATABASES.get("default", {{}})
print("\\n" + json.dumps({{
    "engine": str(one.get("ENGINE", "")), "name": str(one.get("NAME", "")), "user": str(one.get("USER", "")),
    "host": str(one.get("HOST", "")), "port": str(one.get("PORT", "")), "media": str(settings.MEDIA_ROOT),
    "options": {{k: v for k, v in one.get("OPTIONS", {{}}).items() if isinstance(v, str) and k in {LIBPQ}}},
    "app": any(name.startswith("korrigo_backup.djangoapp") for name in settings.INSTALLED_APPS)}}))
"""
"""The output holds no password, which may be one of the database's OPTIONS, too."""

_ASK_LOGIN = """
import json
from django.conf import settings
print("\\n" + json.dumps(str(settings.DATABASES.get("default", {}).get("PASSWORD") or "")))
"""

_PLACES = (".", "backend", "src", "app", "server", "django", "web", "site")
_VENVS = (".venv", "venv", "env")


class SiteSettings(msgspec.Struct, frozen=True):
    """The default database and the media root; `app`: whether korrigo_backup.djangoapp is installed there."""

    engine: str
    name: str
    user: str
    host: str
    port: str
    media: str
    app: bool
    options: dict[str, str] = {}

    @property
    def is_postgres(self) -> bool:
        """Whether the database can be backed up by Method 1."""
        return "postgres" in self.engine or "postgis" in self.engine


@dataclass(frozen=True)
class Manage:
    """A manage.py that was found: how it is run, and where."""

    command: tuple[str, ...]
    directory: Path


def find_manage(directory: Path, environment: Mapping[str, str]) -> Manage | None:
    """Return the manage.py in `directory` or in a usual place below it, with the Python of its virtual environment."""
    for place in (directory / name for name in _PLACES):
        if (place / "manage.py").is_file():
            python = next(_pythons(directory, place, environment), sys.executable)
            return Manage((python, "manage.py"), place)
    return None


def ask(manage: Manage, environment: Mapping[str, str]) -> SiteSettings:
    """Return the settings; raises KorrigoBackupError with the last line of manage.py's output."""
    command = Command((*manage.command, "shell", "-c", _ASK), child_environment(environment, {}), manage.directory)
    return understood(run(command, timeout=_SECONDS), f"{' '.join(manage.command)} shell", SiteSettings)


def ask_password(manage: Manage, environment: Mapping[str, str]) -> Secret | None:
    """Return the password of the default database, None if the settings have none; raises as `ask`."""
    command = Command(
        (*manage.command, "shell", "-c", _ASK_LOGIN), child_environment(environment, {}), manage.directory
    )
    found = understood(run(command, timeout=_SECONDS), f"{' '.join(manage.command)} shell", str)
    return Secret(found) if found else None


def try_ask(manage: Manage, environment: Mapping[str, str]) -> SiteSettings | str:
    """Return the settings, or the reason why they cannot be read."""
    try:
        return ask(manage, environment)
    except KorrigoBackupError as problem:
        return problem.message


def _pythons(directory: Path, place: Path, environment: Mapping[str, str]) -> Iterator[str]:
    active = environment.get("VIRTUAL_ENV")
    homes = (
        [place / name for name in _VENVS] + [directory / name for name in _VENVS] + ([Path(active)] if active else [])
    )
    for home in homes:
        python = home / "bin" / "python"
        if os.access(python, os.X_OK):
            yield str(python.absolute())
