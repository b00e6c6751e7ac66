"""The key file: the signing key of this site, and the former keys of its older backups.

One key a line, 64 hexadecimal digits; the first signs, all verify. To change the key, put a new line first.
"""

from __future__ import annotations

import secrets
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.artifact.signature import Key
from korrigo_backup.errors import Refused, UsageError
from korrigo_backup.system.files import explained, open_plain, private_directory, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_KEY_BYTES = 32
_LARGEST = 64 * 1024
"""Bytes; a thousand old keys."""


class OpenKeyFile(Refused):
    """Other users may read the key file at `path`: a reader of the key can forge backups."""

    id = "key.open"

    def __init__(self, path: Path, mode: int) -> None:
        hint = f"chmod 600 {path}, or korrigo-backup doctor --fix"
        super().__init__(f"the key file {path} can be read by others (mode {mode:o})", hint=hint)
        self.path = path


@dataclass
class Keyring:
    """The keys of a key file; empty where there is no file yet."""

    path: Path
    keys: tuple[Key, ...]

    @property
    def by_id(self) -> Mapping[str, Key]:
        """The keys by their ids."""
        return {key.id: key for key in self.keys}

    def signing(self) -> Key:
        """Return the key that signs; the first use makes the file, readable by the owner alone."""
        if not self.keys:
            self.keys = read(self.path).keys or (self._made(),)  # another run may have made it since
        return self.keys[0]

    def _made(self) -> Key:
        secret = secrets.token_bytes(_KEY_BYTES)
        with explained(f"make the key file {self.path}"):
            private_directory(self.path.parent)
            write_private(self.path, secret.hex().encode() + b"\n")
        return Key(secret)


def read(path: Path) -> Keyring:
    """Return the keys in `path`, none if there is no such file.

    Raises Refused if other users may read it (a reader of the key can forge), UsageError if it is no key file.
    """
    with explained(f"look for the key file {path} (KORRIGO_BACKUP_KEY_FILE)"):
        if not path.exists():
            return Keyring(path, ())
    try:
        with explained(f"read the key file {path}"), open_plain(path) as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            lines = file.read(_LARGEST).decode("ascii", "replace").split()
    except ValueError:
        raise UsageError(
            f"the key file {path} is not a regular file", hint="name a file in KORRIGO_BACKUP_KEY_FILE, new or old"
        ) from None
    if mode & 0o077:
        raise OpenKeyFile(path, mode)
    try:
        keys = tuple(Key(bytes.fromhex(line)) for line in lines)
    except ValueError:
        keys = ()
    if not keys or any(len(key.secret) != _KEY_BYTES for key in keys):
        raise UsageError(
            f"{path} is not a key file: it must hold 64 hexadecimal digits a line",
            hint="restore it from where you keep it safe; a new key cannot verify the backups there are",
        )
    return Keyring(path, keys)
