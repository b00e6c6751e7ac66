"""The version stands in one place, and the changelog has its section."""

import re
from pathlib import Path

from korrigo_backup import __version__

PROJECT = Path(__file__).parents[2]
CHANGELOG = (PROJECT / "CHANGELOG.md").read_text(encoding="utf-8")


def headings():
    return re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)


def test_the_newest_version_of_the_changelog_is_that_of_the_package():
    unreleased, newest, *_ = headings()
    assert unreleased == "[Unreleased]"
    assert re.fullmatch(rf"\[{re.escape(__version__)}\] - \d{{4}}-\d\d-\d\d", newest)


def test_a_version_has_each_section_once_and_under_a_known_name():
    for part in re.split(r"^## ", CHANGELOG, flags=re.MULTILINE)[1:]:
        sections = re.findall(r"^### (.*)$", part, re.MULTILINE)
        assert len(sections) == len(set(sections)), part.splitlines()[0]
        assert set(sections) <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_packaging_reads_the_version_from_the_package():
    text = (PROJECT / "pyproject.toml").read_text(encoding="utf-8")
    assert not re.search(r"^version\s*=", text, re.MULTILINE)
    assert 'dynamic = ["version"]' in text
