"""Authentic manifests: signed with a key that is kept elsewhere, so that a made-up or altered manifest is found.

The signature is an HMAC-SHA256 over the manifest's JSON in canonical form (keys sorted, no white space, without the
`auth` key itself); fields that a newer version added are covered, too. The manifest names every member with its
SHA-256, the site, the kind and the time, so members cannot be exchanged, nor an old backup passed off as new.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, assert_never

import msgspec

from korrigo_backup.core.json_lines import lay_out

if TYPE_CHECKING:
    from collections.abc import Mapping

_CONTEXT = b"korrigo-backup manifest 1\n"
_ID_DIGITS = 16


class Authenticity(StrEnum):
    """The result of checking the signature of a manifest."""

    AUTHENTIC = "authentic"
    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "unknown key"
    FORGED = "forged"


class Verdict(StrEnum):
    """The consequence of a signature for a restore, on the host and in the site's Django alike."""

    GOOD = "good"
    ALLOWED = "allowed"
    REFUSED = "refused"
    ALTERED = "altered"


def verdict(found: Authenticity, *, allow_unsigned: bool) -> Verdict:
    """Return the consequence of a signature.

    A good one is needed unless `allow_unsigned`; no option allows a manifest that was altered.
    """
    match found:
        case Authenticity.AUTHENTIC:
            return Verdict.GOOD
        case Authenticity.FORGED:
            return Verdict.ALTERED
        case Authenticity.UNSIGNED | Authenticity.UNKNOWN_KEY:
            return Verdict.ALLOWED if allow_unsigned else Verdict.REFUSED
        case _:
            assert_never(found)


@dataclass(frozen=True)
class Key:
    """A signing key: 32 random bytes."""

    secret: bytes = field(repr=False)

    @cached_property
    def id(self) -> str:
        """Name the key without telling it: the start of its SHA-256."""
        return hashlib.sha256(b"korrigo-backup key\n" + self.secret).hexdigest()[:_ID_DIGITS]


class _Auth(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`check` distinguishes an altered bit from a missing key: it needs no key. The first manifests lack it."""

    key: str
    hmac: str
    check: str | None = None


def sign(raw: bytes, key: Key) -> bytes:
    """Return the manifest `raw` (JSON object) with its signature, laid out for people, ending in a newline."""
    content = _content(raw)
    seal = _seal(content, key)
    content["auth"] = msgspec.to_builtins(_Auth(key.id, seal, _check(content, key.id, seal)))
    return lay_out(content)


class _Signed(msgspec.Struct, frozen=True):
    auth: _Auth


def check(raw: bytes, ring: Mapping[str, Key], *, read: msgspec.Struct | None = None) -> Authenticity:
    """Return whether the manifest `raw` was signed by a key of `ring`; it must be a JSON object (DecodeError).

    `read` is the part of it that the caller has decoded, and the only part that it uses: if that part is what was
    signed, the rest of the file is not checked. That halves the work for a list of thousands; a field that was added to
    the file, and that no code reads, is then not found.
    """
    if read is not None and _is_signed(raw, ring, read):
        return Authenticity.AUTHENTIC
    fields = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
    auth = fields.get("auth")
    if auth is None:
        return Authenticity.FORGED if any(map(_signature, fields.values())) else Authenticity.UNSIGNED
    claimed = _signature(auth)
    if claimed is None or claimed.check not in {None, _check(_content(raw), claimed.key, claimed.hmac)}:
        return Authenticity.FORGED
    if claimed.key not in ring:
        return Authenticity.UNKNOWN_KEY
    right = _fits(claimed, _seal(_content(raw), ring[claimed.key]))
    return Authenticity.AUTHENTIC if right else Authenticity.FORGED


def signed_by(raw: bytes) -> str | None:
    """Return the id of the key that a manifest claims to be signed with; None without a claim."""
    try:
        return msgspec.json.decode(raw, type=_Signed).auth.key
    except msgspec.DecodeError:
        return None


def _is_signed(raw: bytes, ring: Mapping[str, Key], read: msgspec.Struct) -> bool:
    try:
        claimed = msgspec.json.decode(raw, type=_Signed).auth
    except msgspec.ValidationError:
        return False
    return claimed.key in ring and _fits(claimed, _seal(read, ring[claimed.key]))


def _fits(claimed: _Auth, seal: str) -> bool:
    return hmac.compare_digest(claimed.hmac.encode(), seal.encode())  # as bytes: text may be no ASCII


def _signature(raw: msgspec.Raw) -> _Auth | None:
    """Return a value of the manifest as a signature, None when it is none."""
    try:
        return msgspec.json.decode(raw, type=_Auth)
    except msgspec.ValidationError:
        return None


def _check(content: dict[str, object], key_id: str, seal: str) -> str:
    canonical = msgspec.json.encode(content, order="sorted")
    return hashlib.sha256(_CONTEXT + f"{key_id}\n{seal}\n".encode() + canonical).hexdigest()


def _content(raw: bytes) -> dict[str, object]:
    """Decode without a type, which is three times as fast as into `dict[str, object]`."""
    content = msgspec.json.decode(raw)
    if not isinstance(content, dict):
        raise msgspec.ValidationError("Expected `object`")
    content.pop("auth", None)
    return content


def _seal(content: msgspec.Struct | dict[str, object], key: Key) -> str:
    canonical = msgspec.json.encode(content, order="sorted")
    return hmac.digest(key.secret, _CONTEXT + canonical, "sha256").hex()
