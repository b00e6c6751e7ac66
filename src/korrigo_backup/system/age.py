"""Encryption to public keys with age (age-encryption.org), by the library pyrage, which is loaded when it is needed.

A sealed file can be opened by `age`, `rage` or this program with one of the private keys, and in no other way. It does
not identify its writer.
"""

from __future__ import annotations

import re
from typing import IO, TYPE_CHECKING, Any

from korrigo_backup.errors import ProofFailed, Refused, UsageError
from korrigo_backup.system.files import open_plain
from korrigo_backup.system.installed import install_command

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MAGIC = b"age-encryption.org/v1\n"
_HEADER = re.compile(re.escape(MAGIC) + rb"(?:-> [!-~ ]+\n(?:[A-Za-z0-9+/]*\n)*)+--- [A-Za-z0-9+/]{43}\n")
_SMALLEST = 16 + 16
"""Bytes after the header: a nonce, and the tag of an empty piece."""

_LARGEST_HEADER = 64 * 1024
"""Bytes; a recipient takes a hundred, one with an RSA key seven hundred."""

_PRIVATE = ("AGE-SECRET-KEY-", "-----BEGIN")


def seal(content: bytes, recipients: Sequence[str]) -> bytes:
    """Return `content` encrypted to all `recipients`: `age1…`, `ssh-ed25519 …` or `ssh-rsa …`.

    Raises UsageError for an invalid recipient, and if pyrage is not installed.
    """
    library = _library()
    keys = [_recipient(library, text) for text in recipients]
    sealed: bytes = library.encrypt(content, keys)
    return sealed


def unseal(sealed: bytes, identity: bytes, source: str) -> bytes:
    """Return the decrypted content; `identity` is the content of an age identity file or of an OpenSSH private key.

    Raises UsageError for an invalid identity, Refused if it belongs to no recipient, ProofFailed for damage.
    """
    require_form(sealed, source)
    library = _library()
    keys = list(_identities(library, identity))
    try:
        content: bytes = library.decrypt(sealed, keys)
    except library.DecryptError as problem:
        if "No matching keys" in str(problem):  # pyrage has one class for every failure, and no code
            raise Refused(
                f"{source} is not encrypted to this identity",
                hint="use the private key of a recipient of the kit: korrigo-backup kit show",
            ) from None
        raise _damaged(source, str(problem)) from None
    return content


def new_identity() -> tuple[str, str]:
    """Return a new private key and its public key."""
    made = _library().x25519.Identity.generate()
    return str(made), str(made.to_public())


def seal_stream(source: IO[bytes], to: IO[bytes], recipients: Sequence[str]) -> None:
    """Encrypt all of `source` to `recipients`, in constant memory. Raises UsageError as `seal`, and OSError."""
    library = _library()
    library.encrypt_io(source, to, [_recipient(library, text) for text in recipients])


def unseal_stream(source: IO[bytes], to: IO[bytes], identity: bytes, name: str) -> None:
    """Decrypt all of `source`, in constant memory. Raises as `unseal`; `to` then holds a beginning of the content."""
    library = _library()
    keys = list(_identities(library, identity))
    try:
        library.decrypt_io(source, to, keys)
    except library.DecryptError as problem:
        if "No matching keys" in str(problem):  # pyrage has one class for every failure, and no code
            raise Refused(
                f"{name} is not sealed to this identity", hint="use the private key of one of its recipients"
            ) from None
        raise ProofFailed(
            f"{name} cannot be opened: {problem}", hint="it is damaged or cut: use another copy of it"
        ) from None


def is_sealed(path: Path) -> bool:
    """Return whether a file begins with the whole header of an age file, and has content after it."""
    with open_plain(path) as file:
        head = file.read(_LARGEST_HEADER)
    found = _HEADER.match(head)
    return found is not None and path.stat().st_size - found.end() >= _SMALLEST


def require_form(sealed: bytes, source: str) -> None:
    """Raise ProofFailed unless `sealed` looks like a complete age file; only a private key can check more."""
    header = _HEADER.match(sealed)
    if header is None:
        raise _damaged(source, "it does not begin with the header of an age file")
    if len(sealed) - header.end() < _SMALLEST:
        raise _damaged(source, "it ends before its content")


def shown(recipient: str) -> str:
    """Return a short form by which people recognise a public key: its kind, its end and its comment."""
    kind, _, rest = recipient.partition(" ")
    if not rest:
        return f"{recipient[:12]}…{recipient[-6:]}"
    key, _, comment = rest.partition(" ")
    return f"{kind} …{key[-8:]} {comment}".rstrip()


def require_library() -> None:
    """Raise UsageError without the library that encrypts, before a run begins that would fail for it."""
    _library()


def _library() -> Any:
    try:
        import pyrage  # noqa: PLC0415 - only one verb needs it, and it may not be installed
    except ImportError:
        raise UsageError(
            "the library pyrage, which encrypts, is not installed", hint=install_command("pyrage")
        ) from None
    return pyrage


def _recipient(library: Any, text: str) -> Any:
    if text.startswith(_PRIVATE):  # never shown
        raise UsageError(
            "a recipient in [kit] recipients is a private key",
            hint="take it out of there and treat it as known to others; a recipient is the public key: age1… or ssh-…",
        )
    form = library.ssh if text.startswith("ssh-") else library.x25519
    try:
        return form.Recipient.from_str(text)
    except library.RecipientError as problem:
        raise UsageError(
            f"{shown(text)!r} in [kit] recipients is no public key: {problem}",
            hint="give age1… as age-keygen prints it, or a whole line ssh-ed25519 … or ssh-rsa … of a .pub file",
        ) from None


def _identities(library: Any, raw: bytes) -> Iterable[Any]:
    if raw.lstrip().startswith(b"-----BEGIN"):
        try:
            yield library.ssh.Identity.from_buffer(raw)
        except library.IdentityError:
            raise _no_identity(
                "it is no OpenSSH private key, or it has a passphrase",
                "for a key with a passphrase: age --decrypt -i KEY FILE | tar -x",
            ) from None
        return
    lines = [line.strip() for line in raw.decode("ascii", "replace").splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise _no_identity("it holds no key")
    for line in keys:
        try:
            yield library.x25519.Identity.from_str(line)
        except library.IdentityError:  # the line is not shown: it may be nearly a key
            raise _no_identity("a line of it is no age identity") from None


def _no_identity(
    what: str, hint: str = "name the file that age-keygen wrote (AGE-SECRET-KEY-1…), or an OpenSSH private key"
) -> UsageError:
    return UsageError(f"the identity cannot be used: {what}", hint=hint)


def _damaged(source: str, what: str) -> ProofFailed:
    return ProofFailed(f"{source} is damaged or no recovery kit: {what}", hint="use another: korrigo-backup kit show")
