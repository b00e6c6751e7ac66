"""Bring an artifact back from a target into the backup directory, whole and verified, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.artifact import manifest as manifests
from korrigo_backup.artifact.catalog import LATEST
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.naming import MEDIA_STORE, is_kit, parse
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.errors import ProofFailed, Refused, UsageError
from korrigo_backup.media.store.objects import MediaStore
from korrigo_backup.run.step import CopyFetched, Listener, silent
from korrigo_backup.system.files import explained, fsync_directory, private_directory, rename_new, sha256_of
from korrigo_backup.targets.port import require_plain
from korrigo_backup.targets.read_back import artifacts_on
from korrigo_backup.targets.receipt import stored_name

if TYPE_CHECKING:
    from pathlib import Path

    from korrigo_backup.targets.read_back import TargetReader


def fetch(reader: TargetReader, named: str, *, listen: Listener = silent, allow_unsigned: bool = False) -> Path:
    """Fetch an artifact and its components into the backup directory and return its path; the caller holds the lock.

    A file that is there with the same content stays. Raises NotFound without a whole copy on the target, ProofFailed
    for one that is damaged, or if another file has its name here, Refused for a sealed copy without an identity.
    """
    name = artifacts_on(reader, named)[0] if named in LATEST else require_plain(named)
    parsed = parse(name)
    if parsed is None and not is_kit(name):
        raise UsageError(
            f"{name} is not the name of a backup", hint=f"korrigo-backup list --on {reader.destination.name}"
        )
    path = _fetch_one(reader, name, listen=listen, allow_unsigned=allow_unsigned)
    if parsed and KINDS[parsed.kind].components:
        point = manifests.decode(path.read_bytes(), name)
        for component in filter(None, (point.database_backup, point.media_backup)):
            _fetch_one(reader, component, listen=listen, allow_unsigned=allow_unsigned)
    return path


def _fetch_one(reader: TargetReader, name: str, *, listen: Listener, allow_unsigned: bool) -> Path:
    directory = reader.catalog.directory
    with reader.directory() as to:
        receipt, signed = reader.receipt(name, to)
        if signed is Authenticity.FORGED or not (signed is Authenticity.AUTHENTIC or allow_unsigned):
            raise ProofFailed(
                f"the receipt of {name} on {reader.destination.name} is not signed with a key of this site",
                hint="put the signing key in place (it is in the recovery kit), or add --allow-unsigned",
            )
        got = to / "got"
        private_directory(got)
        for named, place, why in reader.files(receipt, to, without=_at_hand(reader)):
            if why:
                raise ProofFailed(f"{reader.destination.name}: {why}", hint="use another copy or another backup")
            if place is None:
                raise Refused(
                    f"{name} is sealed on {reader.destination.name}, and this host has only the public keys",
                    hint="name the private key: --identity FILE, or --identity - to type it",
                )
            file = got / require_plain(named)
            private_directory(file.parent)
            place.rename(file)
        with explained(f"write {directory}"):
            _publish(got, directory, name)
    listen(CopyFetched(reader.destination.name, name))
    return directory / name


def _at_hand(reader: TargetReader) -> frozenset[str]:
    """Return the names of the objects whose files the media store here has already."""
    store, key = MediaStore(reader.catalog.directory), reader.key
    names = list(store.names())
    sealed = (stored_name(name, key) for name in names) if key else ()
    return frozenset([*(stored_name(name, None) for name in names), *sealed])


def _publish(got: Path, directory: Path, name: str) -> None:
    """Give the files their names, the artifact's own last: a crash leaves no artifact that lacks a file."""
    for path in sorted((got / MEDIA_STORE).rglob("*")):
        final = directory / path.relative_to(got)
        if path.is_dir():
            private_directory(final)
        elif not final.exists():
            path.chmod(0o400)
            rename_new(path, final)
    own = (path for path in got.iterdir() if path.name != MEDIA_STORE)
    for path in sorted(own, key=lambda one: (one.name == name, one.name)):
        final = directory / path.name
        if final.exists():
            _require_same(path, final)
            continue
        rename_new(path, final)
    fsync_directory(directory)


def _require_same(path: Path, final: Path) -> None:
    pairs = [(path, final)] if path.is_file() else [(one, final / one.name) for one in path.iterdir()]
    for new, old in pairs:
        if not old.is_file() or sha256_of(new)[0] != sha256_of(old)[0]:
            raise ProofFailed(
                f"{old} is there, and differs from the copy", hint="move it away, then fetch again"
            )  # fmt: skip
