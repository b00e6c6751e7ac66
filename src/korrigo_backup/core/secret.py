"""Secrets: values that print as stars, and text from which they are taken out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

STARS = "***"
_SHORTEST = 3
"""A shorter secret is not searched for: replacing every "a" would spoil the message and protect no secret."""


_ORDINARY = frozenset({
    "admin", "backup", "copy", "data", "database", "demo", "docker", "error", "file", "group", "host", "korrigo",
    "local", "media", "password", "postgres", "restore", "role", "root", "secret", "server", "service", "site", "table",
    "test", "user",
})  # fmt: skip
"""Words of messages that are passwords of careless sites: with every "site" masked nobody could read an error."""

_PROGRAM = "korrigo-backup"


class Secret:
    """A value that no message, log or repr shows; `reveal()` is the only way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the value; to be put into an environment or a pipe, never into argv."""
        return self._value

    def __repr__(self) -> str:
        return STARS

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __hash__(self) -> int:
        return hash(self._value)


def redact(text: str, secrets: Iterable[Secret]) -> str:
    """Return `text` with every secret replaced by stars, the longest first: a secret may be a part of another."""
    for secret in _longest_first(secrets):
        if len(secret.reveal()) >= _SHORTEST:
            text = text.replace(secret.reveal(), STARS)
    return text


def redact_message(text: str, secrets: Iterable[Secret]) -> str:
    """Return a message of this program with every secret replaced by stars, for its operator.

    A secret that is an ordinary word of messages stays where it is a word of a sentence, between spaces. A secret that
    is a part of this program's name stays in that name: stars in it would spoil each next step, and tell the secret.
    """
    secrets = _longest_first(secrets)
    if in_name := [one for one in secrets if one.reveal() in _PROGRAM]:
        others = [one for one in secrets if one not in in_name]
        parts = re.split(rf"(?<![^\s(])({_PROGRAM})(?![\w-])", redact_message(text, others))
        return "".join(part if part == _PROGRAM else _redact_words(part, in_name) for part in parts)
    return _redact_words(text, secrets)


def _redact_words(text: str, secrets: Iterable[Secret]) -> str:
    secrets = list(secrets)
    text = redact(text, [one for one in secrets if one.reveal() not in _ORDINARY])
    for word in (one.reveal() for one in secrets if one.reveal() in _ORDINARY):
        text = re.sub(rf"(?<![\s(]){word}|{word}(?![\s,;.:)])", STARS, f" {text} ")[1:-1]
    return text


def _longest_first(secrets: Iterable[Secret]) -> list[Secret]:
    return sorted(secrets, key=lambda one: len(one.reveal()), reverse=True)


def without_credentials(address: str) -> str:
    """Return an address without the password in it; of `https://token@host/…` the name, too, which may be a token."""
    bare = re.sub(r"^((?:\w+\+)?https?://)[^/@]*@", r"\1", address)
    return re.sub(r"^([\w+]+://[^/@:]*):[^/@]*@", r"\1@", bare)
