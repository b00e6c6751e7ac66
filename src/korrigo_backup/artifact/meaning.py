"""The artifacts that an operator means by a date, a time, a stamp or the beginning of a name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from korrigo_backup.artifact.kinds import KINDS, Kind, Origin
from korrigo_backup.artifact.naming import parse
from korrigo_backup.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d)(?::(\d\d)(?::(\d\d))?)?)?", re.ASCII)
_STAMP = re.compile(r"\d{8}(?:_\d{0,6})?", re.ASCII)
_SHORTEST = 4
"""Characters of a beginning: fewer are rather a slip of the hand."""


def matching_names(named: str, names: Iterable[str], kind: Kind | None = None) -> list[str]:
    """Return the names of artifacts that `named` means, sorted; with `kind` only those of this kind.

    A local date ("2026-05-04"), a time ("2026-05-04 14:05") or a stamp means the artifacts that were made then, without
    safety backups, and the restore points alone if there are any: they bring back the others. Any other text of four
    characters or more means the artifacts whose name begins with it. The whole name of an artifact means no other: one
    that is gone is not replaced by another of the same second.
    """
    parsed = [(found, name) for name in names if (found := parse(name)) and kind in {None, found.kind}]
    if parse(named):
        return [name for _, name in parsed if name == named]
    stamp = _stamp(named.strip())
    if stamp is None:
        return sorted(name for _, name in parsed if len(named) >= _SHORTEST and name.startswith(named))
    then = [(found, name) for found, name in parsed if found.stamp.startswith(stamp)]
    then = [(found, name) for found, name in then if found.origin is not Origin.SAFETY]
    points = [(found, name) for found, name in then if KINDS[found.kind].components]
    return sorted(name for _, name in points or then)


def only_match(named: str, meant: Iterable[str]) -> str | None:
    """Return the only artifact that is meant, None without one; UsageError, with the candidates, for several."""
    found = list(meant)
    if len(found) > 1:
        raise UsageError(f"{named} means {len(found)} backups: {', '.join(found)}", hint="name one of them")
    return found[0] if found else None


def _stamp(named: str) -> str | None:
    """Return the beginning of the stamp of a date or a time, None for another text."""
    if match := _TIME.fullmatch(named):
        year, month, day, *time = match.groups()
        return f"{year}{month}{day}_{''.join(part or '' for part in time)}"
    return named if _STAMP.fullmatch(named) else None
