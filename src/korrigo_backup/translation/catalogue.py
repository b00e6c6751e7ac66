"""The catalogues, one a language: gettext's, in `locale/`, made from the source by `make messages`."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from korrigo_backup.core.language import Language

if TYPE_CHECKING:
    from collections.abc import Callable

DOMAIN = "korrigo_backup"


@cache
def translator(language: Language) -> Callable[[str], str]:
    """Return the translator into a language; English texts stay as they are."""
    if language is Language.ENGLISH:
        return str
    import gettext  # noqa: PLC0415 - English needs none of it
    from importlib.resources import as_file, files  # noqa: PLC0415

    with as_file(files("korrigo_backup") / "locale") as directory:
        catalogue = gettext.translation(DOMAIN, directory, [language], fallback=True)
    from korrigo_backup.translation.translator import Translator  # noqa: PLC0415

    texts: dict[str, str] = getattr(catalogue, "_catalog", {})
    return Translator({text: translated for text, translated in texts.items() if text and isinstance(text, str)})
