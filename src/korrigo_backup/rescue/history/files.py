"""How a media file stood in each media backup and stands now: read from the listings, nothing is unpacked."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.compare.media import names_no_links, saved_links
from korrigo_backup.core.paths import order, printable
from korrigo_backup.errors import NotFound, UsageError
from korrigo_backup.media import listing as archived
from korrigo_backup.media.saved_files import links_of_archive, listing_path
from korrigo_backup.media.store import listing as stored
from korrigo_backup.postgres.dump.rows import whole_lines
from korrigo_backup.rescue.history.row_changes import LIVE, RowEvent, RowEventKind, RowState, row_events
from korrigo_backup.system.files import CHUNK, explained, open_plain
from korrigo_backup.system.streams import gunzip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.media.port import Tree
    from korrigo_backup.media.walk import TreeEntry
    from korrigo_backup.rescue.points import Points

    Values = dict[str, str | None]

CONTENT, SIZE, MODIFIED, TARGET = "sha256", "size", "modified", "target"
"""The facts of a file: hexadecimal, bytes, local time. The listing of an archive has the first alone.

A symbolic link has its target alone.
"""

_FILE = re.compile(rb"[0-9a-f]{64} ", re.ASCII)


class FileHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The history of a media file: its changes of content. `without_listing` names backups that have no listing."""

    file: str
    backups: int
    since: datetime
    until: datetime
    is_live: bool | None
    events: tuple[RowEvent, ...]
    without_listing: tuple[str, ...] = ()


def file_history(points: Points, tree: Tree | None, named: str, *, now: datetime) -> FileHistory:
    """Return the history of a file below the media root; NotFound if no state has it.

    `tree` is the live tree, None if it cannot be read.
    """
    path = relative(named, str(tree.root) if tree else "")
    states, without = [], []
    for backup in points.require_media():
        point = points.point_of(backup)
        try:
            values = saved_file(backup, path)
        except FileNotFoundError:
            without.append(backup.name)
            continue
        states.append(RowState(backup.created, backup.name, values, point.name if point else ""))
    if tree is not None:
        with explained(f"read the media tree {tree.root}"):
            states.append(RowState(now, LIVE, live_file(tree, path)))
    if any(TARGET in state.values for state in states if state.values):
        silent = {one.name for one in points.media if names_no_links(one)}
        without += [state.source for state in states if not state.values and state.source in silent]
        states = [state for state in states if state.values or state.source not in silent]
    if not any(state.values for state in states):
        raise NotFound(
            f"{printable(path)} is in none of {len(states)} states of the media",
            hint="give the path below MEDIA_ROOT, as the row has it; --since and --until choose among the backups",
            id_="rescue.no_file",
        )
    live = states[-1] if states[-1].source == LIVE else None
    return FileHistory(
        file=path,
        backups=len(states) - (live is not None),
        since=states[0].at,
        until=states[-1].at,
        is_live=None if live is None else live.values is not None,
        events=tuple(one for one in row_events(states) if _is_of_content(one)),
        without_listing=tuple(without),
    )


def _is_of_content(event: RowEvent) -> bool:
    """Return whether an event is more than another time: a file that was written again with the same content."""
    return event.kind is not RowEventKind.CHANGED or any(one.field in {CONTENT, TARGET} for one in event.fields)


def relative(named: str, root: str) -> str:
    """Return a path below the media root; UsageError for a path that leads out of it."""
    path = named.removeprefix(f"{root.rstrip('/')}/") if root else named
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts:
        raise UsageError(
            f"{printable(named) or repr(named)} is no file below the media root",
            hint="give its path below MEDIA_ROOT: copies/1.pdf",
        )
    return "/".join(part for part in parts if part != ".")


def saved_file(backup: Artifact, path: str) -> Values | None:
    """Return the facts of a file in a media backup, None if it does not have it.

    Bytes are searched for before a line is read. Raises FileNotFoundError without a listing, ProofFailed for a damaged
    one.
    """
    place = listing_path(backup.path)
    with open_plain(place) as file:
        pieces = iter(lambda: file.read(CHUNK), b"")
        if backup.is_listing:
            found = _stored(gunzip(pieces, place.name), path, place.name)
            return {TARGET: saved_links(backup).get(path)} if found and TARGET in found else found
        manifest = backup.source() if callable(backup.source) else backup.source
        root = manifest.media.root if manifest and manifest.media else ""
        found = _archived(pieces, f"{root}/{path}" if root else path)
    target = links_of_archive(backup).get(path)
    return {TARGET: target} if found is None and target is not None else found


def _stored(pieces: Iterator[bytes], path: str, source: str) -> Values | None:
    tail = f" {stored.escaped(path)}\n".encode("utf-8", "surrogateescape")
    for line in _lines_ending(pieces, tail):
        if line.startswith(b"link "):
            return {TARGET: None}  # its next line has the target
        if _FILE.match(line):
            entry = stored.parse(line, source)
            if entry.path == path:
                return _facts(entry.word, entry.size, entry.mtime_ns)
    return None


def _archived(pieces: Iterator[bytes], path: str) -> Values | None:
    line = archived.line("", path)
    tail = line[line.index(b"  ") :]
    for found in _lines_ending(pieces, tail):
        digest = found.removeprefix(b"\\")[: -len(tail)]
        if len(digest) == len("0" * 64):
            return {CONTENT: digest.decode("ascii", "replace")}
    return None


def _lines_ending(pieces: Iterator[bytes], tail: bytes) -> Iterator[bytes]:
    """Yield the lines that end with `tail`, which ends with a line break."""
    for block in whole_lines(pieces):
        at = block.find(tail)
        while at >= 0:
            yield block[block.rfind(b"\n", 0, at) + 1 : at + len(tail)]
            at = block.find(tail, at + 1)


def live_file(tree: Tree, path: str) -> Values | None:
    """Return the facts of a live file, the only one of the tree that is read; None if there is none."""
    seen: list[TreeEntry] = []

    def knows(entry: TreeEntry) -> str | None:
        if entry.path != path:
            return "-"
        seen.append(entry)
        return None

    for found, digest in tree.digests(knows):
        if found == path:
            info = seen[-1].info
            return _facts(digest, info.st_size, info.st_mtime_ns)
        if order(found) > order(path):
            break
    for link, target, _ in tree.links():
        if link == path:
            return {TARGET: target}
    return None


def _facts(digest: str, size: int, mtime_ns: int) -> Values:
    modified = datetime.fromtimestamp(mtime_ns // 1_000_000_000, UTC).astimezone()
    return {CONTENT: digest, SIZE: str(size), MODIFIED: f"{modified:%Y-%m-%d %H:%M:%S}"}
