"""Build the site: `python -m docsite.build [--output DIRECTORY]`. A warning of Sphinx (a broken link) fails it."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from docsite import links
from docsite.pages import LANGUAGES, PROJECT, Page, navigation, pages, read, site_paths
from korrigo_backup import __version__

NOT_TRANSLATED = "*Cette page n'existe qu'en anglais.*\n\n"
LOCALES = {"en": "C.UTF-8", "fr": "fr_FR.UTF-8"}
DECISIONS = {"en": "Decisions", "fr": "Décisions"}


def translated_anchor(page: str, anchor: str, language: str) -> str:
    """Return an anchor of the English page as its translation has it: headings correspond by their order."""
    there, english = pages(language)[page], pages("en").get(page)
    if not anchor or english is None or there.source == english.source:
        return anchor
    known = links.anchors(read(english.source))
    if anchor[1:] not in known:
        return anchor
    return "#" + links.anchors(read(there.source))[known.index(anchor[1:])]


def staged(page: str, found: Page, language: str, source_dir: Path) -> str:
    """Return the text of a page with the links of the site; pictures that it shows are copied."""
    known, site = site_paths(), pages(language)

    def change(text: str, path: str, anchor: str) -> str | None:
        target = links.resolved(path, found.source)
        there = known.get(target)
        if there in site or there in ("index.md", "decisions/index.md"):
            anchor = translated_anchor(there, anchor, language) if there in site else anchor
            return links.relative(there, page) + anchor
        if there is not None:  # only in the other language
            href = links.relative(f"fr/{there.removesuffix('.md')}.html", page)
            return f'<a href="{href}" hreflang="fr">{text}</a>'
        if (PROJECT / target).is_file():
            copy = source_dir / "files" / target
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / target, copy)
            return links.relative(f"files/{target}", page)
        return None

    text = links.rewrite(read(found.source), change)
    if language == "fr" and found.translated:
        return links.set_french(text)
    if not found.translated:
        title, _, rest = text.partition("\n")
        text = f"{title}\n\n{NOT_TRANSLATED}{rest.lstrip()}"
    return text


def contents(title: str, names: list[str] | tuple[str, ...], *options: str) -> str:
    """Return a hidden table of contents for the navigation."""
    lines = ["", "```{toctree}", *options, f":caption: {title}", "", *names, "```", ""]
    return "\n".join(lines)


def stage(language: str, source_dir: Path) -> None:
    """Write the pages of a language, with links of the site and tables of contents, into `source_dir`."""
    site = pages(language)
    for page, found in site.items():
        path = source_dir / page
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(staged(page, found, language, source_dir), encoding="utf-8")
    decisions = sorted(page.removeprefix("decisions/").removesuffix(".md") for page in site if "decisions/" in page)
    title = DECISIONS[language]
    (source_dir / "decisions" / "index.md").write_text(
        f"# {title}\n" + contents(title, decisions, ":maxdepth: 1"), encoding="utf-8"
    )
    locale = {"LC_ALL": LOCALES[language], "LANGUAGE": language}
    done = subprocess.run(
        [sys.executable, "-m", "docsite.options", language],
        cwd=PROJECT,
        env=os.environ | locale,
        stdout=subprocess.PIPE,
        check=True,
    )
    (source_dir / "reference" / "options.md").write_bytes(done.stdout)
    with (source_dir / "index.md").open("a", encoding="utf-8") as index:
        for section in navigation(language):
            index.write(contents(section.title, section.pages, ":hidden:"))


def build(language: str, output: Path, work: Path) -> None:
    """Build one language into `output`. Raise CalledProcessError when Sphinx has a warning."""
    source = work / language
    stage(language, source)
    names = [page.removesuffix(".md") for page, found in pages(language).items() if not found.translated]
    other = pages("fr" if language == "en" else "en")
    environment = os.environ | {
        "DOCSITE_LANGUAGE": language,
        "DOCSITE_VERSION": __version__,
        "DOCSITE_NOT_TRANSLATED": " ".join(names),
        "DOCSITE_ALONE": " ".join(page.removesuffix(".md") for page in pages(language) if page not in other),
        "PYTHONPATH": os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }
    configuration = str(PROJECT / "docsite")
    arguments = ["--fail-on-warning", "--keep-going", "--quiet", "--builder", "html", "--conf-dir", configuration]
    doctrees = ["--doctree-dir", str(work / f"doctrees-{language}")]
    command = [sys.executable, "-m", "sphinx", *arguments, *doctrees, str(source), str(output)]
    subprocess.run(command, check=True, env=environment)


def write_versions(directory: Path) -> None:
    """Write the page that names the versions of the documentation in `directory`, the newest build first."""
    built = sorted(directory.glob("*/index.html"), key=lambda path: path.stat().st_mtime, reverse=True)
    versions = [path.parent.name for path in built]
    items = "".join(
        f'<li>{name}: <a href="{name}/index.html">English</a>, '
        f'<a href="{name}/fr/index.html" lang="fr">français</a></li>'
        for name in versions
    )
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>korrigo-backup</title>'
    (directory / "index.html").write_text(f"{head}<h1>korrigo-backup</h1><ul>{items}</ul></html>\n", encoding="utf-8")


def main() -> int:
    """Build both languages; French stands below the English site, in fr/."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=PROJECT / "dist" / "docs" / __version__)
    output = parser.parse_args().output
    shutil.rmtree(output, ignore_errors=True)
    with tempfile.TemporaryDirectory() as work:
        for language in LANGUAGES:
            try:
                build(language, output if language == "en" else output / language, Path(work))
            except subprocess.CalledProcessError:
                print(f"error: the pages in {language} have the problems above", file=sys.stderr)
                return 1
    write_versions(output.parent)
    print(f"✅ {output / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
