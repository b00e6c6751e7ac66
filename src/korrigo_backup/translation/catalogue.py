"""The catalogues, one a language: gettext's, in `locale/`, made from the source by `make messages`."""

from __future__ import annotations

import gettext
from functools import cache
from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from korrigo_backup.core.language import Language
from korrigo_backup.translation.translator import Translator

if TYPE_CHECKING:
    from collections.abc import Callable

DOMAIN = "korrigo_backup"


@cache
def translator(language: Language) -> Callable[[str], str]:
    """Return the translator into a language; English texts stay as they are."""
    if language is Language.ENGLISH:
        return str
    with as_file(files("korrigo_backup") / "locale") as directory:
        catalogue = gettext.translation(DOMAIN, directory, [language], fallback=True)
    texts: dict[str, str] = getattr(catalogue, "_catalog", {})
    return Translator({text: translated for text, translated in texts.items() if text and isinstance(text, str)})
