"""The files of media backups by their listings, and the nearest names to a name that no listing has."""

from __future__ import annotations

from contextlib import suppress
from difflib import get_close_matches
from itertools import takewhile
from typing import TYPE_CHECKING

from korrigo_backup.artifact.components import components
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.compare.media import names_no_links
from korrigo_backup.core.paths import printable
from korrigo_backup.errors import ProofFailed, Refused, UsageError
from korrigo_backup.media.saved_files import links_of_archive, listing_path, saved_files
from korrigo_backup.media.store import listing as stored
from korrigo_backup.rescue.media_files.selection import SavedFile
from korrigo_backup.system.files import open_plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog

_NEAR = 3
"""Near names that are named."""


def media_named(catalog: Catalog, named: str) -> Artifact:
    """Return the media backup that a name means, of a restore point its component.

    Raises UsageError for another kind of artifact, Refused for a backup of another site, NotFound.
    """
    found = catalog.find(named)
    media = next((one for one in components(catalog, found) if KINDS[one.kind].has_files_alone), None)
    if media is None:
        raise UsageError(
            f"{found.name} is no media backup", hint="name a media backup or a restore point: korrigo-backup list"
        )
    if not media.ours:
        raise Refused(f"{media.name} is of another site", hint="its files come back by a restore: --into-other-site")
    return media


def files_of(backup: Artifact) -> Iterator[SavedFile]:
    """Yield the files and symbolic links of a media backup by its listing, and by the manifest of an archive.

    Raises FileNotFoundError if it has no listing, ProofFailed if that is damaged.
    """
    if backup.is_listing:
        with open_plain(listing_path(backup.path)) as raw:
            for entry in stored.read(raw, backup.name):
                if entry.sha256:
                    yield SavedFile(entry.path, entry.sha256, entry.size, entry.mtime_ns, backup.name)
                elif entry.target is not None and backup.authenticity is Authenticity.AUTHENTIC:
                    yield SavedFile(entry.path, "", 0, entry.mtime_ns, backup.name, entry.target)
        return
    media = backup.manifest.media if backup.manifest else None
    with saved_files(backup.path, (media.root if media else "") or "") as files:
        for sha256, path in files:
            yield SavedFile(path, sha256, None, None, backup.name)
    for path, target in links_of_archive(backup).items():
        yield SavedFile(path, "", 0, None, backup.name, target)


def near_files(wanted: str, backups: Sequence[Artifact]) -> list[str]:
    """Return the paths of files that a person may have meant, from the newest backups."""
    return near_paths(wanted, (file.path for backup in backups[:_NEAR] for file in _readable(backup)))


def _readable(backup: Artifact) -> Iterator[SavedFile]:
    with suppress(FileNotFoundError, ProofFailed):
        yield from files_of(backup)


def near_paths(wanted: str, paths: Iterator[str]) -> list[str]:
    """Return paths that a person may have meant: of the same name elsewhere, or of a near name in the same directory.

    Of those of the same name the paths that end most alike come first.

    If the text is a directory, it is a file of that alone. A near name differs in a quarter of its letters at most.
    """
    directory, _, name = wanted.rpartition("/")
    alike, beside = dict[str, None](), dict[str, None]()
    for path in paths:
        own, _, last = path.rpartition("/")
        if path.startswith(f"{wanted}/"):
            return [path]
        if last == name:
            alike[path] = None
        elif own == directory:
            beside[path] = None
    near = get_close_matches(wanted, list(beside), _NEAR, 0.75)
    alike_first = sorted(alike, key=lambda path: -_same_parts(wanted, path))
    return [*alike_first, *near][:_NEAR]


def _same_parts(one: str, other: str) -> int:
    """Return how many last parts of two paths are the same."""
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def hint_of_absent(near: Sequence[str], backups: Sequence[Artifact]) -> str:
    """Return the next step where no backup has a file; `near` are names that are like it."""
    if near:
        return f"did you mean {' or '.join(map(printable, near))}?"
    if former := next(filter(names_no_links, backups), None):
        return f"is it a symbolic link? Those of {former.name} come back by a restore of all media alone"
    return "give the path below MEDIA_ROOT, as the row has it, or a pattern in quotation marks: 'scans/*.pdf'"
