"""The values of a site's variables and configuration that may be secret: a report is free of them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from korrigo_backup.core.secret import Secret
from korrigo_backup.notify import address
from korrigo_backup.system.files import read_plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_SECRET_WORDS = re.compile(
    r"PASS|PWD|SECRET|TOKEN|KEY|URL|DSN|CREDENTIAL|AUTH|SALT|PIN\b|PRIVATE|WEBHOOK|SIGNATURE", re.IGNORECASE
)

_PATHS = re.compile(r"(OLD)?PWD|PGPASSFILE|SSH_AUTH_SOCK|XAUTHORITY|\w+_FILE")
"""Variables whose names sound like a secret, and whose values are paths, which other lines need."""

_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")

_LARGEST_CONFIGURATION = 1024 * 1024
"""Bytes."""

_SHORTEST = 8
"""Characters of a line of a secret that is looked for by itself: a shorter line is the end of a key, or a word."""


def secrets_in(configuration: Path) -> tuple[Secret, ...]:
    """Return the values of a configuration that may be secret, also where it cannot be understood."""
    try:
        text = read_plain(configuration, _LARGEST_CONFIGURATION).decode(errors="replace")
    except (OSError, ValueError):
        return ()
    found: list[Secret] = []
    for line in text.splitlines():
        name, _, rest = line.partition("=")
        is_secret = _SECRET_WORDS.search(name) and not _PATHS.fullmatch(name.strip().upper())
        for quoted in _QUOTED.findall(rest or name):
            value = quoted[1:-1]
            found += [Secret(value)] if value and is_secret else []
            found += address.secrets(Secret(value)) if "://" in value else ()
    return tuple(found)


def secret_values(environment: Mapping[str, str]) -> list[Secret]:
    """Return the values of all variables that may be secret, and their parts: they stand in logs, too.

    Of an address the password and the tokens, since a log has them without the rest; of a key in several lines each
    line, since the report goes line by line.
    """
    found: list[Secret] = []
    for name, value in environment.items():
        if value and _SECRET_WORDS.search(name) and not _PATHS.fullmatch(name):
            found += [Secret(value), *(Secret(line) for line in value.splitlines() if len(line) >= _SHORTEST)]
            found += address.secrets(Secret(value)) if "://" in value else ()
    return found
