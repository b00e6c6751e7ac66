"""The documentation as a site: whole, strict, in two languages, and without a foreign host."""

import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from docsite import links
from docsite.pages import GENERATED, LANGUAGES, english_pages, french_pages, navigation, read

from docs.console import commands
from docs.test_documents import PROJECT
from docs.test_reference import verbs

LOADED = {
    "link": "href",
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}


class Document(HTMLParser):
    """The ids of a built page, the addresses it loads and those it links to."""

    def __init__(self, path):
        super().__init__()
        self.ids, self.loaded, self.linked, self.language = set(), [], [], None
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "html":
            self.language = given.get("lang")
        if "id" in given:
            self.ids.add(given["id"])
        if tag in LOADED and given.get(LOADED[tag]):
            self.loaded.append(given[LOADED[tag]])
        if tag == "a" and given.get("href"):
            self.linked.append(given["href"])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    output = tmp_path_factory.mktemp("docs") / "site"
    command = [sys.executable, "-m", "docsite.build", "--output", output]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {path: Document(path) for path in output.rglob("*.html")}, output


def test_the_navigation_has_each_page_once():
    for language in LANGUAGES:
        named = Counter(page for section in navigation(language) for page in section.pages)
        pages = {page.removesuffix(".md") for page in english_pages() if not page.startswith("decisions/")}
        if language == "fr":
            pages |= {page.removesuffix(".md") for page in french_pages()}
        assert named == Counter((pages - {"index"}) | {page.removesuffix(".md") for page in GENERATED})


def test_every_page_is_built_in_both_languages(built):
    documents, output = built
    for page in english_pages():
        name = page.replace(".md", ".html")
        assert documents[output / name].language == "en"
        assert documents[output / "fr" / name].language == "fr"


def test_every_link_leads_to_a_page_and_an_anchor_that_exist(built):
    documents, output = built
    lost = []
    for path, document in documents.items():
        for href in document.linked:
            parts = urlsplit(href)
            if parts.scheme:
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not there.is_file() or (
                parts.fragment and unquote(parts.fragment) not in documents[there].ids | {"top", ""}
            ):
                lost.append(f"{path.relative_to(output)}: {href}")
    assert lost == []


def test_no_page_loads_anything_from_another_host(built):
    documents, output = built
    loaded = {address for document in documents.values() for address in document.loaded}
    assert len(loaded) > 3
    assert [address for address in loaded if urlsplit(address).netloc] == []
    styles = "".join(path.read_text(encoding="utf-8") for path in output.rglob("*.css"))
    assert re.findall(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", styles) == []


def test_the_options_are_those_of_the_command(built):
    _documents, output = built
    written = (output / "reference" / "options.html").read_text(encoding="utf-8")
    missing = [verb for verb in verbs() if f'id="{verb}"' not in written]
    assert missing == []
    assert "hold release" in written
    assert "--with-media" in re.sub(r"<[^>]+>", "", written)


def test_each_language_has_its_own_search(built):
    _documents, output = built
    for language, stemmer in {"": "EnglishStemmer", "fr": "FrenchStemmer"}.items():
        assert (output / language / "searchindex.js").stat().st_size > 10_000
        assert stemmer in (output / language / "_static" / "language_data.js").read_text(encoding="utf-8")


def test_a_translation_has_the_headings_of_its_page():
    for page, source in french_pages().items():
        english = english_pages().get(page)
        if english and page != "index.md":
            assert len(links.headings(read(source))) == len(links.headings(read(english))), source


@pytest.mark.parametrize("page", sorted(french_pages().keys() & english_pages().keys()))
def test_a_translation_has_the_commands_of_its_page(page):
    def typed(source):
        return [re.sub(r" +# .*$", "", one.command) for one in commands(read(source))]

    assert typed(french_pages()[page]) == typed(english_pages()[page])


def test_the_anchor_of_a_heading_is_that_of_a_reader_of_the_repository():
    text = "# A `key`: [one](x.md), two\n\n```\n# no heading\n```\n## Again\n## Again\n## Déjà vu, l'été\n"
    assert links.anchors(text) == ["a-key-one-two", "again", "again-1", "déjà-vu-lété"]


def test_french_punctuation_does_not_begin_a_line():
    assert links.set_french("« Oui » : `a : b` ; non ?") == "«\xa0Oui\xa0»\xa0: `a : b`\xa0; non\xa0?"
    assert links.slug("Méthode 1\xa0: base") == links.slug("Méthode 1 : base")


def test_links_in_code_blocks_stay_as_they_are():
    text = "[`[a]`](b.md#c)\n```\n[a](b.md)\n```\n[d](https://e.example)"
    changed = links.rewrite(text, lambda _text, path, anchor: f"site/{path}{anchor}")
    assert changed == "[`[a]`](site/b.md#c)\n```\n[a](b.md)\n```\n[d](https://e.example)"
