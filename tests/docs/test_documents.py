"""The documents say each thing once, have no gap, and name files that exist."""

import re
from collections import Counter
from pathlib import Path

import pytest

from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.notify.event import Event

PROJECT = Path(__file__).parents[2]
REFERENCE = sorted((PROJECT / "docs" / "reference").glob("*.md"))
DOCUMENTS = sorted([*PROJECT.glob("*.md"), *(PROJECT / "docs").rglob("*.md")])
PROMISES = [f"P{number}" for number in range(1, 12)]
GENERATED = {"dist", ".venv"}
"""Directories that `make` makes."""


def text(path):
    return path.read_text(encoding="utf-8")


def twice(items):
    return [item for item, count in Counter(items).items() if count > 1]


def paragraphs(path):
    """Return the paragraphs, items and rows of a document, each on a single line, without those of code blocks."""
    prose = re.sub(r"^ *```.*?^ *```", "", text(path), flags=re.MULTILINE | re.DOTALL)
    blocks = re.split(r"\n\s*\n|\n(?=\s*(?:[-*|]|\d+\.) ?)", prose)
    return [" ".join(block.split()) for block in blocks if block.strip()]


def quoted(path):
    """Return the paths between backticks in a document: those with a slash, or with the suffix of a file."""
    words = [word for found in re.findall(r"`([^`\n]+)`", text(path)) for word in found.split() if "NAME" not in word]
    return [
        word
        for word in words
        if re.fullmatch(r"[\w.-]+(/[\w.*-]+)*/?", word) and re.search(r"/|\.(py|md|po|sh|toml|txt|yaml)$", word)
    ]


def exists(path):
    """Whether a path is there, from the project or from the package. A name alone may be in any folder of either."""
    if path.split("/")[0] in GENERATED:
        return True
    package, tests = PROJECT / "src" / "korrigo_backup", PROJECT / "tests"
    if "/" in path:
        return any(list(place.glob(path.rstrip("/"))) for place in (PROJECT, package))
    return (PROJECT / path).exists() or any(list(place.rglob(path)) for place in (package, tests))


@pytest.mark.parametrize("page", REFERENCE, ids=lambda page: page.name)
def test_a_reference_page_names_no_id_twice(page):
    # a setting of the host and one of Django may have the same name: those stand in two sections
    sections = text(page).split("\n## ") if page.name == "configuration.md" else [text(page)]
    for section in sections:
        assert twice(re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)) == []


def test_the_french_readme_has_the_commands_of_the_english_one():
    def commands(name):
        blocks = re.findall(r"```console\n(.*?)```", text(PROJECT / name), re.DOTALL)
        return [re.sub(r"\s+#.*", "", line) for line in "".join(blocks).splitlines()]

    assert commands("LISEZMOI.md") == commands("README.md")
    assert "[Lisez-moi en français](LISEZMOI.md)" in text(PROJECT / "README.md").split("## ")[0]


def test_no_paragraph_stands_twice():
    assert twice(found for path in DOCUMENTS for found in paragraphs(path) if len(found) > 80) == []


def test_decisions_are_numbered_without_a_gap_and_named_as_their_headings():
    pages = sorted((PROJECT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    assert [page.name for page in pages if not text(page).startswith(f"# {int(page.name[:4])}. ")] == []


def test_every_promise_has_a_row_that_names_tests_which_exist():
    rows = dict(re.findall(r"^\| (P\d+) [^|]*\|[^|]*\| ([^|]*) \|$", text(PROJECT / "ARCHITECTURE.md"), re.MULTILINE))
    assert list(rows) == PROMISES
    for promise, tests in rows.items():
        named = re.findall(r"`([^`]+)`", tests)
        assert named, promise
        assert [path for path in named if not path.startswith("tests/") or not (PROJECT / path).exists()] == [], promise


@pytest.mark.parametrize(
    "name", ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/releasing.md", "docs/contributing/recipes.md"]
)
def test_every_path_that_a_page_for_contributors_names_exists(name):
    paths = quoted(PROJECT / name)
    assert paths
    missing = [path for path in paths if not exists(path)]
    assert missing == [], missing


def test_every_event_is_in_the_table_of_the_configuration():
    rows = re.findall(r"^\| `([a-z]+)` \|", text(PROJECT / "docs" / "reference" / "configuration.md"), re.MULTILINE)
    assert [event for event in Event if event not in rows] == []


def test_every_name_of_an_artifact_is_in_the_reference():
    page = text(PROJECT / "docs" / "reference" / "artifacts.md")
    prefixes = [prefix for spec in KINDS.values() for prefix in spec.prefixes.values()]
    assert prefixes
    assert [prefix for prefix in prefixes if prefix not in page] == []


def test_the_tests_that_the_makefile_names_exist():
    (named,) = re.findall(r"^OF_POSTGRES := (.*?[^\\])$", text(PROJECT / "Makefile"), re.MULTILINE | re.DOTALL)
    paths = named.replace("\\\n", " ").split()
    assert len(paths) > 1
    assert [path for path in paths if not (PROJECT / "tests" / "integration" / path).exists()] == []


@pytest.mark.parametrize("tier", ["unit", "integration"])
def test_a_folder_of_tests_is_a_folder_of_the_package(tier):
    tests = PROJECT / "tests" / tier
    folders = {path.parent.relative_to(tests) for path in tests.rglob("test_*.py")}
    assert len(folders) > 1
    assert {folder for folder in folders if not (PROJECT / "src" / "korrigo_backup" / folder).is_dir()} == set()


LONGEST = 100


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_lines_of_prose_wrap_at_100(path):
    """Tables, code blocks and a single long word, such as an address, cannot be wrapped."""
    prose = re.sub(r"^ *```.*?^ *```", "", text(path), flags=re.MULTILINE | re.DOTALL)
    long = [line for line in prose.splitlines() if len(line) > LONGEST and not line.startswith("|")]
    assert [line for line in long if len(line.split()) > 2] == []
