"""The charts of the admin page: the sizes of the good backups over time, a line for each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.template.defaultfilters import filesizeformat

from korrigo_backup.artifact.kinds import KINDS, Kind, Origin
from korrigo_backup.djangoapp.status.wording import kind_label

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.artifact.artifact import Artifact

IN_A_CHART = 400
"""Points of a line: more cannot be distinguished on a screen, and would only make the page heavy."""


def drawing(good: Sequence[Artifact]) -> dict[str, Any]:
    """Return the charts for the template, and `drawing`, the data for the script."""
    charts = [chart for kind, spec in KINDS.items() if not spec.components and (chart := _chart(good, kind))]
    return {"charts": charts, "drawing": {"charts": charts, "units": [_unit(1024**power) for power in range(6)]}}


def _chart(good: Sequence[Artifact], kind: Kind) -> dict[str, Any] | None:
    """Return the sizes of a kind, oldest first, as milliseconds since 1970 and bytes; None for fewer than two."""
    alike = [artifact for artifact in reversed(good) if artifact.kind is kind and artifact.origin is Origin.ROUTINE]
    if len(alike) <= 1:
        return None
    step = -(-len(alike) // IN_A_CHART)
    kept = alike[::-1][::step][::-1]  # the newest always
    return {
        "id": f"korrigo-chart-{kind.value}",
        "label": kind_label(kind),
        "count": len(alike),
        "first": kept[0].size,
        "last": kept[-1].size,
        "points": [{"x": int(a.created.timestamp() * 1000), "y": a.size} for a in kept],
    }


def _unit(size: int) -> str:
    """Return the word that stands after a size in the table, so that the charts use the same."""
    return str(filesizeformat(size if size > 1 else 2)).split("\xa0")[-1]
