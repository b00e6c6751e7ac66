"""The recovery kit: the files that a bare server needs before a restore, in a single encrypted file.

It holds the settings, the Compose files, the signing key and a README with the commands. It is no artifact: `restore`
does not read it, and retention never removes it (runbook 1.3: the `.env` is kept for ever).
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime  # noqa: TC003 - msgspec reads it when it decodes
from typing import TYPE_CHECKING, Literal

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from korrigo_backup.artifact.signature import Key

FORMAT = 1
README = "README.md"
CONTENTS = "kit.json"
"""The member that describes the other members."""

KEY = "key/key"
PROJECT = "project/"
"""Before the path of a file that lies in the project's directory."""

ELSEWHERE = "elsewhere/"
"""Before the path, without its first slash, of any other."""

_CONTEXT = b"korrigo-backup kit 1\n"


class KitFile(msgspec.Struct, frozen=True):
    """A file of a kit: its name inside, where it belongs, its permission bits, size in bytes and SHA-256.

    A relative `path` is below the project's directory.
    """

    name: str
    path: str
    mode: int
    size: int
    sha256: str


class KitLink(msgspec.Struct, frozen=True):
    """A symbolic link to a file of the kit: where it belongs, and the path that it leads to, both as in `KitFile`."""

    path: str
    to: str


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """The description inside a kit: its site and machine, and its files."""

    site: str
    environment: str
    host: str
    directory: str
    created: datetime
    tool: str
    files: tuple[KitFile, ...]
    links: tuple[KitLink, ...] = ()
    format: int = FORMAT


class KitRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The signed record next to a kit, in clear text: no value and no checksum of a value, so that none can be guessed.

    `sha256` and `size` are of the encrypted file. `seal` is an HMAC over the whole content: equal if the content is
    unchanged, and useless without the site's key. `recipients` are public keys, `files` paths.
    """

    site: str
    environment: str
    created: datetime
    tool: str
    size: int
    sha256: str
    seal: str
    recipients: tuple[str, ...]
    files: tuple[str, ...]
    kind: Literal["kit"] = "kit"
    format: int = FORMAT


def is_member(name: str) -> bool:
    """Return whether a name in an archive is possible in a kit: a path of plain parts that leads down only."""
    parts = name.split("/")
    return name.isprintable() and not any(part in {"", ".", ".."} for part in parts)


def seal(contents: Contents, readme: bytes, recipients: Sequence[str], key: Key) -> str:
    """Return the HMAC-SHA256 of the content and the recipients of a kit, without its time and its machine.

    A plain hash would let anyone who reads the backup directory try passwords until it fits.
    """
    counted = (
        contents.site,
        contents.environment,
        contents.directory,
        sorted(contents.files, key=lambda file: file.name),
        sorted(contents.links, key=lambda link: link.path),
        hashlib.sha256(readme).hexdigest(),
        sorted(recipients),
    )
    return hmac.new(key.secret, _CONTEXT + msgspec.json.encode(counted, order="sorted"), hashlib.sha256).hexdigest()
