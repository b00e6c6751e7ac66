"""Links of the pages: from paths in the project, as a reader of the repository follows them, to paths on the site."""

import os
import re
from collections.abc import Callable
from pathlib import PurePosixPath

LINK = re.compile(r"(?P<before>!?\[(?P<text>(?:`[^`]*`|[^\[\]`])*)\]\()(?P<target>[^()\s]+)(?P<after>\))")
FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)
CODE = re.compile(r"^ *(```|~~~).*?^ *\1|`[^`]+`", re.MULTILINE | re.DOTALL)
UNBROKEN = "\N{NO-BREAK SPACE}"
FOREIGN = ("https:", "http:", "mailto:")


def slug(heading: str) -> str:
    """Return the anchor of a heading as GitHub makes it, which readers of the repository follow, too."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower().replace(UNBROKEN, " ")).replace(" ", "-")


def headings(text: str) -> list[str]:
    """Return the headings of a page in their order, as plain text: without links and marks of code."""
    found = HEADING.findall(FENCE.sub("", text))
    return [re.sub(r"\[([^\]]*)\]\([^)]*\)|`", r"\1", heading) for heading in found]


def anchors(text: str) -> list[str]:
    """Return the anchors of the headings of a page; a heading that comes again gets a number."""
    seen: dict[str, int] = {}
    made = []
    for one in map(slug, headings(text)):
        number = seen.get(one, 0)
        made.append(f"{one}-{number}" if number else one)
        seen[one] = number + 1
    return made


def relative(target: str, page: str) -> str:
    """Return the path of `target` from the page `page`; both are paths on the site."""
    return PurePosixPath(os.path.relpath(target, PurePosixPath(page).parent)).as_posix()


def resolved(target: str, source: str) -> str:
    """Return the path in the project of a link `target` that stands in the file `source`."""
    return os.path.normpath(PurePosixPath(source).parent / target)


def rewrite(text: str, change: Callable[[str, str, str], str | None]) -> str:
    """Replace each link to a file. `change` gets the link's text, its path and its anchor (with `#`, or empty).

    It returns the new target, or HTML that replaces the whole link and begins with `<`, or None for no change.
    Code blocks and links within a page or to another host stay as they are.
    """

    def one(found: re.Match[str]) -> str:
        target = found["target"]
        if target.startswith(("#", *FOREIGN)):
            return found[0]
        path, mark, anchor = target.partition("#")
        changed = change(found["text"], path, mark + anchor)
        if changed is None:
            return found[0]
        return changed if changed.startswith("<") else found["before"] + changed + found["after"]

    parts, end = [], 0
    for fence in FENCE.finditer(text):
        parts += [LINK.sub(one, text[end : fence.start()]), fence[0]]
        end = fence.end()
    return "".join([*parts, LINK.sub(one, text[end:])])


def set_french(text: str) -> str:
    """Replace the blanks that stand at French punctuation by such as break no line; code stays as it is."""

    def one(prose: str) -> str:
        return re.sub(r"« ", f"«{UNBROKEN}", re.sub(r" (?=[:;!?»](?:\s|$))", UNBROKEN, prose))

    parts, end = [], 0
    for code in CODE.finditer(text):
        parts += [one(text[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, one(text[end:])])
