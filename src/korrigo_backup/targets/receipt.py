"""The receipt of an artifact on a target: the signed list of its objects there, put after all of them.

An artifact whose receipt is there is there as a whole.
"""

from __future__ import annotations

import hmac
from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.naming import MANIFEST_SUFFIX, MEDIA_STORE, MEMBERS_SUFFIX
from korrigo_backup.core.moment import require_moment
from korrigo_backup.errors import ProofFailed

if TYPE_CHECKING:
    from korrigo_backup.artifact.signature import Key

_CONTEXT = b"korrigo-backup store\n"
SUFFIX = ".receipt.json"
SEALED_SUFFIX = ".age"
FORMAT = 1
LARGEST = 512 * 1024 * 1024
"""Bytes; a receipt names the files of an artifact."""


class ReceiptObject(msgspec.Struct, frozen=True, gc=False):
    """An object of the artifact: its name below the site, size and SHA-256 of its bytes on the target."""

    name: str
    size: int
    sha256: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt. `created` is the time of the artifact, `copied` that of the copy; both UTC.

    `components` names the artifacts that a restore point binds. `sealed` is True if each object was read back as an age
    file before it was sent.
    """

    artifact: str
    site: str
    created: datetime
    copied: datetime
    sealed: bool
    objects: tuple[ReceiptObject, ...]
    components: tuple[str, ...] = ()
    format: int = FORMAT

    def __post_init__(self) -> None:
        """Refuse times that cannot be compared with others (ValueError, to a decoder ValidationError)."""
        require_moment(self.created)
        require_moment(self.copied)


def decode(raw: bytes, source: str) -> Receipt:
    """Return a receipt; ProofFailed if it cannot be read or is of a newer format."""
    try:
        found = msgspec.json.decode(raw, type=Receipt)
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise ProofFailed(f"the receipt {source} cannot be read: {problem}", hint="copy the backup again") from None
    if found.format > FORMAT:
        raise ProofFailed(
            f"the receipt {source} has format {found.format}, this version reads up to {FORMAT}",
            hint="install the version of korrigo-backup that made it, or a newer version",
        )
    return found


def receipt_name(artifact: str) -> str:
    """Return the name of the receipt of an artifact."""
    return f"{artifact}{SUFFIX}"


def plain_name(name: str) -> str:
    """Return the name of the file that a sealed object holds, below the backup directory.

    That of a file of the media store is not known from the object: it is the SHA-256 of the content.
    """
    return name.removesuffix(SEALED_SUFFIX)


def stored_name(sha256: str, key: Key | None) -> str:
    """Return the name of an object with a file of the media store; with a `key` it is sealed.

    A sealed one is named by an HMAC: by its bare SHA-256 a reader could test whether a known file is there.
    """
    if key is None:
        return f"{MEDIA_STORE}/{sha256[:2]}/{sha256}"
    named = hmac.digest(key.secret, _CONTEXT + sha256.encode(), "sha256").hex()
    return f"{MEDIA_STORE}/{named[:2]}/{named}{SEALED_SUFFIX}"


def artifact_of(name: str) -> str:
    """Return the artifact or recovery kit that an object belongs to alone, "" for a file of the media store."""
    if is_stored(name):
        return ""
    plain = plain_name(name).partition("/")[0]
    for suffix in (SUFFIX, MANIFEST_SUFFIX, MEMBERS_SUFFIX):
        plain = plain.removesuffix(suffix)
    return plain


def is_stored(name: str) -> bool:
    """Return whether an object or file is one of the media store."""
    return name.startswith(f"{MEDIA_STORE}/")
