"""The `django` kind (Method 2), seen without Django: a directory with manifest, fixture and media archive or listing.

The rows themselves are checked against the models by the site's own `restore --dry-run`; here every byte is read,
compared with the manifest, and known to be complete JSON and a complete ZIP.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import msgspec

from korrigo_backup.artifact import fixture
from korrigo_backup.artifact import manifest as manifests
from korrigo_backup.artifact import signature as authenticity
from korrigo_backup.artifact.left_out import left_out_findings, media_findings
from korrigo_backup.artifact.naming import DIRECTORY_MANIFEST
from korrigo_backup.core.finding import Finding, ok, warning
from korrigo_backup.errors import NotFound, ProofFailed, Refused
from korrigo_backup.media import zip_archive as media_zip
from korrigo_backup.media.store import load as stored
from korrigo_backup.media.store.listing import read as read_listing
from korrigo_backup.media.store.objects import MediaStore
from korrigo_backup.system.files import open_plain
from korrigo_backup.system.streams import HashingReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from korrigo_backup.artifact.manifest import Manifest, Member
    from korrigo_backup.artifact.signature import Authenticity, Key
    from korrigo_backup.media.archive import CheckedArchive

_BATCH = 200
"""Objects checked at once."""

_ANOTHER = "use another backup: korrigo-backup list shows them"


class ServedFiles(Protocol):
    """An artifact that is no directory of this machine."""

    def open(self, name: str) -> IO[bytes]:
        """Return a file of it, unbuffered; FileNotFoundError when it has none of that name."""
        ...


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest of the artifact at `directory`.

    Raises NotFound when there is no such directory or no manifest in it, ProofFailed when it cannot be used.
    """
    return read_signed(directory, {})[0]


def read_signed(directory: Path | ServedFiles, keys: Mapping[str, Key]) -> tuple[Manifest, Authenticity]:
    """Return the manifest and the result of checking its signature with `keys`; raises as `read_manifest`."""
    if isinstance(directory, Path) and not directory.is_dir():
        raise NotFound(
            f"there is no backup directory {directory}",
            hint="name a korrigo_backup_… directory; korrigo-backup list",
            id_="artifact.outside",
        )
    path = f"{directory}/{DIRECTORY_MANIFEST}"
    try:
        with _open(directory, DIRECTORY_MANIFEST) as file:
            raw = b"".join(_pieces(file, manifests.LARGEST + 1))
    except FileNotFoundError:
        raise NotFound(
            f"Manifest file not found in backup directory {directory}",
            hint="the backup is not complete: name the korrigo_backup_… directory itself, or use another backup",
            id_="manifest.missing",
        ) from None
    except ValueError as problem:
        raise ProofFailed(str(problem), hint=_ANOTHER) from None
    if len(raw) > manifests.LARGEST:
        raise ProofFailed(f"{path} is too large for a manifest", hint=_ANOTHER)
    found = manifests.decode(raw, path)
    if found.database_backup is None or (found.includes_media and found.media_backup is None):
        raise ProofFailed(f"{path} names no database backup or no media backup", hint=_ANOTHER)
    return found, authenticity.check(raw, keys)


def verify(
    directory: Path,
    count: Callable[[Path, Manifest], int] | None = None,
    *,
    stored_media: bool = True,
    backups: Path | None = None,
) -> tuple[Manifest, list[Finding]]:
    """Read the whole artifact and return its manifest and the findings.

    `count` reads the fixture in place of the check that needs no models, and returns its number of objects. Without
    `stored_media` the files of the media store must be there with their sizes, and are not read. `backups` is the
    directory with the media store, if it is not that above `directory`. Raises
    NotFound or ProofFailed for every fault that makes the artifact unusable; properties that could not be proven are
    warnings.
    """
    manifest = read_manifest(directory)
    findings = [ok("django.manifest", f"manifest of {manifest.timestamp}")]
    if not manifest.members:
        findings.append(
            warning(
                "django.no-checksums",
                "made by the former command: it has no checksums",
                "make a new backup soon",
            )
        )
    rows = (count or _verify_database)(directory, manifest)
    _expect_rows(manifest, rows)
    findings.append(ok("django.rows", f"{rows:,} objects, all JSON"))
    findings += left_out_findings(manifest.django.left_out if manifest.django else ())
    findings += media_findings(manifest.media.notes if manifest.media else ())
    if manifest.media and manifest.media.store:
        store = MediaStore(backups or directory.parent)
        findings.append(verify_stored_media(directory, manifest, store, content=stored_media))
    elif manifest.includes_media:
        checked = verify_media(directory, manifest)
        findings.append(ok("django.media", f"{checked.files:,} files, {checked.bytes:,} bytes"))
    return manifest, findings


def verify_stored_media(directory: Path, manifest: Manifest, store: MediaStore, *, content: bool) -> Finding:
    """Compare the listing of the media store with the manifest, and return the finding about its files.

    They must be in the store with their sizes; with `content` each is read. Raises ProofFailed.
    """
    with open_listing(directory, manifest) as listing:
        entries = read_listing(listing, manifest.media.members) if listing and manifest.media else iter(())
        files, size = stored.verify(entries, store, content=content, expected=manifest.media)
    media = manifest.media
    if media and (media.files, media.bytes) != (files, size):
        raise ProofFailed(
            f"{media.members} names {files} files of {size} bytes, the manifest {media.files} of {media.bytes}",
            hint=_ANOTHER,
        )
    where = "every checksum as saved" if content else "all in the media store"
    return ok("django.media", f"{files:,} files, {size:,} bytes, {where}")


def _verify_database(directory: Path, manifest: Manifest) -> int:
    name = manifest.database_backup or ""
    rows = 0
    with open_member(directory, name) as file:
        reader = HashingReader(file)
        found = fixture.objects(reader, name)
        while batch := list(islice(found, _BATCH)):
            _decode_headers(batch, name)
            rows += len(batch)
        expect(manifest, name, reader.sha256, reader.size)
    return rows


def _expect_rows(manifest: Manifest, rows: int) -> None:
    if manifest.django and manifest.django.rows != rows:
        raise ProofFailed(
            f"{manifest.database_backup} holds {rows} objects, the manifest names {manifest.django.rows}", hint=_ANOTHER
        )


def _decode_headers(batch: list[tuple[int, bytes]], name: str) -> None:
    """Raise ProofFailed if any of the objects is invalid; all are decoded at once, which is quicker."""
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if len(fixture.HEADERS.decode(b"[" + b",".join([raw for _, raw in batch]) + b"]")) == len(batch):
            return
    for number, raw in batch:
        decode_header(raw, f"{name}: object at {number}")


def verify_media(directory: Path | ServedFiles, manifest: Manifest) -> CheckedArchive:
    """Read the media archive and compare it with its listing and the manifest; raises ProofFailed."""
    name = manifest.media_backup or ""
    with open_member(directory, name) as archive, open_listing(directory, manifest) as listing:
        checked = media_zip.check(archive, listing, name)
    expect_media(manifest, checked)
    return checked


def require_archive(directory: Path | ServedFiles, manifest: Manifest) -> None:
    """Raise Refused for a backup whose media files are in the media store, which manage.py does not read."""
    if manifest.media and manifest.media.store:
        raise Refused(
            f"the media files of {directory} are in the media store",
            hint="restore it with korrigo-backup restore, on the machine with the backup directory",
        )


def expect_media(manifest: Manifest, checked: CheckedArchive) -> None:
    """Raise ProofFailed if the media archive that was read differs from the manifest."""
    expect(manifest, manifest.media_backup or "", checked.sha256, checked.size)
    media = manifest.media
    if media and (media.files, media.bytes) != (checked.files, checked.bytes):
        raise ProofFailed(
            f"{manifest.media_backup} holds {checked.files} files, the manifest names {media.files}",
            hint=_ANOTHER,
        )


@contextmanager
def open_listing(directory: Path | ServedFiles, manifest: Manifest) -> Iterator[IO[bytes] | None]:
    """Yield the listing, compared with the manifest and left at its start; None for an old artifact."""
    if manifest.media is None:
        yield None
        return
    with open_member(directory, manifest.media.members) as file:
        reader = HashingReader(file)
        for _ in reader:
            pass
        expect(manifest, manifest.media.members, reader.sha256, reader.size)
        file.seek(0)
        yield file


@contextmanager
def open_member(directory: Path | ServedFiles, name: str) -> Iterator[IO[bytes]]:
    """Yield a file of the artifact, unbuffered; ProofFailed when it is missing or is a link or device."""
    try:
        file = _open(directory, name)
    except (FileNotFoundError, ValueError):
        raise ProofFailed(f"{directory}/{name} is missing or is not a file", hint=_ANOTHER) from None
    except OSError as problem:
        if problem.errno != errno.ELOOP:
            raise
        raise ProofFailed(f"{directory}/{name} is a link, not a file", hint=_ANOTHER) from None
    with file:
        yield file


def expect(manifest: Manifest, name: str, sha256: str, size: int) -> None:
    """Raise ProofFailed if a file differs from the manifest; an old manifest without members is not compared."""
    if not manifest.members:
        return
    member = _member(manifest, name)
    if member is None or (member.sha256, member.size) != (sha256, size):
        raise ProofFailed(f"{name} differs from the manifest: it was changed or damaged", hint=_ANOTHER)


def decode_header(raw: bytes, where: str) -> fixture.FixtureHeader:
    """Return the header of an object; ProofFailed if it is not JSON or not an object of a fixture."""
    try:
        return fixture.HEADER.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise ProofFailed(f"{where}: {problem}", hint=_ANOTHER) from None


def _open(directory: Path | ServedFiles, name: str) -> IO[bytes]:
    return open_plain(directory / name) if isinstance(directory, Path) else directory.open(name)


def _pieces(file: IO[bytes], limit: int) -> Iterator[bytes]:
    """Yield the content of an unbuffered file up to a limit; a single read may give less than was asked for."""
    while limit > 0 and (piece := file.read(limit)):
        yield piece
        limit -= len(piece)


def _member(manifest: Manifest, name: str) -> Member | None:
    return next((member for member in manifest.members if member.name == name), None)
