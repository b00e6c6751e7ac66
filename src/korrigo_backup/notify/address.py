"""The secrets in the address of a channel: a mail password, the tokens of a chat, the identity of a check."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

from korrigo_backup.core.secret import Secret

_SHORTEST = 8
"""Characters: shorter parts of a path are words (`hooks`, `services`), which stand in other messages, too."""

_WORD = re.compile(r"[a-z_-]+|[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}|\d+(\.\d+){3}|[a-z._-]+%40[a-z0-9.-]+")
"""Parts of addresses that other messages contain, too: words, hosts (also that of the database), mail addresses."""


def parts(url: Secret) -> tuple[Secret, ...]:
    """Return every part of the address that could be secret: for text that is about this channel alone."""
    text = url.reveal()
    found = [text, *_password(text), *re.split(r"[/?&=@:#]+", text.partition("://")[2])]
    known = {form for part in found for form in (part, unquote(part)) if part}
    return tuple(Secret(part) for part in sorted(known, key=len, reverse=True))


def secrets(url: Secret) -> tuple[Secret, ...]:
    """Return the secrets that no message may contain: the address, its password and its tokens, not its words."""
    text = url.reveal()
    tokens = [part for part in re.split(r"[/?&=@:#]+", text.partition("://")[2]) if _is_token(part)]
    known = {form for part in (text, *_password(text), *tokens) for form in (part, unquote(part))}
    return tuple(Secret(part) for part in sorted(known, key=len, reverse=True))


def _password(text: str) -> list[str]:
    try:
        password = urlsplit(text).password
    except ValueError:  # a bracket that is not closed
        return []
    return [password] if password else []


def _is_token(part: str) -> bool:
    """Return whether a part is a token: it is long and neither a word nor the name or number of a host."""
    return len(part) >= _SHORTEST and not _WORD.fullmatch(part)
