"""Read the manifests and listings that the canary compares. Reads only."""

from __future__ import annotations

import tarfile
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from korrigo_backup.artifact.kinds import KINDS, Kind
from korrigo_backup.artifact.reader import manifest_path
from korrigo_backup.canary.evaluate import LEAST_FILES, RECENT, is_replaced
from korrigo_backup.canary.file_types import HEAD, is_opaque
from korrigo_backup.canary.model import ReplacedFiles, SavedCounts
from korrigo_backup.errors import KorrigoBackupError
from korrigo_backup.media.saved_files import saved_files
from korrigo_backup.media.store.objects import MediaStore
from korrigo_backup.retention.policy import own_clock
from korrigo_backup.system.files import CHUNK
from korrigo_backup.system.streams import gunzip
from korrigo_backup.system.tape import Tape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.manifest import Manifest

_SAME_DAY = 3
"""The newest backups, which are compared even if they are of one day; of earlier days only the newest."""

_MOST = 30
"""Backups that are compared with the newest: a month of nights."""

_MANIFEST_BYTES = 32 * 1024 * 1024
"""Bytes of manifests that are read, but for the first three: a database with thousands of tables has large ones."""

_HEADS = 32
"""Files of which the beginning is read, of each of two backups."""


def read_states(artifacts: Sequence[Artifact]) -> list[SavedCounts]:
    """Return the states of the newest artifacts and of one a day before; `artifacts` are of one kind, newest first.

    An artifact whose manifest cannot be read is left out.
    """
    found: list[SavedCounts] = []
    days, left = set[object](), _MANIFEST_BYTES
    for artifact in artifacts:
        day = (own_clock(artifact.stamp) or artifact.created).date()
        if len(found) >= _SAME_DAY and (day in days or left <= 0):
            continue
        days.add(day)
        with suppress(OSError, KorrigoBackupError):
            left -= manifest_path(artifact.path, artifact.kind).stat().st_size
            if manifest := _manifest(artifact):
                found.append(_state(artifact, manifest))
        if len(found) > _MOST:
            break
    return found


def read_change(newest: Artifact, former: Artifact, between: Iterable[Artifact]) -> ReplacedFiles | None:
    """Return the difference between the media of two backups, None if most files are the same or a listing is missing.

    `between` are the backups after `former`, with `newest`. The types of files are looked at only if so many were
    replaced that it may be an alarm.
    """
    with suppress(OSError, KorrigoBackupError, tarfile.TarError):
        if not _may_be_replaced(former, between):
            return None
        return _difference(newest, former)
    return None


def _may_be_replaced(former: Artifact, between: Iterable[Artifact]) -> bool:
    """Return False if the media store shows that hardly any file was new since `former`."""
    manifest, new = _manifest(former), 0
    if manifest is None or manifest.media is None or manifest.media.files < LEAST_FILES:
        return False
    for one in between:
        later = _manifest(one)
        if later is None or later.media is None or later.media.store is None:
            return True
        new += later.media.store.new_files
    return is_replaced(manifest.media.files, new)


def _difference(newest: Artifact, former: Artifact) -> ReplacedFiles | None:
    kept = {digest for digest, _ in _files(newest)}
    known, lost = set[str](), list[tuple[str, str]]()
    for digest, path in _files(former):
        known.add(digest)
        if digest not in kept:
            lost.append((digest, path))
    files = sum(1 for _ in _files(former))
    if not is_replaced(files, len(lost)):
        return None
    fresh = [(digest, path) for digest, path in _files(newest) if digest not in known]
    read, opaque = _types(newest, fresh)
    read_before, opaque_before = _types(former, lost)
    return ReplacedFiles(
        files=files, lost=len(lost), read=read, opaque=opaque, read_before=read_before, opaque_before=opaque_before
    )


def _files(artifact: Artifact) -> Iterator[tuple[str, str]]:
    """Yield the SHA-256 and the path below the media root of each file."""
    manifest = _manifest(artifact)
    root = manifest.media.root if manifest and manifest.media else ""
    with saved_files(artifact.path, root) as files:
        yield from files


def _types(artifact: Artifact, files: Sequence[tuple[str, str]]) -> tuple[int, int]:
    """Return how many of `files` were looked at, and how many of those have no known type."""
    sample = files[:: max(1, len(files) // _HEADS)][:_HEADS]
    heads = _stored_heads(artifact, sample) if artifact.is_listing else _archived_heads(artifact, sample)
    opaque = [is_opaque(PurePosixPath(path).suffix.lower(), head) for path, head in heads if head]
    return len(opaque), sum(opaque)


def _stored_heads(artifact: Artifact, sample: Iterable[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
    store = MediaStore(artifact.directory)
    for digest, path in sample:
        with store.open(digest) as file:
            yield path, file.read(HEAD)


def _archived_heads(artifact: Artifact, sample: Sequence[tuple[str, str]]) -> Iterator[tuple[str, bytes]]:
    """Read the archive once, up to the last file of the sample."""
    manifest = _manifest(artifact)
    root = manifest.media.root if manifest and manifest.media else ""
    wanted = {f"{root}/{path}": path for _, path in sample}
    with (
        artifact.path.open("rb") as packed,
        tarfile.open(fileobj=Tape(gunzip(_chunks(packed), artifact.name)), mode="r:") as archive,  # type: ignore[call-overload]  # it reads forwards
    ):
        for member in islice((one for one in archive if one.isreg() and one.name in wanted), len(wanted)):
            file = archive.extractfile(member)
            yield wanted[member.name], file.read(HEAD) if file else b""


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    return iter(partial(file.read, CHUNK), b"")


def within_reach(newest: SavedCounts, history: Sequence[SavedCounts]) -> list[SavedCounts]:
    """Return those of the calm backups before `newest` whose files are compared with its files, newest first."""
    return [state for state in history if newest.created - state.created <= RECENT] or list(history[:1])


def _manifest(artifact: Artifact) -> Manifest | None:
    """Return the manifest without keeping it: those of a month together would take much memory."""
    return artifact.source() if callable(artifact.source) else artifact.source


def _state(artifact: Artifact, manifest: Manifest) -> SavedCounts:
    django = manifest.django
    tables = manifest.database.tables if manifest.database else (*django.models, *django.referred) if django else ()
    content = manifest.database or django
    media = manifest.media
    return SavedCounts(
        name=artifact.name,
        created=artifact.created,
        clock=own_clock(manifest.timestamp) or artifact.created.replace(tzinfo=None),
        rows={table.name: table.rows for table in tables},
        digests={table.name: table.digest for table in tables if table.digest},
        migrations=frozenset(content.migrations if content else ()),
        files=media.files if media else None,
        bytes=media.bytes if media else None,
    )


COMPARED = tuple(kind for kind in Kind if not KINDS[kind].components)
"""The kinds whose backups are compared; a restore point is compared by its components."""
