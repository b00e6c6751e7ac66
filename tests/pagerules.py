"""What is wrong with a page by the rules of axe-core: three widths, light and dark."""

import itertools
from typing import Any

WIDTHS = (390, 1280, 1920)
LOOKS = [*itertools.product(("light", "dark"), WIDTHS)]

CUT = """() => {
    const wide = document.documentElement.scrollWidth > document.documentElement.clientWidth;
    const hidden = [...document.querySelectorAll(".korrigo-scroll")].filter(scroll =>
        scroll.scrollWidth > scroll.clientWidth + 1 && !scroll.parentElement.classList.contains("korrigo-more-right"));
    const proofs = [...document.querySelectorAll(".korrigo-proof")].filter(
        cell => cell.getBoundingClientRect().right > document.documentElement.clientWidth);
    return [wide, hidden.length, proofs.length];
}"""
"""Whether the page is wider than the window; tables that scroll and do not show it; proofs that are out of sight."""


def problems(axe: Any, page: Any) -> list[tuple[object, ...]]:
    """What is wrong with a page, at each width, light and dark: rule, target and words of axe-core; cut parts."""
    found: list[tuple[object, ...]] = []
    for scheme, width in LOOKS:
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("Promise.all(document.getAnimations().map(one => one.finished)).then(() => {})")
        rules = axe.run(page).response["violations"]
        found += [
            (scheme, width, rule["id"], one["target"], one["failureSummary"]) for rule in rules for one in rule["nodes"]
        ]
        cut = page.evaluate(CUT)
        found += [(scheme, width, "cut", cut)] if any(cut) else []
    return found
