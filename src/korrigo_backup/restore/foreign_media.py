"""Archives of uploads that another tool has made: the root of the media tree in them, and the members left out."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, error, loss
from korrigo_backup.core.paths import printable, stays_inside
from korrigo_backup.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.media.archive import Found
    from korrigo_backup.media.port import Tree
    from korrigo_backup.postgres.difference import Acceptance
    from korrigo_backup.verify.media_source import MediaSource

KNOWN_ROOTS = ("app/media", "media", "data", "uploads")
"""Names of media directories in archives without a manifest: the runbook's two recipes (4.5) and common names."""

_DUMP = re.compile(
    r"toc\.dat|\d+\.dat|blobs(_\d+)?\.toc|blob_\d+\.dat|restore\.sql|.+\.(sql|dump|pgdump)", re.ASCII | re.IGNORECASE
)
_PACKED = re.compile(r"\.(gz|bz2|xz|zst|lz4)$", re.IGNORECASE)

LINKS = "media.links"
"""The name for `--accept` to leave out links that lead out of the tree."""


def located(tree: Tree, artifact: Artifact, source: MediaSource, accept: Acceptance) -> MediaSource:
    """Return a source with the root of the media tree in its archive; archives of this program name it.

    Raises UsageError, with the commands to type, if neither the live tree nor the names show the root, and if the
    archive holds database dumps alone.
    """
    if not source.found:
        return source
    live = {entry.path for entry in tree.walk() if entry.is_file} if tree.exists() else set()
    if dumps := find_dumps(source.found, live):
        raise _dumps(artifact, dumps)
    root = find_root(source.found, live, str(tree.root))
    if root is None:
        raise _ambiguous(artifact, source.found)
    below = [replace(one, path=path) for one in source.found if (path := _below(one.path, root))]
    repeated = Counter(one.path for one in below if one.kind != "directory")
    findings = tuple(_links(below, accept))
    return replace(
        source,
        root=root,
        repeated={path: count for path, count in repeated.items() if count > 1},
        findings=(*source.findings, *findings),
    )


def find_root(found: Iterable[Found], live: Collection[str], place: str) -> str | None:
    """Return the directory of an archive that is the media root, "." for the archive's own; None when it is not clear.

    `live` are the paths of the live files, `place` the path of the live root.
    """
    kept = [one for one in found if not _is_litter(one.path)]
    paths = [one.path for one in kept if one.kind != "directory"]
    candidates = _candidates(kept)
    if len(candidates) == 1:
        return "."
    matches = {root: sum(path in live for path in (_below(path, root) for path in paths)) for root in candidates}
    best = max(matches.values())
    if best:
        fitting = [root for root in candidates if matches[root] == best]
        return fitting[0] if len(fitting) == 1 else None
    if (exact := place.strip("/")) in candidates:
        return exact
    name = place.rstrip("/").rpartition("/")[2]
    named = [root for root in candidates if root in KNOWN_ROOTS or root.rpartition("/")[2] in {name, "media"}]
    named = [root for root in named if root != "media" or "app/media" not in named]
    own = any(one.path == "." for one in kept)
    choice = [*named, *([] if not own else ["."])]
    return choice[0] if len(choice) == 1 else None


def find_dumps(found: Iterable[Found], live: Collection[str]) -> list[str]:
    """Return the paths of an archive whose files are all database dumps; none where the live tree has such files."""
    paths = [one.path for one in found if one.kind != "directory" and not _is_litter(one.path)]
    names = {path.rpartition("/")[2] for path in paths}
    if not names or not all(_DUMP.fullmatch(_PACKED.sub("", name)) for name in names):
        return []
    return [] if names & {path.rpartition("/")[2] for path in live} else sorted(paths)


def _candidates(found: Iterable[Found]) -> list[str]:
    """Return "." and every directory that all members are in, from the top down."""
    paths = {one.path for one in found if one.path != "."}
    above = {path.rpartition("/")[0] for path in paths}
    leaves = [
        one.path.split("/") if one.kind == "directory" else one.path.split("/")[:-1]
        for one in found
        if one.path != "." and not (one.kind == "directory" and one.path in above)
    ]
    if not leaves:
        return ["."]
    low, high = min(leaves), max(leaves)
    common = next((n for n, part in enumerate(low) if n >= len(high) or part != high[n]), len(low))
    return [".", *("/".join(low[: n + 1]) for n in range(common))]


def _below(path: str, root: str) -> str:
    """Return the path below a root, "" for a path outside it."""
    if root == ".":
        return "" if path == "." else path
    return path[len(root) + 1 :] if path.startswith(f"{root}/") else ""


def _is_litter(path: str) -> bool:
    """Return whether macOS adds files of this name."""
    name = path.rpartition("/")[2]
    return name.startswith("._") or name == ".DS_Store" or "__MACOSX" in path.split("/")


def _links(found: Iterable[Found], accept: Acceptance) -> Iterator[Finding]:
    outside = [one for one in found if one.kind == "link" and not stays_inside(one.path, one.target)]
    if not outside:
        return
    first = f"{printable(outside[0].path)} -> {printable(outside[0].target)}"
    words = f"{len(outside)} symbolic links in the archive may lead out of the media tree: {first}"
    if accept.takes(LINKS):
        yield loss("media.links", f"{words}; they are left out")
    else:
        yield error("media.links", words, f"to restore without them, add --accept {LINKS}")


def _unpack(artifact: Artifact, directory: str) -> str:
    """Return the commands that unpack an archive into a new directory."""
    path = shlex.quote(str(artifact.path))
    unpack = f"unzip {path} -d {directory}" if artifact.name.endswith(".zip") else f"tar -xf {path} -C {directory}"
    return f"mkdir {directory} && {unpack}"


def _dumps(artifact: Artifact, paths: list[str]) -> UsageError:
    """Return the error for dumps in an archive; a dump in directory format is named by its directory."""
    tables = next((path for path in paths if path.rpartition("/")[2] == "toc.dat"), None)
    inside = paths[0] if tables is None else tables.rpartition("/")[0]
    name = f"unpacked/{inside}".rstrip("/")
    return UsageError(
        f"{artifact.name} holds database dumps and no media: {first_of([printable(path) for path in paths])}",
        hint=f"unpack it and name the dump: {_unpack(artifact, 'unpacked')}"
        f" ; then korrigo-backup restore {shlex.quote(name)} --allow-unsigned",
    )


def _ambiguous(artifact: Artifact, found: Iterable[Found]) -> UsageError:
    deepest = _candidates(found)[-1]
    unpacked = "unpacked"
    return UsageError(
        f"{artifact.name}: it is not clear which directory in it is the media directory:"
        f" {printable(deepest)}, or a directory above it",
        hint=f"pack that directory again: {_unpack(artifact, unpacked)}"
        f" && tar -czf media.tar.gz -C {shlex.quote(f'{unpacked}/{deepest}')} ."
        " ; then korrigo-backup restore media.tar.gz --allow-unsigned",
    )
