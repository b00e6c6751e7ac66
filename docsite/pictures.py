"""Pictures of a terminal as SVG: the commands of a page with the lines that they printed (`make pictures`)."""

import io
import re
from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

GAP = "…"
COLUMNS = 100
_STYLES = {"✅": "green", "⚠": "yellow", "❌": "red", GAP: "dim"}


def shown(expected: Iterable[str], printed: str) -> list[str]:
    """Return the printed lines that a page shows; a line `…` of the page stands for those that it leaves out.

    Raises StopIteration if a line of the page was not printed.
    """
    lines = iter(printed.splitlines())
    found: list[str] = []
    for one in expected:
        if one == GAP:
            found.append(GAP)
            continue
        pattern = ".*".join(map(re.escape, one.rstrip().split(GAP))) + " *"
        found.append(next(line for line in lines if re.fullmatch(pattern, line)))
    return found


def svg(title: str, typed: Iterable[tuple[str, list[str]]]) -> str:
    """Return a picture of commands and their lines. It names no address, so that a page with it loads nothing more."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    for command, lines in typed:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        for line in lines:
            style = next((style for mark, style in _STYLES.items() if line.startswith(mark)), "")
            console.print(Text(line, style=style, overflow="ellipsis", no_wrap=True))
    made = console.export_svg(title=title, unique_id="terminal")
    made = re.sub(r"@font-face \{.*?\}", "", made, flags=re.DOTALL)
    return re.sub(r"<!--.*?-->", "", made, flags=re.DOTALL)
