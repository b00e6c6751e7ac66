"""A page of a report as one HTML file: its style and its charts are in it, so that it can be sent and printed."""

from __future__ import annotations

from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from korrigo_backup.report.model import Mark
from korrigo_backup.report.tongue import Tongue, day

if TYPE_CHECKING:
    from korrigo_backup.report.model import Chart, Figure, Page, PageTable, Part

_MARKS = {Mark.GOOD: "✔", Mark.BAD: "✘", Mark.UNKNOWN: "?"}

_STYLE = """
:root { --good: #1a7f37; --bad: #c01c28; --unknown: #9a6700; --line: #d0d7de; --soft: #57606a; }
* { box-sizing: border-box; }
body { font: 15px/1.5 "DejaVu Sans", Arial, sans-serif; color: #1f2328; max-width: 60rem; margin: 2rem auto;
  padding: 0 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .5rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: 0 0 1rem; }
dt { color: var(--soft); } dd { margin: 0; }
.verdict { display: inline-block; padding: .25rem .9rem; border-radius: 1rem; color: #fff; font-weight: bold; }
.good { --mark: var(--good); } .bad { --mark: var(--bad); } .unknown { --mark: var(--unknown); }
.verdict { background: var(--mark); }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .8rem; margin: 1.2rem 0; }
.figure { border: 1px solid var(--line); border-top: 4px solid var(--mark); border-radius: .4rem; padding: .6rem .8rem;
  overflow-wrap: anywhere; }
.figure b { display: block; font-size: 1.15rem; } .figure span { color: var(--soft); font-size: .85rem; }
ul { list-style: none; padding: 0; margin: .4rem 0; } li { margin: .2rem 0; }
i.mark { font-style: normal; font-weight: bold; color: var(--mark); display: inline-block; min-width: 1.3rem; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .5rem; border-bottom: 1px solid var(--line);
  overflow-wrap: break-word; }
td:last-child { overflow-wrap: anywhere; }
th { color: var(--soft); white-space: nowrap; }
thead { display: table-header-group; } tr { break-inside: avoid; }
figure { margin: 1rem 0; break-inside: avoid; } figcaption { font-weight: bold; margin-bottom: .3rem; }
svg { width: 100%; height: auto; display: block; }
svg text { font: 11px "DejaVu Sans", Arial, sans-serif; fill: #57606a; }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .8rem; border-top: 1px solid var(--line);
  padding-top: .5rem; }
@page { size: A4; margin: 16mm 14mm; }
@media print { body { margin: 0; max-width: none; padding: 0; font-size: 11px; } h2 { break-after: avoid; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""

DOCTYPE = "<!DOCTYPE html>"
"""The beginning of every page: a file that begins with it may be replaced by a page."""

_WIDE, _HIGH, _LEFT, _BOTTOM, _TOP = 860, 200, 70, 24, 14
_THICKEST = 46.0
_FAR = 10


def html(page: Page) -> str:
    """Return the whole document; it loads nothing from anywhere, and runs no script."""
    facts = "".join(f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>" for label, value in page.facts)
    verdict = f'<p class="verdict {page.verdict[1]}">{escape(page.verdict[0])}</p>' if page.verdict else ""
    figures = "".join(map(_figure, page.figures))
    parts = "".join(_part(part, Tongue(page.lang)) for part in page.parts)
    foot = f"<footer>{escape(page.foot)}</footer>" if page.foot else ""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'{DOCTYPE}\n<html lang="{page.lang}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(page.title)}</title><style>{_STYLE}</style></head>\n<body>"
        f"<h1>{escape(page.title)}</h1><dl>{facts}</dl>{verdict}"
        f'<div class="figures">{figures}</div>\n{parts}{foot}</body></html>\n'
    )


def _figure(figure: Figure) -> str:
    return (
        f'<div class="figure {figure.mark}">{escape(figure.label)}<b>{escape(figure.value)}</b>'
        f"<span>{escape(figure.note)}</span></div>"
    )


def _part(part: Part, t: Tongue) -> str:
    bullets = "".join(
        f"<li>{_mark(bullet.mark) if bullet.mark else '– '}{escape(bullet.text)}</li>" for bullet in part.bullets
    )
    content = f"<ul>{bullets}</ul>" if bullets else ""
    content += "".join(_chart(chart, t) for chart in part.charts)
    content += _table(part.table) if part.table else ""
    return f"<section><h2>{escape(part.heading)}</h2>{content or f'<p>{escape(part.empty)}</p>'}</section>\n"


def _mark(mark: Mark) -> str:
    return f'<i class="mark {mark}">{_MARKS[mark]}</i>'


def _table(table: PageTable) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in table.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_mark(c) if isinstance(c, Mark) else escape(c)}</td>" for c in row) + "</tr>"
        for row in table.rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _chart(chart: Chart, t: Tongue) -> str:
    """Return bars by time, those over the target in another colour, and the target as a line.

    A target that is far above all values would flatten them: it is written above them, without a line.
    """
    highest = max(value for _, value in chart.points)
    is_far = highest * _FAR < chart.target
    top = 1.2 * (highest if is_far else max(highest, chart.target)) or 1.0
    floor = _HIGH - _BOTTOM

    def y(value: float) -> float:
        return floor - (floor - _TOP) * value / top

    level = _TOP if is_far else y(chart.target)
    label = f"{chart.limit} {t.duration(chart.target)}{' ↑' if is_far else ''}"
    line = (
        f'<line x1="{_LEFT}" y1="{level:.1f}" x2="{_WIDE - 10}" y2="{level:.1f}" stroke="#9a6700"'
        ' stroke-dasharray="6 4"/>'
    )
    shown = f'<text x="{_LEFT - 6}" y="{y(highest) + 4:.1f}" text-anchor="end">{escape(t.duration(highest))}</text>'
    first, last = chart.points[0][0], chart.points[-1][0]
    days = f'<text x="{_LEFT}" y="{_HIGH - 6}">{day(first)}</text>'
    if len(chart.points) > 1:
        days += f'<text x="{_WIDE - 10}" y="{_HIGH - 6}" text-anchor="end">{day(last)}</text>'
    bars = "".join(
        f'<rect x="{x - thick / 2:.1f}" y="{y(value):.1f}" width="{thick:.1f}" height="{floor - y(value):.1f}"'
        f' fill="{"#c01c28" if value > chart.target else "#2d6cb5"}">'
        f"<title>{day(at)}: {escape(t.duration(value))}</title></rect>"
        for (at, value), (x, thick) in zip(chart.points, _places(chart), strict=True)
    )
    return (
        f'<figure><figcaption>{escape(chart.title)}</figcaption><svg viewBox="0 0 {_WIDE} {_HIGH}" role="img"'
        f' aria-label="{escape(chart.title)}"><line x1="{_LEFT}" y1="{floor}" x2="{_WIDE - 10}" y2="{floor}"'
        f' stroke="#8c959f"/>{bars}{"" if is_far else line}'
        f'<text x="{_WIDE - 12}" y="{level - 4:.1f}" text-anchor="end">{escape(label)}</text>'
        f"{shown}{days}</svg></figure>"
    )


def _places(chart: Chart) -> list[tuple[float, float]]:
    """Return the middle and the width of each bar: by time, and so narrow that bars of other times stay apart."""
    first, last = chart.points[0][0], chart.points[-1][0]
    whole = (last - first).total_seconds()
    room = _WIDE - _LEFT - 10
    if not whole:
        return [(_LEFT + room / 2, _THICKEST)] * len(chart.points)
    xs = [_LEFT + room * (0.04 + 0.92 * (at - first).total_seconds() / whole) for at, _ in chart.points]
    thick = max(1.5, min([_THICKEST, *((later - former) * 0.7 for former, later in pairwise(xs) if later > former)]))
    return [(x, thick) for x in xs]
