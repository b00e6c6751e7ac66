"""The site's directory: the present one, or the nearest above it that has a configuration, as git has it.

Relative paths of the configuration begin at the site's directory, those of the command line where it was typed.
"""

from __future__ import annotations

import os
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from korrigo_backup.cli.program.verbs import VERBS
from korrigo_backup.config.place import directory_above

if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE = frozenset({"init", "guard", "completion"})
"""Verbs that stay in the present directory: `init` is to write there, and the command of `guard` is to run there."""

_CONFIG = "--config"


_NAMES_OR_PATHS = frozenset({"artifact", "artifacts", "file", "identity", "later", "saved"})
"""Parameters of texts that may be paths."""

_OF_VERB = {"hold": {"name"}, "rebuild": {"source"}, "report": {"name"}}
"""Such parameters whose name is another thing in other verbs."""


def go_to_site(words: Sequence[str]) -> Path | None:
    """Go to the site's directory if it is above the present one.

    Returns the directory that the command line was typed in, None if that is the site's. Raises UsageError if the
    configuration above is another user's.
    """
    ours = list(words[: words.index("--")] if "--" in words else words)
    verb = next((word for word in ours if word in VERBS), None)  # before it may stand a value, as of --lang
    if verb is None or verb in _HERE or any(word.partition("=")[0] == _CONFIG for word in ours):
        return None
    try:
        typed_in = Path.cwd()
        site = directory_above(typed_in)
    except OSError:  # the present directory is gone, or may not be looked at: the configuration says so
        return None
    if site is None:
        return None
    os.chdir(site)
    return typed_in


def from_directory(command: Any, typed_in: Path, verb: str) -> None:
    """Make the paths of a command, and of its actions, begin at the directory that they are typed in."""
    texts = _NAMES_OR_PATHS | _OF_VERB.get(verb, set())
    for parameter in command.params:
        if hasattr(parameter.type, "allow_dash"):
            parameter.type.convert = _joined(parameter.type.convert, typed_in)
        elif parameter.name in texts:
            parameter.type = copy(parameter.type)  # that of texts is the same object for all parameters
            parameter.type.convert = _found(parameter.type.convert, typed_in)
    for inner in dict(getattr(command, "commands", {})).values():
        from_directory(inner, typed_in, verb)


def _joined(convert: Any, typed_in: Path) -> Any:
    def converted(value: Any, parameter: Any, context: Any) -> Any:
        return convert(value if str(value) == "-" else str(typed_in / value), parameter, context)

    return converted


def _found(convert: Any, typed_in: Path) -> Any:
    def converted(value: Any, parameter: Any, context: Any) -> Any:
        return convert(_absolute(typed_in, str(value)), parameter, context)

    return converted


def _absolute(directory: Path, word: str) -> str:
    """Return a word, or the absolute path if it is that of an existing file.

    The name of an artifact that is meant otherwise (latest, a date, a beginning) is not that of a file.
    """
    if not (os.sep in word or "." in word or _is_artifact(word)):
        return word
    path = directory / word
    return str(path) if os.path.lexists(path) else word


def _is_artifact(name: str) -> bool:
    from korrigo_backup.artifact.naming import parse  # noqa: PLC0415 - only below the site's directory

    return parse(name) is not None
