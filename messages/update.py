"""`make messages`: bring each catalogue to the texts of the source, and compile it.

New texts stand in the catalogue without a translation, and texts that the source has no more are removed. A test holds
that nothing is left untranslated, and that the compiled catalogue is that of the text file.
"""

from __future__ import annotations

import io
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "korrigo_backup"
LOCALE = SOURCE / "locale"
DOMAIN = "korrigo_backup"
LANGUAGES = ("fr",)

_METHODS = [
    ("report/**.py", "ignore"),  # both languages stand in its source
    ("status/metrics.py", "ignore"),  # the help of metrics is for monitors
    ("cli/**.py", "messages.extract:extract"),
    ("**.py", "messages.extract:extract"),
]
_NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)
_OPTIONS = {"cli/**.py": {"help": True}}


def source_texts() -> set[str]:
    """Return all texts of the source, and those that it has in pieces."""
    ours = extract_from_dir(str(SOURCE), _METHODS, _OPTIONS)
    in_pieces = extract_from_dir(
        str(ROOT / "messages"), [("in_pieces.py", "messages.extract:extract")], {"in_pieces.py": {"literal": True}}
    )
    return {str(found[2]) for found in (*ours, *in_pieces)}


def catalogue_of(language: str) -> dict[str, str]:
    """Return the texts of a language's catalogue with their translations, "" for none."""
    path = LOCALE / language / "LC_MESSAGES" / f"{DOMAIN}.po"
    with path.open("rb") as file:
        return {str(one.id): str(one.string) for one in read_po(file, locale=language) if one.id}


def updated(language: str, texts: set[str]) -> Catalog:
    """Return the catalogue of a language for these texts; translations of the others are dropped."""
    known = catalogue_of(language)
    made = Catalog(locale=language, domain=DOMAIN, fuzzy=False)
    for text in sorted(texts):
        made.add(text, known.get(text, ""))
    return made


def as_text(catalogue: Catalog) -> bytes:
    """Return the catalogue as gettext's text file, without dates."""
    out = io.BytesIO()
    write_po(out, catalogue, width=0, omit_header=True)
    return HEADER.encode() + out.getvalue()


def compiled(catalogue: Catalog) -> bytes:
    """Return the catalogue as gettext's binary file, which the command reads: the same for the same texts."""
    catalogue.creation_date = catalogue.revision_date = _NO_DATE
    out = io.BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


HEADER = """\
# Written by `make messages`, translated by people. A text is a template: keep its {names}, in any order.
msgid ""
msgstr ""
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=utf-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""


def _lines() -> Iterator[str]:
    texts = source_texts()
    for language in LANGUAGES:
        catalogue = updated(language, texts)
        directory = LOCALE / language / "LC_MESSAGES"
        (directory / f"{DOMAIN}.po").write_bytes(as_text(catalogue))
        (directory / f"{DOMAIN}.mo").write_bytes(compiled(updated(language, texts)))
        missing = sum(not one.string for one in catalogue if one.id)
        yield f"{language}: {len(texts)} texts, {missing} without a translation"


if __name__ == "__main__":
    sys.stdout.write("\n".join(_lines()) + "\n")
