"""Differences between loaded and saved data: each difference has a name that `restore --accept` takes."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, loss, warning
from korrigo_backup.errors import ProofFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SHOWN = 5
"""Differences named in a message; all are counted."""

_NAMED = 20
"""Names in a command that is shown."""


BY_THEMSELVES = frozenset({
    "artifact.no_rows", "database.settings", "erasure.not_applicable", "large-objects", "media.links"
})  # fmt: skip
"""Names of differences that are in no object of the schema."""

KINDS = frozenset({
    "aggregate", "cast", "collation", "column", "comment", "composite type", "constraint", "default privilege",
    "domain", "domain constraint", "enum", "event trigger", "extension", "foreign data wrapper", "function", "grant",
    "index", "language", "operator", "operator class", "owner", "parent", "policy", "publication",
    "publication table", "range", "rule", "schema", "sequence", "server", "statistics", "subscription", "table",
    "table settings", "text search configuration", "text search dictionary", "trigger", "trigger state", "type",
    "user mapping", "view",
})  # fmt: skip
"""Kinds of objects that a difference may be in: those of the schema fingerprint."""


@dataclass(frozen=True)
class Acceptance:
    """The names of differences that the operator goes on over (`restore --accept`), and which of them were met."""

    names: frozenset[str] = frozenset()
    _met: set[str] = field(default_factory=set)

    def takes(self, difference: str) -> bool:
        """Return whether this difference, which was found just now, is accepted."""
        if difference in self.names:
            self._met.add(difference)
        return difference in self.names

    def not_needed(self) -> list[str]:
        """Return the names of which no difference was found, sorted."""
        return sorted(self.names - self._met)


def require_possible(names: Iterable[str]) -> None:
    """Raise UsageError for a name that no difference can have."""
    kinds = {one.replace(" ", "-") for one in KINDS}
    for one in sorted(names):
        kind, of = parts(one)
        if one in BY_THEMSELVES or (kind in kinds and of):
            continue
        alike = [f"{each}:{of}" for each in get_close_matches(kind, kinds, 1)] if of else []
        alike = alike or get_close_matches(one, BY_THEMSELVES, 1)
        known = (
            f"the plan or the error names it: KIND:NAME, as table:public.exam; or {', '.join(sorted(BY_THEMSELVES))}"
        )
        hint = f"did you mean {alike[0]}?" if alike else known
        raise UsageError(f"--accept {one}: no difference has such a name", hint=hint)


class Difference(msgspec.Struct, frozen=True):
    """A difference. `name` is as `table:public.mark`.

    A `derived` difference concerns values that the server computes (a materialised view, a generated column): it
    refuses no restore. `repair` is SQL, or a sentence, that gives back the missing object. `detail` holds the server's
    words on single rows.
    """

    name: str
    message: str
    derived: bool = False
    repair: str = ""
    detail: str = ""


def name(kind: str, of: str) -> str:
    """Return the name of a difference in an object: kind and qualified name, in a single word if possible."""
    return f"{kind.replace(' ', '-')}:{of}"


def parts(difference: str) -> tuple[str, str]:
    """Return the kind (as `name` writes it) and the object of a difference's name; ("large-objects", "") for others."""
    kind, _, of = difference.partition(":")
    return kind, of


def some(lines: list[str]) -> str:
    """Return the first few differences and how many more there are."""
    return first_of(lines, SHOWN, "; ")


def saved(found: Iterable[Difference]) -> list[Difference]:
    """Return the differences in the saved data, without the derived ones."""
    return [one for one in found if not one.derived]


def require_accepted(
    found: Iterable[Difference], accept: Acceptance, report: Callable[[Finding], None], *, what: str
) -> None:
    """Report derived differences as warnings and accepted ones as losses; raise ProofFailed for the rest.

    `what` begins the message: "the loaded data differs from the saved data".
    """
    refused = []
    for one in found:
        if one.derived:
            report(warning("proof.derived", one.message, one.repair, one.detail))
        elif accept.takes(one.name):
            report(loss("proof.accepted", f"accepted ({one.name}): {one.message}", one.repair, one.detail))
        else:
            refused.append(one)
    if refused:
        words = f"{what}: {some([one.message for one in refused])}"
        detail = some([one.detail for one in refused if one.detail])
        raise ProofFailed(words, hint=_hint(refused), detail=detail, id_="proof.differs")


def _hint(refused: list[Difference]) -> str:
    names = list(dict.fromkeys(one.name for one in refused))
    options = first_of([f"--accept {shlex.quote(one)}" for one in names], _NAMED, " ")
    return f"use another backup (korrigo-backup list), or go on over this and have it named as lost: {options}"
