"""The parts of a validation about the media: the tree itself, and the tree compared with the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact import consistency
from korrigo_backup.artifact.consistency import Consistency, compare
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.compare.media import side_by_side
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import listed
from korrigo_backup.core.finding import Finding, Level, error, ok, warning
from korrigo_backup.erasure.erased import ErasedPaths
from korrigo_backup.media.saved_files import listing_path, saved_files
from korrigo_backup.postgres.digest import snapshot
from korrigo_backup.postgres.references import named_files, select_paths
from korrigo_backup.site.path_columns import known_columns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.core.site_description import Description
    from korrigo_backup.media.port import Tree
    from korrigo_backup.site.site import Site

_NONE = ErasedPaths()


def tree(
    site: Site,
    artifact: Artifact | None,
    description: Description | None,
    point: Artifact | None,
    *,
    erased: ErasedPaths = _NONE,
) -> Iterator[Finding]:
    """Yield whether the media tree exists, holds files, and every file can be opened; and whether it equals a backup's.

    Files that were `erased` on request are not missing.
    An empty tree is an error if only the newest restore `point` shows whether there were files, and it had some.
    """
    if site.media is None:
        yield warning("validate.media", "Media files not checked: no directory is configured", "set MEDIA_ROOT")
        return
    site.media.require()
    files, unreadable = _opened(site.media)
    if unreadable:
        words = f"{len(unreadable)} of {files} media files cannot be opened: {listed(unreadable)}"
        yield error("validate.media", words, "give the site's user the right to read them")
    elif files:
        yield ok("validate.media", f"Media files OK ({files} files)")
    elif description is None and point and (before := _files_in(point)):
        words = f"No media files in {site.media.root}, {before} in {point.name}"
        yield error("validate.media", words, _RESTORE)
    else:  # the database shows whether there should be any
        yield warning("validate.media", f"No media files in {site.media.root}", "right for a site without uploads")
    if artifact and KINDS[artifact.kind].has_files_alone:
        yield from _as_saved(site.media, artifact, erased)


def references(
    site: Site, point: Artifact | None, description: Description | None, *, erased: ErasedPaths = _NONE
) -> Iterator[Finding]:
    """Yield whether every file that the database names is there; files that no row names are counted.

    A missing file is an error, unless as many were missing already when the restore `point` was made.
    """
    if site.media is None:
        yield warning("media.unreferenced", "media not compared with the database", "set MEDIA_ROOT")
        return
    known = known_columns(site, description)
    with snapshot(site.postgres) as taken:
        selects, columns, unknown = select_paths(taken, known.columns)
        files = ((entry.path, entry.info.st_size == 0) for entry in site.media.walk() if entry.is_file)
        named = (one for one in named_files(taken, selects, roots=known.roots) if one[0] not in erased)
        found = compare(columns, named, files)
    before = (point.manifest.consistency if point and point.manifest else None) or Consistency()
    worse = {"media.missing": found.missing > before.missing, "media.columns": bool(set(unknown) - set(before.unknown))}
    for finding in consistency.findings(replace(found, unknown=tuple(unknown))):
        yield replace(finding, level=Level.ERROR) if worse.get(finding.id) else finding
    if description and description.elsewhere:
        yield ok("validate.elsewhere", f"not looked at, stored elsewhere: {listed(description.elsewhere)}")


def _files_in(point: Artifact) -> int:
    found = point.manifest.consistency if point.manifest else None
    return found.references - found.missing + found.orphans if found else 0


def _opened(media: Tree) -> tuple[int, list[str]]:
    """Return how many regular files there are, and those that cannot be opened."""
    files, unreadable = 0, []
    for path, can_be in media.opened():
        files += 1
        if not can_be:
            unreadable.append(path)
    return files, unreadable


def _as_saved(media: Tree, artifact: Artifact, erased: ErasedPaths) -> Iterator[Finding]:
    """Yield whether every file of a media backup is in the tree, by name; contents were proven when it was restored."""
    root = artifact.manifest.media.root if artifact.manifest and artifact.manifest.media else None
    listing = listing_path(artifact.path)
    if root is None or not listing.exists():
        why = artifact.problem or ("it has no manifest" if root is None else f"{listing.name} is not there")
        yield warning("validate.files", f"{artifact.name} cannot be compared: {why}")
        return
    missing, saved, gone = [], 0, 0
    live = ((entry.path, "") for entry in media.walk() if entry.is_file)
    with saved_files(artifact.path, root) as files:
        for path, is_saved, is_live in side_by_side(files, live):
            saved += is_saved is not None
            if is_live is None and path in erased:
                gone += 1
            elif is_live is None:
                missing.append(path)
    if gone:
        words = f"erased on request, and so not in the site: {counted(gone, 'file')}"
        yield ok("erasure.counted", f"{words} of {artifact.name}")
    if missing:
        words = f"{len(missing)} of {saved} files of {artifact.name} are missing: {listed(missing)}"
        yield error("validate.files", words, _RESTORE)
    else:
        yield ok("validate.files", f"Files OK ({saved} files as in {artifact.name})")


_RESTORE = "restore the media backup again: korrigo-backup list --kind media"
