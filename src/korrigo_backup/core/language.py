"""The language of the texts that exist in several: chosen by the locale as gettext chooses it."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class Language(StrEnum):
    """A language of our texts."""

    ENGLISH = "en"
    FRENCH = "fr"


def language(environment: Mapping[str, str]) -> Language:
    """Return the language of a locale, English for one that we have no texts in.

    The first of LC_ALL, LC_MESSAGES and LANG that is set is the locale. LANGUAGE, a list of languages by preference,
    goes before it, but for the locale C.
    """
    locale = next((found for name in ("LC_ALL", "LC_MESSAGES", "LANG") if (found := environment.get(name))), "C")
    if locale.partition(".")[0] in {"C", "POSIX"}:
        return Language.ENGLISH
    for name in [*filter(None, environment.get("LANGUAGE", "").split(":")), locale]:
        for known in Language:
            if name[:2].lower() == known and not name[2:3].isalpha():
                return known
    return Language.ENGLISH
