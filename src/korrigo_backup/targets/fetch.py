"""Bring an artifact back from a target into the backup directory, whole and verified, or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact.catalog import LATEST
from korrigo_backup.artifact.manifest import LARGEST
from korrigo_backup.artifact.naming import DIRECTORY_MANIFEST, MANIFEST_SUFFIX, MEDIA_STORE, is_kit, parse
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.errors import NotFound, ProofFailed, Refused, UsageError
from korrigo_backup.media.store.objects import MediaStore, force_to_disk
from korrigo_backup.run.step import CopyFetched, CopyMended, CopyOverwritten, Listener, silent
from korrigo_backup.system.files import (
    explained,
    fsync_directory,
    private_directory,
    read_plain,
    rename_new,
    sha256_of,
)
from korrigo_backup.targets.port import require_plain
from korrigo_backup.targets.read_back import artifacts_on, components_on
from korrigo_backup.targets.receipt import is_stored, stored_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.targets.read_back import TargetReader
    from korrigo_backup.targets.receipt import Receipt


def fetch(
    reader: TargetReader,
    named: str,
    *,
    passed: Callable[[str, str], None] = lambda _name, _why: None,
    listen: Listener = silent,
    allow_unsigned: bool = False,
) -> Path:
    """Fetch an artifact and its components into the backup directory and return its path; the caller holds the lock.

    A file that is there with the same content stays; a damaged one is replaced by the one from the target, once that is
    proven. Raises NotFound without a whole copy on the target, ProofFailed for one that is damaged, or if another
    artifact has its name here, Refused for a sealed copy without an identity.
    """
    *components, name = wanted(reader, named, passed=passed)
    for component in components:
        _fetch_one(reader, component, listen=listen, allow_unsigned=allow_unsigned)
    return _fetch_one(reader, name, listen=listen, allow_unsigned=allow_unsigned)


def wanted(
    reader: TargetReader, named: str, *, passed: Callable[[str, str], None] = lambda _name, _why: None
) -> tuple[str, ...]:
    """Return the artifacts that are fetched for a name, in their order; raises as `fetch`.

    The components of a point come before it: a crash leaves no point that lacks one.
    """
    name = _name_there(reader, named, passed)
    if parse(name) is None and not is_kit(name):
        raise UsageError(
            f"{name} is not the name of a backup", hint=f"korrigo-backup list --on {reader.destination.name}"
        )
    return (*components_on(reader, name), name)


def _name_there(reader: TargetReader, named: str, passed: Callable[[str, str], None]) -> str:
    """Return the name of the artifact that is meant; a text that means none is returned as it is."""
    if named not in LATEST and (parse(require_plain(named)) or is_kit(named)):
        return named
    try:
        return artifacts_on(reader, named, passed=passed)[0]
    except NotFound:
        if named in LATEST:
            raise
        return named


def _fetch_one(reader: TargetReader, name: str, *, listen: Listener, allow_unsigned: bool) -> Path:
    directory = reader.catalog.directory
    with reader.directory() as to:
        reader.overwritten.clear()
        receipt, signed = reader.receipt(name, to)
        if signed is Authenticity.FORGED or not (signed is Authenticity.AUTHENTIC or allow_unsigned):
            raise ProofFailed(
                f"the receipt of {name} on {reader.destination.name} is not signed with a key of this site",
                hint="put the signing key in place (it is in the recovery kit), or add --allow-unsigned",
            )
        got = to / "got"
        private_directory(got)
        for named, place, why in reader.files(receipt, to, without=_at_hand(reader, receipt)):
            if why:
                raise ProofFailed(f"{reader.destination.name}: {why}", hint="use another copy or another backup")
            if place is None:
                raise Refused(
                    f"{name} is sealed on {reader.destination.name}, and this host has only the public keys",
                    hint="name the private key: --identity FILE, or --identity - to type it",
                )
            file = got / require_plain(named)
            private_directory(file.parent)
            force_to_disk(place)
            place.rename(file)
        with explained(f"write {directory}"):
            mended = _publish_stored(reader, got) + _publish(
                reader.catalog, got, name, proven=signed is Authenticity.AUTHENTIC
            )
    if reader.overwritten:
        listen(CopyOverwritten(reader.destination.name, len(reader.overwritten), reader.overwritten[0]))
    if mended:
        listen(CopyMended(reader.destination.name, len(mended), mended[0]))
    listen(CopyFetched(reader.destination.name, name))
    return directory / name


def _at_hand(reader: TargetReader, receipt: Receipt) -> frozenset[str]:
    """Return the objects of a receipt whose files the media store here has, as their content was read now."""
    named = {one.name for one in receipt.objects if is_stored(one.name)}
    store, key = MediaStore(reader.catalog.directory), reader.key
    found = set()
    for sha256 in store.names() if named else ():
        here = {stored_name(sha256, None), *([stored_name(sha256, key)] if key else [])} & named
        if here and sha256_of(store.path(sha256))[0] == sha256:
            found |= here
    return frozenset(found)


def _publish_stored(reader: TargetReader, got: Path) -> list[str]:
    """Give files of the media store their names and return those that were here and damaged.

    Raises ProofFailed for content that is not that of its name.
    """
    store, mended = MediaStore(reader.catalog.directory), []
    for path in sorted((got / MEDIA_STORE).glob("*/*")):
        if sha256_of(path)[0] != path.name:
            raise ProofFailed(
                f"{reader.destination.name}: {path.relative_to(got)} has another content than its name says",
                hint="use another copy of it",
            )
        final = store.path(path.name)
        private_directory(final.parent)
        path.chmod(0o400)
        if final.exists():
            mended.append(str(path.relative_to(got)))
        path.rename(final)
        fsync_directory(final.parent)
    return mended


def _publish(catalog: Catalog, got: Path, name: str, *, proven: bool) -> list[str]:
    """Give the files of an artifact their names and return those that were here and damaged.

    The artifact's own name is given last: a crash leaves no artifact that lacks a file. A file that is here and differs
    is replaced if the copy is `proven` and the manifest here is the same as there, or was damaged.
    """
    directory, mended = catalog.directory, []
    own = (path for path in got.iterdir() if path.name != MEDIA_STORE)
    for path in sorted(own, key=lambda one: (one.name == name, one.name)):
        final = directory / path.name
        if not final.exists():
            rename_new(path, final)
            continue
        for new, old in [(path, final)] if path.is_file() else [(one, final / one.name) for one in path.iterdir()]:
            if old.is_file() and sha256_of(new)[0] == sha256_of(old)[0]:
                continue
            if not (proven and _is_damaged(catalog, got, name)) or old.is_dir():
                raise ProofFailed(f"{old} is there, and differs from the copy", hint="move it away, then fetch again")
            mended.append(str(new.relative_to(got)))
            new.replace(old)
            fsync_directory(old.parent)
    fsync_directory(directory)
    return mended


def _is_damaged(catalog: Catalog, got: Path, name: str) -> bool:
    """Return whether the artifact here is the one that was fetched, damaged, and not another of the same name."""
    manifest = next(one for one in (f"{name}{MANIFEST_SUFFIX}", f"{name}/{DIRECTORY_MANIFEST}", name)
                    if (got / one).is_file() or (catalog.directory / one).is_file())  # fmt: skip
    if not (catalog.directory / manifest).is_file():  # a file of somebody else may have this name
        return False
    here = read_plain(catalog.directory / manifest, LARGEST)
    if (got / manifest).is_file() and here == read_plain(got / manifest, LARGEST):
        return True
    try:
        return catalog.authenticity(here) is Authenticity.FORGED
    except msgspec.DecodeError:
        return True
