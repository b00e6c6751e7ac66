"""Find unconfigured columns that name media files: text and JSON, compared with the media tree."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from korrigo_backup.core.finding import Finding, ok, warning
from korrigo_backup.postgres.digest import snapshot
from korrigo_backup.postgres.references import written_column
from korrigo_backup.postgres.samples import samples
from korrigo_backup.setup.path_candidates import is_alike, propose, relative, strings
from korrigo_backup.site.path_columns import known_columns

if TYPE_CHECKING:
    from collections.abc import Iterable

    from korrigo_backup.setup.path_candidates import Proposal
    from korrigo_backup.site.site import Site

_SECONDS = 60.0
"""The walk of the media ends after so long: no column is proposed for files that were not reached."""


def found_columns(site: Site) -> list[Proposal]:
    """Return the columns, not known yet, whose sampled values mostly name media files.

    Only the sample of the values is kept, at any size of the tree.
    """
    if site.media is None or not site.media.exists():
        return []
    known = known_columns(site)
    passed_over = {(column.table, column.column) for column in known.columns}
    sampled: list[tuple[str, list[object]]] = []
    wanted: set[str] = set()
    with snapshot(site.postgres) as taken:
        for column, values in samples(taken, passed_over):
            alike = {value for sample in values for _, value in strings(sample) if is_alike(value)}
            if alike:
                wanted |= {relative(value, known.roots) for value in alike}
                schema = None if column.is_plain else column.schema
                sampled.append((written_column(column.table, column.column, schema), values))
    files = _there(site, wanted) if wanted else set()
    return [one for name, values in sampled if files for one in propose(name, values, known.roots, files)]


def _there(site: Site, wanted: set[str]) -> set[str]:
    """Return those of the paths that are files of the tree."""
    found, end = set(), time.monotonic() + _SECONDS
    for entry in site.media.walk() if site.media else ():
        if entry.is_file and entry.path in wanted:
            found.add(entry.path)
        if time.monotonic() > end or len(found) == len(wanted):
            break
    return found


def unnamed(proposals: Iterable[Proposal]) -> list[Finding]:
    """Return a warning for each column that names media files and is not configured."""
    return [
        warning(
            "media.unnamed",
            f"{one.entry} names media files ({one.hits} of {one.sampled} sampled values), and is not known as a path"
            " column: its files count as orphans, and a lost file is not noticed",
            "korrigo-backup init --force adds it to [media] columns and keeps the other settings",
        )
        for one in proposals
    ]


def named(proposals: Iterable[Proposal]) -> list[Finding]:
    """Return a line for each column that the configuration will name."""
    return [
        ok("media.named", f"{one.entry} names media files ({one.hits} of {one.sampled} sampled values): a path column")
        for one in proposals
    ]
