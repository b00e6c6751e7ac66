"""How loaded data differs from what was saved: each difference has a name that `restore --accept` takes."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.domain.finding import Finding, loss, warning
from korrigo_backup.errors import ProofFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SHOWN = 5
"""Differences named in a message; the count tells of the rest."""

_NAMED = 20
"""Names in a command that is shown."""


class Difference(msgspec.Struct, frozen=True):
    """One difference. `name` is as `table:public.mark`.

    A `derived` one concerns what the server computes (a materialised view, a generated column): it refuses nothing.
    `repair` is SQL, or a sentence, that gives back what is missing.
    """

    name: str
    message: str
    derived: bool = False
    repair: str = ""


def name(kind: str, of: str) -> str:
    """Return the name of a difference in an object: kind and qualified name, in one word where the object's is one."""
    return f"{kind.replace(' ', '-')}:{of}"


def some(lines: list[str]) -> str:
    """Return the first few differences and how many more there are."""
    more = f" and {len(lines) - SHOWN} more" if len(lines) > SHOWN else ""
    return "; ".join(lines[:SHOWN]) + more


def saved(found: Iterable[Difference]) -> list[Difference]:
    """Return the differences in what was saved."""
    return [one for one in found if not one.derived]


def require_accepted(
    found: Iterable[Difference], accept: frozenset[str], report: Callable[[Finding], None], *, what: str
) -> None:
    """Report what is derived as a warning and what is accepted as a loss; raise ProofFailed for the rest.

    `what` begins the message: "what was loaded is not what was saved".
    """
    refused = []
    for one in found:
        if one.derived:
            report(warning("proof.derived", one.message, one.repair))
        elif one.name in accept:
            report(loss("proof.accepted", f"accepted ({one.name}): {one.message}", one.repair))
        else:
            refused.append(one)
    if refused:
        raise ProofFailed(f"{what}: {some([one.message for one in refused])}", hint=_hint(refused))


def _hint(refused: list[Difference]) -> str:
    names = list(dict.fromkeys(one.name for one in refused))
    options = " ".join(f"--accept {shlex.quote(one)}" for one in names[:_NAMED])
    more = f" and so on for {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"use another backup (korrigo-backup list), or go on over this and have it named as lost: {options}{more}"
