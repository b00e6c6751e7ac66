"""The options that every verb has, wherever they stand in the line that was typed."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from korrigo_backup.cli.program.document import JSON
from korrigo_backup.core.language import Language

if TYPE_CHECKING:
    from collections.abc import Sequence

LANG = "--lang"
_FLAGS = frozenset({"--timings", "--quiet", "-q", "--verbose", "-v"})


def common_first(words: Sequence[str]) -> list[str]:
    """Return a command line with the program's own flags before the verb and `--json` behind it: every verb has all."""
    end = words.index("--") if "--" in words else len(words)
    ours, rest = list(words[:end]), list(words[end:])
    flags, kept = [], []
    left = iter(ours)
    for word in left:
        if word == LANG:
            flags += [word, *([value] if (value := next(left, None)) is not None else [])]
        elif word in _FLAGS or word.startswith(f"{LANG}="):
            flags.append(word)
        elif word != JSON:
            kept.append(word)
    return [*flags, *kept, *([JSON] if JSON in ours else []), *rest]


def asked_language(words: Sequence[str]) -> Language | None:
    """Return the language of `--lang`, None without it and for one that does not exist.

    Words after `--` are those of another command.
    """
    ours = words[: words.index("--")] if "--" in words else words
    for word, value in pairwise([*ours, ""]):
        asked = value if word == LANG else word.partition("=")[2] if word.startswith(f"{LANG}=") else None
        if asked in list(Language):
            return Language(asked)
    return None
