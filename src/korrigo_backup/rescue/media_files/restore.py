"""Restore single files: missing files come back among the live media; a live file is overwritten only if that is typed.

    lock > find > compare > plan > confirm                                        nothing changed
      record > stage next to the live files, each proven > put without overwriting, or exchange > done

No database is asked: the record in the backup directory alone decides after a crash (recovery/put_files.py).
"""

from __future__ import annotations

from contextlib import nullcontext, suppress
from datetime import UTC, datetime
from shlex import quote
from typing import TYPE_CHECKING

import msgspec

from korrigo_backup.artifact import naming
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of, listed
from korrigo_backup.core.finding import Finding, warning
from korrigo_backup.core.paths import printable
from korrigo_backup.erasure.findings import files_left_out
from korrigo_backup.errors import Cancelled, NotFound, ProofFailed, Refused
from korrigo_backup.media.findings import links_back
from korrigo_backup.media.room import require_place
from korrigo_backup.media.single_files import ABSENT, OTHER, SAME, PutFile, WantedFile
from korrigo_backup.recovery.put_files import (
    FilesHead,
    file_records,
    forget_oldest_files,
    set_done,
    take_back_files,
    write_files_record,
)
from korrigo_backup.recovery.undelete import DONE, PENDING
from korrigo_backup.rescue.files import load_files
from korrigo_backup.rescue.history.files import relative
from korrigo_backup.rescue.media_files.lock import files_lock
from korrigo_backup.rescue.media_files.plan import SHOWN, FilesOptions, FilesPlan, left_as_they_are, no_room
from korrigo_backup.rescue.media_files.saved import files_of, hint_of_absent, media_named, near_files
from korrigo_backup.rescue.media_files.selection import SavedFile, Selection
from korrigo_backup.rescue.points import Window, read_points
from korrigo_backup.rescue.source_dumps import in_order
from korrigo_backup.rescue.steps.transaction import partly
from korrigo_backup.rescue.steps.trusted import require_trusted
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Listener, PuttingFiles, StagingFiles, silent
from korrigo_backup.run.undo import ROLLED_BACK, all_or_nothing
from korrigo_backup.site.erasures import erased_among_files
from korrigo_backup.system.files import explained
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.media.port import Tree
    from korrigo_backup.site.site import Site


def restore_files(
    site: Site,
    catalog: Catalog,
    options: FilesOptions,
    *,
    now: datetime,
    confirm: Callable[[FilesPlan], bool],
    listen: Listener = silent,
) -> FilesPlan:
    """Bring files of media backups back; return the plan that was carried out, with `dry_run` that would be.

    Raises NotFound for a file that no backup has, Refused, Cancelled, ProofFailed for a file that is not as saved,
    PartlyDone if files stay in conflict. Any other error leaves the media as they were.
    """
    tree = site.required_media()
    with files_lock(site, catalog, "restore of files", listen, dry_run=options.dry_run):
        work = _FilesRestore(site, tree, catalog, options)
        plan = work.plan()
        if options.dry_run or not plan.count:
            return plan
        if not confirm(plan):
            raise Cancelled("Restore cancelled", hint="to continue, run it again and answer yes")
        subject = counted(plan.count, "file")  # a name of a file may be personal data
        with journal.recorded(
            catalog.directory, site, Verb.RESTORE_FILES, subject, listener=listen, why=options.answers
        ) as running:
            work.carry_out(now, running)
            if plan.conflict_count:
                raise left_as_they_are(plan)
    return plan


class _FilesRestore:
    """A restore of single files."""

    def __init__(self, site: Site, tree: Tree, catalog: Catalog, options: FilesOptions) -> None:
        self._site = site
        self._tree = tree
        self._catalog = catalog
        self._options = options
        self._backups: dict[str, Artifact] = {}
        self._put: list[SavedFile] = []
        self._over: dict[str, tuple[SavedFile, int]] = {}
        self._directories: tuple[str, ...] = ()
        self._irregular = 0
        self._ledger = site.ledger.seen() if site.ledger else None

    @phase("choose files")
    def plan(self) -> FilesPlan:
        """Find the files and compare them with the live files."""
        asked = tuple(dict.fromkeys(relative(text, str(self._tree.root)) for text in self._options.asked))
        backups, findings = self._sources()
        selection = Selection(asked)
        for backup in backups:
            if selection.is_complete:
                break
            with suppress(FileNotFoundError):  # an archive without a listing
                selection.add(files_of(backup))
                self._backups[backup.name] = backup
        if selection.missing:
            raise self._absent(selection.missing, backups)
        if clash := selection.clash:
            raise no_room(*clash)
        by_backup = {name: [one.path for one in selection.files if one.artifact == name] for name in self._backups}
        erased = erased_among_files(self._site, ((self._backups[name], paths) for name, paths in by_backup.items()))
        if erased and len(erased) == len(selection.files):
            raise Refused(
                f"{printable(first_of(sorted(erased)))}: erased on request, and so not brought back",
                hint="korrigo-backup forget --list; only a restore of a backup under a hold brings it back",
                id_="erasure.file",
            )
        if erased:
            findings = (*findings, files_left_out(erased))
        same, conflicts = self._compare(selection, erased)
        over = [file for file, _ in self._over.values()]
        chosen = [*self._put, *over]
        hint = "move it away, or leave the file out; the saved files below a link are those of another place"
        self._directories = self._tree.single_files.missing_directories([one.path for one in self._put], hint)
        findings = (*findings, *links_back({one.path: one.target for one in chosen if one.target is not None}))
        sizes = [one.size for one in chosen]
        if chosen:
            require_place(self._tree, [one.path for one in chosen], sum(size or 0 for size in sizes))
        return FilesPlan(
            asked=asked,
            sources={name: count for name in self._backups if (count := sum(one.artifact == name for one in chosen))},
            put=tuple(one.path for one in self._put[:SHOWN]),
            put_count=len(self._put),
            overwrite=tuple(one.path for one in over[:SHOWN]),
            overwrite_count=len(over),
            bytes=None if None in sizes else sum(size for size in sizes if size is not None),
            same=same,
            conflicts=tuple(conflicts[:SHOWN]),
            conflict_count=len(conflicts),
            irregular_count=self._irregular,
            findings=findings,
        )

    def _sources(self) -> tuple[list[Artifact], tuple[Finding, ...]]:
        """Return the media backups in the order in which they are asked: the named backup, or all, the newest first."""
        if self._options.source is None:
            window = Window(until=self._options.at)
            backups = in_order(read_points(self._catalog, window).require_media())
            signed = [one for one in backups if one.authenticity is Authenticity.AUTHENTIC]
            left = [one.name for one in backups if one not in signed]
            found = (
                [warning("artifact.unsigned", f"not signed by this site, and passed over: {first_of(left)}",
                         "name it, with --allow-unsigned")] if left else []
            )  # fmt: skip
            if not signed:
                raise NotFound("there is no signed media backup of this site", hint="korrigo-backup list shows them")
            return signed, tuple(found)
        backup = media_named(self._catalog, self._options.source)
        return [backup], tuple(require_trusted(self._site, backup, allow_unsigned=self._options.allow_unsigned))

    def _compare(self, selection: Selection, erased: Collection[str]) -> tuple[int, list[str]]:
        """Sort files by their live namesakes; return how many are the same, and the paths in conflict.

        Files that were `erased` on request are left out. A live file that was not typed by its own name is not read if
        its size and time are those of the backup.
        """
        same, plain, irregular = 0, list[str](), list[str]()
        files = [file for file in selection.files if file.path not in erased]
        wanted = [
            WantedFile(
                one.path, one.sha256, one.size, one.mtime_ns, read=selection.is_named(one.path), target=one.target
            )
            for one in files
        ]
        for file, (live, inode) in zip(files, self._tree.single_files.compare(wanted), strict=True):
            if live == ABSENT:
                self._put.append(file)
            elif live == SAME:
                same += 1
            elif self._options.overwrite and live == OTHER:
                self._over[file.path] = file, inode
            else:
                (plain if live == OTHER else irregular).append(file.path)
        self._irregular = len(irregular)
        return same, [*irregular, *plain]

    def _absent(self, missing: Sequence[str], backups: Sequence[Artifact]) -> NotFound:
        if other := self._other_backup(missing[0], backups):
            return NotFound(
                f"{printable(first_of(missing))}: not found in {listed([one.name for one in backups])}",
                hint=f"another backup has it: korrigo-backup restore --file {quote(missing[0])} {quote(other.name)}",
                id_="rescue.no_file",
            )
        near = near_files(missing[0], backups)
        where = backups[0].name if len(backups) == 1 else f"any of {len(backups)} media backups"
        return NotFound(
            f"{printable(first_of(missing))}: not found in {where}",
            hint=hint_of_absent(near, backups),
            id_="rescue.no_file",
        )

    def _other_backup(self, path: str, asked: Sequence[Artifact]) -> Artifact | None:
        """Return the newest other media backup that has a file, or files below a directory, or of a pattern."""
        for backup in in_order(read_points(self._catalog).media):
            selection = Selection((path,))
            if backup.name not in {one.name for one in asked}:
                with suppress(FileNotFoundError, ProofFailed):
                    selection.add(files_of(backup))
                    if not selection.missing:
                        return backup
        return None

    @phase("restore files")
    def carry_out(self, now: datetime, running: journal.Running) -> None:
        """Stage the files, each proven, and put them in their places: all or nothing."""
        directory = self._catalog.directory
        names = [*self._tree.names(), *(path.name for path in directory.iterdir())]
        stamp = naming.stamp(naming.free_second(now, names))
        head = FilesHead(
            site=self._site.name,
            stamp=stamp,
            media=str(self._tree.root),
            artifacts=tuple(self._backups),
            asked=self._options.asked,
            created=datetime.now(UTC),
        )
        with all_or_nothing() as undo:
            undo.push("the files and their record", lambda: _take_back(self._site, directory, stamp))
            write_files_record(directory, head)
            with explained("stage the files beside the media", lambda: ROLLED_BACK):
                head = self._staged(head, running)
            write_files_record(directory, head)
            running.listen(PuttingFiles(len(head.files)))
            with self._ledger.unchanged() if self._ledger else nullcontext():
                with explained("put the files among the media", lambda: ROLLED_BACK):
                    self._tree.single_files.put(head.change)
                with explained("remove the staged directory"):
                    self._tree.discard_stage(stamp)
                set_done(directory, stamp)
        with partly("the files are back"):
            forget_oldest_files(self._site, directory)

    def _staged(self, head: FilesHead, running: journal.Running) -> FilesHead:
        """Stage the files next to the live files; return the head with their names."""
        chosen = {one.path: one for one in (*self._put, *(file for file, _ in self._over.values()))}
        running.listen(StagingFiles(len(chosen)))
        stage = self._tree.stage(head.stamp)
        try:
            for name, backup in self._backups.items():
                own = [one for one in chosen.values() if one.artifact == name]
                links = {one.path: one.target for one in own if one.target is not None}
                if own:
                    load_files(backup, frozenset(one.path for one in own if one.path not in links), stage, links)
            stage.finish()
        finally:
            stage.close()
        inodes = self._tree.single_files.staged(head.stamp, list(chosen))
        files = tuple(
            PutFile(one.path, one.sha256, inode, one.target) for one, inode in zip(chosen.values(), inodes, strict=True)
        )
        return msgspec.structs.replace(
            head,
            artifacts=tuple(dict.fromkeys(one.artifact for one in chosen.values())),
            files=files,
            replaced={path: inode for path, (_, inode) in self._over.items()},
            directories=self._directories,
        )


def _take_back(site: Site, directory: Path, stamp: str) -> None:
    for state in (PENDING, DONE):
        for head in file_records(directory, site.name, state):
            if head.stamp == stamp:
                take_back_files(site, directory, head)
                return
