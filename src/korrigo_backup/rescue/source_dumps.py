"""The dump that deleted rows are taken from: in which order dumps are tried, and whether an older dump holds more."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING

from korrigo_backup.artifact.kinds import Origin
from korrigo_backup.core.finding import Finding, warning

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from korrigo_backup.artifact.artifact import Artifact

    Counts = Mapping[str, int]
    """The rows of each table."""

LOST = 2
"""A table that once had so many times its rows has lost too many to be trusted."""


def in_order(dumps: Iterable[Artifact]) -> list[Artifact]:
    """Return dumps in the order in which they are tried: the newest first, safety backups after all others.

    A safety backup holds the data that a restore has replaced, often the damage itself.
    """
    newest = sorted(dumps, key=lambda one: one.created, reverse=True)
    return sorted(newest, key=lambda one: one.origin is Origin.SAFETY)


def of_the_site(dumps: Iterable[Artifact]) -> tuple[Artifact, ...]:
    """Return the dumps whose order in time is that of the site's states, oldest first.

    A safety backup is left out if there are others: it holds a state that a restore has ended, often the damage, and
    the next state is that of an earlier dump again.
    """
    ordered = sorted(dumps, key=lambda one: one.created)
    return tuple(one for one in ordered if one.origin is not Origin.SAFETY) or tuple(ordered)


def newest_replaced(dumps: Iterable[Artifact]) -> Artifact | None:
    """Return the newest safety backup among dumps if there are others, too, else None."""
    ordered = sorted(dumps, key=lambda one: one.created)
    safety = [one for one in ordered if one.origin is Origin.SAFETY]
    return safety[-1] if safety and len(safety) < len(ordered) else None


def fuller_finding(
    chosen: tuple[str, Counts], older: Iterable[tuple[str, Counts]], tables: Collection[str]
) -> list[Finding]:
    """Return a warning if one of `tables` has lost most of its rows between an older dump and the chosen dump.

    Each dump is its name with the rows of its tables; `older` is given newest first. Rows that belong to deleted
    rows may have been lost before these.
    """
    name, counts = chosen
    for earlier, before in older:
        lost = [one for one in sorted(tables) if before.get(one, 0) > LOST * counts.get(one, 0)]
        if lost:
            table = max(lost, key=lambda one: before[one])
            return [
                warning(
                    "undelete.fuller",
                    f"{name} has {counts.get(table, 0)} rows of {table}, and {earlier} had {before[table]}:"
                    " rows that belong to these may be in the earlier one alone",
                    f"see what it would bring back: --from {quote(earlier)} --dry-run",
                )
            ]
    return []
