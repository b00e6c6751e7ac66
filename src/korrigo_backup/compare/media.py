"""Compare saved checksums of media files (an archive's, a list's, a kept tree's) with the live tree, file by file.

Both sides are ordered by the parts of the path and merged: constant memory for any number of files.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from heapq import merge
from types import MappingProxyType
from typing import TYPE_CHECKING

from korrigo_backup.compare.compare import require_new
from korrigo_backup.compare.differences import Comparison, Counted, FileChange
from korrigo_backup.core.paths import order, printable
from korrigo_backup.errors import NotFound, ProofFailed, UsageError
from korrigo_backup.media import listing as members
from korrigo_backup.media.saved_files import links_of_archive, listing_path
from korrigo_backup.media.store import listing as stored
from korrigo_backup.system.files import create_private, explained, open_plain, write_all
from korrigo_backup.system.progress import Unit, Work, under_way
from korrigo_backup.verify.media_source import open_media

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.media.port import Tree
    from korrigo_backup.media.walk import TreeEntry
    from korrigo_backup.site.site import Site
    from korrigo_backup.verify.media_source import MediaSource

    Saved = tuple[str, str]
    """SHA-256 and path below the media root."""


NO_LINKS: Mapping[str, str] = MappingProxyType({})

UNREAD = "-"
"""Stands for the content of a live file that is not read: it counts as the saved content."""


def compare_archive(site: Site, artifact: Artifact, *, shown: int, erased: Container[str] = frozenset()) -> Comparison:
    """Compare a media archive, which is verified first, with the live tree; UsageError when it has no checksums.

    Files that were `erased` on request are not missing.
    """
    tree = site.required_media()
    with open_media(artifact) as source:
        return _compared(artifact.name, tree, _listed(artifact, source), shown, erased, saved_links(artifact))


def compare_archives(
    first: Artifact, later: Artifact, *, shown: int, hidden: Container[str] = frozenset()
) -> Comparison:
    """Compare two media backups by their checksums; both are verified first. Raises as `compare_archive`.

    Files of `hidden`, which were erased on request, are counted and not named.
    """
    with open_media(first, unpacked=False) as then, open_media(later, unpacked=False) as now:
        saved, listed = _listed(first, then), _listed(later, now)
        if not (names_no_links(first) or names_no_links(later)):
            saved, listed = with_links(saved, saved_links(first)), with_links(listed, saved_links(later))
        files = _changes(saved, ((path, digest) for digest, path in listed), _ShownPaths(shown, hidden))
    return Comparison(saved=first.name, now=later.name, files=files)


def _listed(artifact: Artifact, source: MediaSource) -> Iterator[Saved]:
    """Return the files of a media backup; UsageError when it has no checksums."""
    saved = source.saved_files()
    if saved is None:
        raise UsageError(
            f"{artifact.name} has no list of checksums: its files cannot be compared individually",
            hint="korrigo-backup plan counts the files that a restore would replace",
        )
    return saved


def compare_listing(site: Site, file: Path, *, shown: int) -> Comparison:
    """Compare a list that `save_listing` (or a media backup) wrote with the live tree."""
    tree = site.required_media()
    if not file.exists():
        raise NotFound(
            f"there is no file {file}", hint="make a list: korrigo-backup compare --media --save FILE.sha256"
        )
    with open_plain(file) as opened:
        saved = _in_order(members.below(members.read(opened, str(file)), site.archive_root), file)
        return _compared(str(file), tree, saved, shown)


def compare_previous_copy(site: Site, kept: Tree, *, shown: int) -> Comparison:
    """Compare the previous copy of a media tree with the live tree."""
    saved = ((digest, path) for path, digest in kept.digests())
    links = {path: target for path, target, _ in kept.links()}
    return _compared(str(kept.root), site.required_media(), saved, shown, links=links)


def save_listing(site: Site, file: Path) -> int:
    """Write the SHA-256 of every live file to a new private file, as `sha256sum` writes it; return how many."""
    tree, count = site.required_media(), 0
    require_new(file)
    with explained(f"write {file}"), create_private(file) as target:
        for path, digest in _shown(tree.digests()):
            write_all(target, members.line(digest, f"{site.archive_root}/{path}"))
            count += 1
        os.fsync(target.fileno())
    return count


def file_changes(
    saved: Iterable[Saved],
    tree: Tree,
    *,
    shown: int,
    knows: Callable[[TreeEntry], str | None] | None = None,
    erased: Container[str] = frozenset(),
    links: Mapping[str, str] = NO_LINKS,
) -> FileChange:
    """Return which files of `tree` differ from the saved files, which are ordered by the parts of their paths.

    `knows` returns the SHA-256 of a file that need not be read, or UNREAD if it counts as saved. Of the live symbolic
    links those are looked at that are among the saved `links`.
    """
    live = _shown(tree.digests(knows))
    if links:
        there = {path: target for path, target, _ in tree.links() if path in links}
        saved = with_links(saved, links)
        live = ((path, digest) for digest, path in with_links(((digest, path) for path, digest in live), there))
    return _changes(saved, live, _ShownPaths(shown), erased)


def with_links(files: Iterable[Saved], links: Mapping[str, str]) -> Iterator[Saved]:
    """Yield files with symbolic links among them, in the order of their paths: a link has its target for a SHA-256."""
    made = ((f"-> {links[path]}", path) for path in sorted(links, key=order))
    return merge(files, made, key=lambda one: order(one[1]))


def saved_links(backup: Artifact) -> Mapping[str, str]:
    """Return the targets of the symbolic links of a media backup by their paths, as listing or manifest names them."""
    if not backup.is_listing:
        return links_of_archive(backup)
    with open_plain(listing_path(backup.path)) as raw:
        return {one.path: one.target for one in stored.read(raw, backup.name) if one.target is not None}


def names_no_links(backup: Artifact) -> bool:
    """Return whether the symbolic links of a media backup are in its archive alone: it is of a former version."""
    media = backup.manifest.media if backup.manifest else None
    return not backup.is_listing and media is not None and media.properties and media.links is None


def _shown(files: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Yield the files, and show how many were read."""
    with under_way(Work(name="comparing the media files", unit=Unit.FILES)) as work:
        for path, digest in files:
            work.item = path
            work.count += 1
            yield path, digest


def _changes(
    saved: Iterable[Saved],
    present_files: Iterable[tuple[str, str]],
    shown: _ShownPaths,
    erased: Container[str] = frozenset(),
) -> FileChange:
    """Return the differences to the present files, paths and SHA-256, which have the same order."""
    added, changed, removed = _Names(shown), _Names(shown), _Names(shown)
    same = gone = 0
    for path, digest, present in side_by_side(iter(saved), iter(present_files)):
        if digest == present or (present == UNREAD and digest is not None):
            same += digest is not None
        elif digest is None:
            added.add(path)
        elif present is None and path in erased:
            gone += 1
        elif present is None:
            removed.add(path)
        else:
            changed.add(path)
    return FileChange(added=added.counted, changed=changed.counted, removed=removed.counted, same=same, erased=gone)


@dataclass(frozen=True)
class _ShownPaths:
    """How many files are named, and which are not."""

    number: int
    hidden: Container[str] = frozenset()


class _Names:
    def __init__(self, shown: _ShownPaths) -> None:
        self._shown = shown
        self._first: list[str] = []
        self._count = 0

    def add(self, path: str) -> None:
        if len(self._first) < self._shown.number and path not in self._shown.hidden:
            self._first.append(printable(path))
        self._count += 1

    @property
    def counted(self) -> Counted:
        return Counted(self._count, tuple(self._first))


def _compared(
    name: str,
    tree: Tree,
    saved: Iterable[Saved],
    shown: int,
    erased: Container[str] = frozenset(),
    links: Mapping[str, str] = NO_LINKS,
) -> Comparison:
    with explained(f"read the media tree {tree.root}"):
        files = file_changes(saved, tree, shown=shown, erased=erased, links=links)
    return Comparison(saved=name, now=f"media tree {tree.root}", files=files)


def side_by_side(
    saved: Iterator[Saved], live: Iterator[tuple[str, str]]
) -> Iterator[tuple[str, str | None, str | None]]:
    """Yield path, saved and live checksum; a checksum is None if the file is only on the other side."""
    left, right = next(saved, None), next(live, None)
    while left or right:
        if right is None or (left is not None and order(left[1]) < order(right[0])):
            yield left[1], left[0], None  # type: ignore[index]  # one of the two is there
            left = next(saved, None)
        elif left is None or left[1] != right[0]:
            yield right[0], None, right[1]
            right = next(live, None)
        else:
            yield right[0], left[0], right[1]
            left, right = next(saved, None), next(live, None)


def _in_order(saved: Iterable[Saved], file: Path) -> Iterator[Saved]:
    last: tuple[bytes, ...] = ()
    for digest, path in saved:
        parts = order(path)
        if parts <= last:
            raise ProofFailed(
                f"{file} is not ordered by path at {printable(path)}",
                hint="make it with korrigo-backup compare --media --save FILE.sha256",
            )
        last = parts
        yield digest, path
