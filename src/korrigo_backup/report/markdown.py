"""A page of a report as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.core.counted import counted
from korrigo_backup.report.model import Mark
from korrigo_backup.report.tongue import Tongue, in_french

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.report.model import Page, PageTable, Part

_MARKS = {Mark.GOOD: "✅", Mark.BAD: "❌", Mark.UNKNOWN: "❓"}


def markdown(page: Page) -> str:
    """Return the page as the runbook writes it (6.4); foreign text cannot open a tag or leave its line."""
    return "\n".join(_lines(page)).rstrip() + "\n"


def _lines(page: Page) -> Iterator[str]:
    yield f"# {page.title}"
    yield ""
    for label, value in page.facts:
        yield f"**{label}**: {_plain(value)}  "
    if page.verdict:
        yield f"**{_MARKS[page.verdict[1]]} {page.verdict[0]}**"
    yield ""
    for figure in page.figures:
        note = f" ({_plain(figure.note)})" if figure.note else ""
        yield f"- {_MARKS[figure.mark]} {figure.label}: {_plain(figure.value)}{note}"
    for part in page.parts:
        yield ""
        yield f"## {part.heading}"
        yield from _part(part, Tongue(page.lang))
    if page.foot:
        yield ""
        yield page.foot


def _part(part: Part, t: Tongue) -> Iterator[str]:
    for bullet in part.bullets:
        yield f"- {f'{_MARKS[bullet.mark]} ' if bullet.mark else ''}{_plain(bullet.text)}"
    for chart in part.charts:
        values = [value for _, value in chart.points]
        last, most = t.duration(values[-1]), t.duration(max(values))
        number = t(counted(len(values), "value"), in_french(len(values), "valeur"))
        yield (
            f"- {chart.title}: {number}, {t('last', 'dernier')} {last}, {t('highest', 'maximum')} {most},"
            f" {chart.limit} {t.duration(chart.target)}"
        )
    if part.table:
        yield from _table(part.table)
    if not (part.bullets or part.table or part.charts):
        yield f"- {part.empty}"


def _table(table: PageTable) -> Iterator[str]:
    yield ""
    yield f"| {' | '.join(table.header)} |"
    yield f"|{'---|' * len(table.header)}"
    for row in table.rows:
        cells = (_MARKS[cell] if isinstance(cell, Mark) else _plain(cell).replace("|", "\\|") for cell in row)
        yield f"| {' | '.join(cells)} |"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("<", "&lt;")
