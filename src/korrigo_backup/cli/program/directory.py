"""The site's directory: the present one, or the nearest above it that has a configuration, as git has it.

Relative paths of the configuration begin at the site's directory, those of the command line where it was typed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from korrigo_backup.cli.program.verbs import VERBS
from korrigo_backup.config.place import directory_above

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE = frozenset({"init", "guard", "completion"})
"""Verbs that stay in the present directory: `init` is to write there, and the command of `guard` is to run there."""

_CONFIG = "--config"


def go_to_site(words: Sequence[str]) -> tuple[list[str], Path | None]:
    """Go to the site's directory if it is above the present one.

    Returns the command line with absolute paths in the place of relative ones that exist, and the directory that it was
    typed in, None if that is the site's.
    """
    ours = list(words[: words.index("--")] if "--" in words else words)
    verb = next((word for word in ours if word in VERBS), None)  # before it may stand a value, as of --lang
    if verb is None or verb in _HERE or any(word.partition("=")[0] == _CONFIG for word in ours):
        return list(words), None
    try:
        typed_in = Path.cwd()
        site = directory_above(typed_in)
    except OSError:  # the present directory is gone, or may not be looked at: the configuration says so
        return list(words), None
    if site is None:
        return list(words), None
    changed = [_absolute(typed_in, word) for word in ours] + list(words[len(ours) :])
    os.chdir(site)
    return changed, typed_in


def from_directory(command: Any, typed_in: Path) -> None:
    """Make the path options of a command, and of its subcommands, begin at the directory that they are typed in."""
    for parameter in command.params:
        if hasattr(parameter.type, "allow_dash"):
            parameter.type.convert = _joined(parameter.type.convert, typed_in)
    for inner in dict(getattr(command, "commands", {})).values():
        from_directory(inner, typed_in)


def _joined(convert: Any, typed_in: Path) -> Any:
    def converted(value: Any, parameter: Any, context: Any) -> Any:
        return convert(value if str(value) == "-" else str(typed_in / value), parameter, context)

    return converted


def _absolute(directory: Path, word: str) -> str:
    """Return a word, or the absolute path if it is that of an existing file.

    The word of a verb, an action or a choice has neither a slash nor a dot in it.
    """
    option, sign, value = word.partition("=") if word.startswith("-") else ("", "", word)
    if not value or not (os.sep in value or "." in value or _is_artifact(value)):
        return word
    path = directory / value
    return f"{option}{sign}{path}" if os.path.lexists(path) else word


def _is_artifact(name: str) -> bool:
    from korrigo_backup.artifact.naming import parse  # noqa: PLC0415 - only below the site's directory

    return parse(name) is not None
