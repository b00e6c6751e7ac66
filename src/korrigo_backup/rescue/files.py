"""The media files that rows name: which of them are gone, and in which media backup they are."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.core.paths import printable
from korrigo_backup.core.sqlname import normal_name
from korrigo_backup.errors import ProofFailed
from korrigo_backup.media.chosen_files import ChosenFiles
from korrigo_backup.media.single_files import ABSENT, IRREGULAR, OTHER, SAME, WantedFile
from korrigo_backup.media.store import listing
from korrigo_backup.media.store.load import load as load_stored
from korrigo_backup.postgres.references import relative_path, select_column
from korrigo_backup.postgres.relations import relation
from korrigo_backup.rescue.closure import PICKED
from korrigo_backup.rescue.media_files.saved import files_of
from korrigo_backup.rescue.points import media_of
from korrigo_backup.rescue.undelete_plan import Conflict, ConflictKind
from korrigo_backup.site.path_columns import known_columns
from korrigo_backup.system.timings import phase
from korrigo_backup.verify.media_source import open_media

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.core.site_description import Description
    from korrigo_backup.media.port import Stage
    from korrigo_backup.rescue.media_files.selection import SavedFile
    from korrigo_backup.rescue.points import Points
    from korrigo_backup.rescue.staged_rows import StagedRows
    from korrigo_backup.site.path_columns import KnownColumns
    from korrigo_backup.site.site import Site
    from korrigo_backup.verify.media_source import MediaSource


NO_LINKS: Mapping[str, str] = MappingProxyType({})


@dataclass
class FilesOfRows:
    """The files that rows name: those that come back (path and SHA-256, by media backup), and the rest.

    `same` are live with the content of the backup. `conflicts` are live with other content. `missing` are in no backup.
    `inodes` has the live file of each path that is overwritten because it was named, `sizes` the bytes of each that
    comes back, 0 where its listing does not name them.
    """

    sources: dict[str, dict[str, str]] = field(default_factory=dict)
    same: int = 0
    missing: list[str] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    inodes: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """The bytes of the files that come back, as far as listings name them: those of archives do not."""
        return sum(self.sizes[path] for path in self.paths)

    @property
    def replaced(self) -> dict[str, int]:
        """The inode of the live file of each path that comes back over one."""
        return {path: inode for path, inode in self.inodes.items() if path in self.paths}

    @property
    def paths(self) -> dict[str, str]:
        """The SHA-256 of each file that comes back, by path."""
        return {path: sha256 for files in self.sources.values() for path, sha256 in files.items()}

    def saved(self, backups: Iterable[Artifact]) -> Iterator[tuple[Artifact, Collection[str]]]:
        """Yield each of some media backups with the paths that come from it."""
        return ((one, self.sources[one.name]) for one in backups if one.name in self.sources)

    def leave_out(self, paths: Collection[str]) -> None:
        """Let some files stay away."""
        self.sources = {
            name: kept
            for name, files in self.sources.items()
            if (kept := {path: sha256 for path, sha256 in files.items() if path not in paths})
        }


@phase("files of the rows")
def find_files(
    site: Site,
    rows: StagedRows,
    description: Description | None,
    points: Points,
    dump: Artifact,
    overwrite: Collection[str] = (),
) -> FilesOfRows:
    """Return the files that the picked rows name: the nearest media backup that has a file gives it.

    Live files of the paths `overwrite` with other content are replaced.
    """
    found = FilesOfRows()
    if site.media is None:
        return found
    known = known_columns(site, description)
    found.findings += _no_columns(known, description, points)
    named = _named(site, rows, known)
    if not named:
        return found
    wanted = set(named)
    saved: list[tuple[Artifact, WantedFile]] = []
    nearest = media_of(points, dump)
    others = sorted(points.media, key=lambda one: one.created, reverse=True)
    for artifact in dict.fromkeys(filter(None, (nearest, *others))):
        if not wanted:
            break
        with suppress(FileNotFoundError, ProofFailed):
            for one in _saved(artifact):
                if one.path in wanted:
                    wanted.discard(one.path)
                    saved.append((artifact, WantedFile(one.path, one.sha256, one.size)))
    missing = [WantedFile(path, "", size=-1) for path in sorted(wanted)]  # no file has this size: none is read
    compared = site.media.single_files.compare([*(file for _, file in saved), *missing])
    for (artifact, file), (live, inode) in zip(saved, compared, strict=False):
        if live == OTHER and file.path in overwrite:
            found.inodes[file.path] = inode
            live = ABSENT  # noqa: PLW2901 - it comes back as if its name were free
        _sort(found, artifact, file, live)
    found.missing = [
        file.path for file, (live, _) in zip(missing, compared[len(saved) :], strict=True) if live == ABSENT
    ]
    if found.missing:
        words = f"neither live nor in a media backup: {counted(len(found.missing), 'file')} that the rows name"
        found.findings.append(
            warning("undelete.files_missing", f"{words} ({first_of(list(map(printable, found.missing)))})",
                    "the rows come back without them")
        )  # fmt: skip
    return found


def _saved(artifact: Artifact) -> Iterator[SavedFile]:
    if artifact.authenticity is not Authenticity.AUTHENTIC or artifact.manifest is None:
        return  # its listing may be anybody's
    yield from (one for one in files_of(artifact) if one.target is None)


def _sort(found: FilesOfRows, artifact: Artifact, file: WantedFile, live: str) -> None:
    if live == ABSENT:
        found.sources.setdefault(artifact.name, {})[file.path] = file.sha256
        found.sizes[file.path] = file.size or 0
    elif live == SAME:
        found.same += 1
    else:
        kind, words = ConflictKind.FILE, f"the name {printable(file.path)} is taken by a file with other content"
        if live == IRREGULAR:
            kind, words = ConflictKind.NO_FILE, f"the name {printable(file.path)} is taken by a link or a directory"
        found.conflicts.append(Conflict(kind, "", (file.path,), "", (), words))


def _no_columns(known: KnownColumns, description: Description | None, points: Points) -> list[Finding]:
    """Return a warning if no column is known that names files: those of the rows stay away."""
    if known.columns or description is not None or not points.media:
        return []
    return [
        warning(
            "undelete.no_columns",
            "no column is known that names media files, so the files of these rows are not looked for",
            "set [media] columns, which korrigo-backup doctor proposes; restore --file brings files back",
        )
    ]


def _named(site: Site, rows: StagedRows, known: KnownColumns) -> list[str]:
    """Return the paths below the media root that the picked rows name, each once."""
    selects = []
    for column in known.columns:
        place = relation(site.postgres, column.table, column.schema)
        staged = rows.tables.get(normal_name(place.name)) if place else None
        if place is None or staged is None or column.column not in staged.columns:
            continue
        picked = f"(SELECT * FROM {staged.gone} WHERE {PICKED})"
        selects.append(select_column(column, picked, place.types[column.column]))
    if not selects:
        return []
    query = (
        "SELECT coalesce(json_agg(DISTINCT path), '[]') FROM"
        f" (SELECT {relative_path(known.roots)} AS path FROM ({' UNION ALL '.join(selects)}) u) r"
    )
    return [path for path in rows.session.ask(query, list[str]) if _is_below(path)]


def _is_below(path: str) -> bool:
    """Return whether a path stays below the root and is none of our own names."""
    parts = path.split("/")
    return not (set(parts) & {"", ".", ".."}) and "\0" not in path


@phase("stage files")
def stage_files(files: FilesOfRows, points: Points, stage: Stage) -> None:
    """Write the files that come back into a stage, each proven while it is written; raises ProofFailed."""
    for artifact in points.media:
        if wanted := files.sources.get(artifact.name):
            load_files(artifact, frozenset(wanted), stage)


def load_files(artifact: Artifact, wanted: frozenset[str], stage: Stage, links: Mapping[str, str] = NO_LINKS) -> None:
    """Write files of a media backup into a stage, each proven while it is written; raises ProofFailed.

    `links` are the symbolic links that are made there, with their targets.
    """
    chosen, trusted = ChosenFiles(stage, wanted, links=links), artifact.authenticity is Authenticity.AUTHENTIC
    with open_media(artifact, unpacked=False) as source:
        if source.store:
            entries = (
                replace(entry, same_as=None)  # its first name may stay where it is
                for entry in listing.read(source.archive, source.name)
                if entry.path in wanted or entry.path in links or entry.word == listing.DIRECTORY
            )
            load_stored(entries, source.store, chosen, trusted=trusted)
        else:
            source.load(chosen, trusted=trusted)
            if chosen.second_names:
                _load_second_names(source, chosen, trusted=trusted)
    if left := {*wanted, *links} - chosen.taken:
        raise ProofFailed(
            f"{artifact.name} lacks files of its listing: {first_of(sorted(map(printable, left)))}",
            hint="use another backup: korrigo-backup list",
        )


def _load_second_names(source: MediaSource, chosen: ChosenFiles, *, trusted: bool) -> None:
    """Stage files under their second names: their first names, which the archive has the content under, stay away."""
    under = {existing: names[0] for existing, names in chosen.second_names.items()}
    again = ChosenFiles(chosen.stage, frozenset(under), under)
    source.load(again, trusted=trusted)
    for existing in again.taken:
        first, *others = chosen.second_names[existing]
        for other in others:
            chosen.stage.add_hard_link(other, first)
        chosen.taken.update((first, *others))
