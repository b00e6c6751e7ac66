"""The configuration of Sphinx; the language and the version come from docsite/build.py."""

import os
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LANGUAGE = os.environ["DOCSITE_LANGUAGE"]
NOT_TRANSLATED = frozenset(os.environ["DOCSITE_NOT_TRANSLATED"].split())
ALONE = frozenset(os.environ["DOCSITE_ALONE"].split())
OTHER = {"en": ("fr", "Français", "fr/"), "fr": ("en", "English", "../")}[LANGUAGE]

project = "korrigo-backup"
version = release = os.environ["DOCSITE_VERSION"]
language = LANGUAGE
extensions = ["myst_parser"]
nitpicky = True
myst_heading_anchors = 6
myst_heading_slug_func = "docsite.links.slug"

html_theme = "furo"
html_title = f"korrigo-backup {release}"
html_theme_options = {"navigation_with_keys": True}
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False
templates_path = [str(HERE / "templates")]
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/language.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}


def add_language(_app: Any, pagename: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    """Give a page the address of its other language, and mark an English page of the French site as English."""
    code, name, root = OTHER
    up, there = "../" * pagename.count("/"), "index" if pagename in ALONE else pagename
    context["other_language"] = {"code": code, "name": name, "href": f"{up}{root}{there}.html"}
    if pagename in NOT_TRANSLATED and "body" in context:
        context["body"] = f'<div lang="en">{context["body"]}</div>'


def setup(app: Any) -> None:
    """Register with Sphinx."""
    app.connect("html-page-context", add_language)
