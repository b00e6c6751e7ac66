"""The manifest's signature inside the backend: made if there is a key, checked if there is a key to check with.

The key file is that of the host's command: KORRIGO_BACKUP_KEY_FILE, or the default place when a file is there. A
container usually has neither; then backups are unsigned, and the host command that brings a backup out signs it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from korrigo_backup.artifact import keyring
from korrigo_backup.artifact.signature import Authenticity, Verdict, sign, verdict
from korrigo_backup.errors import KorrigoBackupError, ProofFailed, Refused, UsageError

if TYPE_CHECKING:
    from korrigo_backup.artifact.keyring import Keyring

KEY_FILE = "KORRIGO_BACKUP_KEY_FILE"
_DEFAULT = Path(".config") / "korrigo-backup" / "key"


def site_keys() -> Keyring | None:
    """Return the keys of this site, None where none are set up. Raises Refused or UsageError for a bad key file."""
    named = os.environ.get(KEY_FILE)
    if named:
        return keyring.read(Path(named))
    try:
        default = Path.home() / _DEFAULT
        there = default.exists()
    except (RuntimeError, OSError):  # an account without a home
        return None
    return keyring.read(default) if there else None


def keys_here() -> Keyring | None:
    """Return the keys for a reader: None also if they cannot be used, so that no manifest counts as altered."""
    try:
        return site_keys()
    except (KorrigoBackupError, OSError):
        return None


def signed(raw: bytes, keys: Keyring | None, directory: Path) -> bytes:
    """Return the manifest with its signature, as it is without keys. `directory` is where backups are put."""
    if keys is None:
        return raw
    if keys.path.resolve().is_relative_to(directory.resolve()):
        raise UsageError(
            f"the key file {keys.path} lies in the backup directory: users with write access there could sign, too",
            hint=f"set {KEY_FILE} to a place outside {directory}",
        )
    return sign(raw, keys.signing())


def judge(found: Authenticity, keys: Keyring | None, *, allow_unsigned: bool) -> str | None:
    """Return the warning for a signature, None for a good one.

    Raises ProofFailed for a manifest that was altered; Refused for an unsigned manifest, if there are keys to sign with
    and `allow_unsigned` was not given.
    """
    is_allowed = allow_unsigned or keys is None or not keys.keys
    judged = verdict(found, allow_unsigned=is_allowed)
    if judged is Verdict.GOOD:
        return None
    if judged is Verdict.ALTERED:
        raise ProofFailed(
            "the manifest was altered: its signature does not fit",
            hint="do not use this backup; find the user or program that wrote to its directory",
        )
    what = (
        "the backup was signed with a key that this site does not have"
        if found is Authenticity.UNKNOWN_KEY
        else "the backup is not signed: its origin is not proven"
    )
    if judged is Verdict.ALLOWED:
        return what
    raise Refused(what, hint="if you know where it comes from, add --allow-unsigned")
