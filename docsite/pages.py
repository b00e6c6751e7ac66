"""The pages of the site: which file of the project is which page, in which language."""

import tomllib
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
LANGUAGES = ("en", "fr")
FRENCH = "docs/fr/"
OUTSIDE = {
    "ARCHITECTURE.md": "project/architecture.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "benchmarks/README.md": "project/benchmarks.md",
}
"""Pages that stand outside docs/, since readers of a repository look for them there."""
GENERATED = {"decisions/index.md", "reference/options.md"}
"""Pages that docsite/build.py makes."""
INSTEAD = {"README.md": "index.md", "docs/decisions": "decisions/index.md"}
"""Where links to other paths lead."""


@dataclass(frozen=True)
class Page:
    """A page of the site in one language."""

    source: str
    """Its file, from the project."""
    translated: bool
    """Whether the file is in the language of the site."""


@dataclass(frozen=True)
class Section:
    """A caption of the navigation and its pages."""

    title: str
    pages: tuple[str, ...]


def read(source: str) -> str:
    """Return the text of a file of the project."""
    return (PROJECT / source).read_text(encoding="utf-8")


def english_pages() -> dict[str, str]:
    """Return path on the site and path in the project of each English page."""
    sources = sorted(path.relative_to(PROJECT).as_posix() for path in (PROJECT / "docs").rglob("*.md"))
    inside = {source.removeprefix("docs/"): source for source in sources if not source.startswith(FRENCH)}
    return inside | {page: source for source, page in OUTSIDE.items()}


def french_pages() -> dict[str, str]:
    """Return path on the site and path in the project of each page that is in French."""
    sources = sorted(path.relative_to(PROJECT).as_posix() for path in (PROJECT / FRENCH).rglob("*.md"))
    return {source.removeprefix(FRENCH): source for source in sources}


def pages(language: str) -> dict[str, Page]:
    """Return the pages of the site in `language` by their paths on it; a page without a translation is in English."""
    english = {page: Page(source, translated=language == "en") for page, source in english_pages().items()}
    if language == "en":
        return english
    return english | {page: Page(source, translated=True) for page, source in french_pages().items()}


def site_paths() -> dict[str, str]:
    """Return path in the project and path on the site of everything that a link may name."""
    named = {source: page for page, source in (*english_pages().items(), *french_pages().items())}
    return named | INSTEAD


def navigation(language: str) -> list[Section]:
    """Return the sections in their order, with the pages that this language has."""
    known = pages(language).keys() | GENERATED
    sections = tomllib.loads((PROJECT / "docsite" / "navigation.toml").read_text(encoding="utf-8"))["section"]
    found = (
        Section(section[language], tuple(page for page in section["pages"] if f"{page}.md" in known))
        for section in sections
    )
    return [section for section in found if section.pages]
