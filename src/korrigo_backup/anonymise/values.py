"""Values in the place of personal values: equal values get equal substitutes within a run, and nothing leads back."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from korrigo_backup.errors import Refused, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

SUFFIXED_FROM = 3
"""A value that is an original of another row is drawn anew so often, then it gets a suffix."""

_SUFFIX = 8
"""Bytes of a suffix: two of a million values are equal with a probability of 1 to 40 million."""

_DIGITS = 4
"""Characters of a suffix for which a long domain of an address makes room."""

_SHORT_DOMAIN = "@x.test"


@dataclass(frozen=True)
class ValueLimits:
    """The demands on a value by all columns of a rule: unique, and of at most so many characters."""

    unique: bool = False
    length: int | None = None


@dataclass(frozen=True)
class Fakes:
    """Draws values of faker; `seed` is of this run, and kept nowhere."""

    faker: Any
    seed: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def value(self, provider: str, original: str, limits: ValueLimits, *, attempt: int = 0) -> str:
        """Return the value in the place of `original`; another `attempt` gives another value."""
        words = f"{provider}\0{attempt}\0{original}".encode()
        digest = hmac.digest(self.seed, words, hashlib.sha256)
        self.faker.seed_instance(int.from_bytes(digest[:8]))
        made = str(self.faker.format(provider))
        if limits.unique or attempt >= SUFFIXED_FROM:
            return suffixed(made, digest[8 : 8 + _SUFFIX], limits.length)
        return made if limits.length is None else made[: limits.length]


def suffixed(value: str, digest: bytes, length: int | None) -> str:
    """Return a value made unique by a suffix: an address keeps its domain, digits stay digits."""
    local, at, domain = value.rpartition("@")
    head, tail = (local, at + domain) if at else (value, "")
    digits = not any(character.isalpha() for character in value)
    suffix = str(int.from_bytes(digest)) if digits else digest.hex()
    joint = "" if digits else " " if " " in head else "-"
    if length is not None:
        tail = tail if len(tail) + _DIGITS <= length else _SHORT_DOMAIN[: max(0, length - _DIGITS)] if at else ""
        suffix = suffix[: max(1, length - len(tail))]
        head = head[: max(0, length - len(tail) - len(suffix) - len(joint))]
    return f"{head}{joint if head else ''}{suffix}{tail}"


def open_fakes(providers: Iterable[str], locale: str) -> Fakes:
    """Return the maker of the values. Raises Refused without faker, UsageError for an unknown provider or locale."""
    try:
        import faker  # noqa: PLC0415 - an extra of the installation
    except ImportError:
        raise Refused(
            "rules with faker need the library faker, which is not installed",
            hint='pip install "korrigo-backup[anonymise]"',
            id_="anonymise.faker",
        ) from None
    try:
        made: Any = faker.Faker(locale)
    except (AttributeError, ImportError, ValueError):
        raise UsageError(
            f"faker knows no locale {locale!r}", hint='write locale = "fr_FR", or another of faker\'s documentation'
        ) from None
    for provider in providers:
        if not callable(getattr(made, provider, None)):
            near = get_close_matches(provider, dir(made), 3, 0.75)
            raise UsageError(
                f"faker has no provider {provider!r}",
                hint=f"write {' or '.join(near)}" if near else "see the standard providers in faker's documentation",
            )
    return Fakes(made)
