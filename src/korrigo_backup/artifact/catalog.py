"""The local directory of artifacts: found, chosen, marked as ours or not, removed; made as drafts (`draft.py`).

One file: every method reads or changes the same directory, under the same lock.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from korrigo_backup.artifact import manifest as manifests
from korrigo_backup.artifact.artifact import Artifact, CatalogSurvey, Stranger
from korrigo_backup.artifact.draft import ArtifactDraft, names_in
from korrigo_backup.artifact.dump_file import is_dump
from korrigo_backup.artifact.history import suspects
from korrigo_backup.artifact.identity import is_ours
from korrigo_backup.artifact.kinds import KINDS, WITH_DUMP, Kind, Origin
from korrigo_backup.artifact.meaning import matching_names, only_match
from korrigo_backup.artifact.naming import (
    DIRECTORY_MANIFEST,
    LATEST_SQL,
    MANIFEST_SUFFIX,
    MEMBERS_SUFFIX,
    PARTIAL_PREFIX,
    Name,
    free_kit_name,
    free_name,
    is_kit,
    parse,
    stamp,
    strange,
)
from korrigo_backup.artifact.reader import Reader, manifest_path
from korrigo_backup.artifact.signature import Authenticity, signed_by
from korrigo_backup.artifact.site_records import SiteRecords
from korrigo_backup.core.paths import printable
from korrigo_backup.errors import NotFound, Refused, UsageError
from korrigo_backup.system import files, lock

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from korrigo_backup.artifact.identity import Owner
    from korrigo_backup.artifact.keyring import Keyring
    from korrigo_backup.run.record import Record

LATEST = {spec.latest: kind for kind, spec in KINDS.items() if spec.latest}
"""Names that mean the newest good artifact of a kind in every command that takes an artifact."""

NAME_THE_KEY = (
    "name the key file of the user that makes the backups (cron, sudo and other users have another HOME):"
    " KORRIGO_BACKUP_KEY_FILE, or [backup] key_file"
)
NEW_KEY = "korrigo-backup adopt --new-key"
"""The way on where no backup here is signed with a key that is at hand."""

LOCK_FILE = ".lock"
"""Held by the run that is at work on the site."""


_UNPROVABLE = {
    Authenticity.UNSIGNED: "is not signed, and others are",
    Authenticity.UNKNOWN_KEY: "is signed with a key that is not here",
    Authenticity.FORGED: "was altered: its signature does not fit",
}


def _no_records() -> Sequence[Record]:
    return ()


class Catalog:
    """The artifacts below a directory.

    `owner` is the site that reads them: artifacts of other sites are marked. `records` reads the journal, which holds
    the artifacts that were found bad. `site_records` are the records of the sites that have artifacts here.
    """

    def __init__(
        self,
        directory: Path,
        keyring: Keyring | None = None,
        *,
        owner: Owner | None = None,
        records: Callable[[], Sequence[Record]] = _no_records,
    ) -> None:
        self.directory = directory
        self.owner = owner
        self._keyring = keyring
        self._records = records
        self._reader = Reader(keyring)
        self.site_records = SiteRecords(directory, keyring, self._reader)

    @property
    def is_signing(self) -> bool:
        """Whether manifests are signed when they are published."""
        return self._keyring is not None

    @contextmanager
    def exclusive(self, doing: str) -> Iterator[None]:
        """Hold this site's lock; Locked when another run has it. Drafts of dead runs are removed first."""
        with files.explained(f"use the backup directory {self.directory}"):
            names_in(self.directory)
            files.private_directory(self.directory)
        self._require_writable(doing)
        with lock.exclusive(self.directory / LOCK_FILE, doing):
            self._sweep()
            yield

    def prepare(self) -> None:
        """Create the directory and the signing key if they are missing. A confined run has no right to do this."""
        with files.explained(f"use the backup directory {self.directory}"):
            files.private_directory(self.directory)
        self.require_key()
        if self._keyring:
            self._keyring.signing()

    def elsewhere(self, directory: Path) -> Catalog:
        """Return the catalog of another directory, with the same keys."""
        return Catalog(directory, self._keyring, owner=self.owner)

    def artifacts(self) -> list[Artifact]:
        """Return all artifacts, newest first; a directory that is not there has none."""
        return list(self.survey().artifacts)

    def survey(self) -> CatalogSurvey:
        """Return all artifacts, and the other entries: a foreign file, a link, a directory that cannot be read."""
        with files.explained(f"read the backup directory {self.directory}"):
            names = set(names_in(self.directory))
        artifacts, strangers = [], []
        for name in names:
            try:
                if parsed := parse(name):
                    artifacts.append(self._reader.glance(self.directory / name, parsed))
                elif why := strange(name, names):
                    strangers.append(Stranger(printable(name), why))
            except (OSError, ValueError) as problem:
                strangers.append(Stranger(printable(name), _why(problem), ours=True))
        artifacts.sort(key=lambda a: (a.created, a.name), reverse=True)
        artifacts = self._marked(artifacts)
        return CatalogSurvey(tuple(artifacts), tuple(sorted(strangers, key=lambda stranger: stranger.name)))

    def find(self, named: str, kind: Kind | None = None) -> Artifact:
        """Return the artifact called `named`: a path, a name here, `latest`, a date, or the beginning of a name.

        Raises NotFound, with the artifacts that exist; UsageError for a path that is no artifact, or for a text that
        means several artifacts.
        """
        if named in LATEST or named == LATEST_SQL:
            return self._latest(kind or LATEST.get(named, Kind.SQL))
        with files.explained(f"look for {named[:200]!r}"):
            path = Path(named)
            path = path if path.exists() or os.sep in named else self.directory / named
            there = bool(named) and path.exists()
        if not there and os.sep not in named and (meant := self._meant(named, kind)):
            return self.find(meant)
        if not there:
            raise NotFound(f"Backup file not found: {named}", hint=self._instead())
        path = path.resolve() if path.is_symlink() or not path.name else path
        parsed = parse(path.name) or _by_content(path)
        artifact = self._artifact(path, parsed) if parsed else None
        if artifact is None:
            raise UsageError(
                f"{named} is not a backup that this program knows",
                hint="expected db_backup_….sql.gz, media_backup_….tar.gz or .files.gz, restore_point_….json"
                " or a korrigo_backup_… directory",
            )
        return artifact

    def _meant(self, named: str, kind: Kind | None) -> str | None:
        """Return the name that a date or the beginning of a name means here, one of this site if there is any."""
        artifacts = self.artifacts()
        own = matching_names(named, (a.name for a in artifacts if a.ours), kind)
        return only_match(named, own or matching_names(named, (a.name for a in artifacts), kind))

    def find_before(self, moment: datetime) -> Artifact:
        """Return the newest good restore point of this site that was made at `moment` or before; raises NotFound."""
        return self._latest(Kind.POINT, before=moment)

    def kits(self) -> list[Path]:
        """Return the recovery kits, in the order of their names; they are no artifacts: `restore` takes none."""
        with files.explained(f"read the backup directory {self.directory}"):
            return sorted(self.directory / name for name in names_in(self.directory) if is_kit(name))

    def authenticity(self, raw: bytes) -> Authenticity:
        """Return the result of checking the signature of a record; `raw` must be a JSON object."""
        return self._reader.authenticity(raw)

    @contextmanager
    def draft(self, kind: Kind, origin: Origin, now: datetime, *, stored: bool = False) -> Iterator[ArtifactDraft]:
        """Yield a draft for a new artifact, named for the local time `now`; it is removed unless published.

        `stored`: the files of a media backup are in the media store.
        """
        with self._draft(free_name(kind, origin, stamp(now), self._taken(), stored=stored)) as draft:
            yield draft

    def _taken(self) -> set[str]:
        """Return the names that a new artifact cannot have: those in use, also by a manifest or a listing alone.

        A publication that failed in the same second may have left them.
        """
        names = set(names_in(self.directory))
        return names | {name.removesuffix(MANIFEST_SUFFIX).removesuffix(MEMBERS_SUFFIX) for name in names}

    @contextmanager
    def draft_kit(self, now: datetime) -> Iterator[ArtifactDraft]:
        """Yield a draft for a recovery kit, as `draft` does; `publish_signed` gives it its name."""
        with self._draft(free_kit_name(stamp(now), set(names_in(self.directory)))) as draft:
            yield draft

    @contextmanager
    def _draft(self, name: str) -> Iterator[ArtifactDraft]:
        directory = self.directory / f"{PARTIAL_PREFIX}{name}"
        files.private_directory(directory)
        try:
            yield ArtifactDraft(self.directory, directory, name, self._keyring)
        finally:
            files.remove_tree(directory)

    @contextmanager
    def scratch(self, name: str) -> Iterator[Catalog]:
        """Yield an empty catalog with the same keys, whose directory below this one is removed afterwards.

        The caller holds the lock; the next run removes the remains of a killed one, as those of a draft.
        """
        directory = self.directory / f"{PARTIAL_PREFIX}{name}"
        files.private_directory(directory)
        try:
            yield Catalog(directory, self._keyring, owner=self.owner)
        finally:
            files.remove_tree(directory)

    def point_latest(self, artifact: Artifact) -> None:
        """Make `db_backup_latest.sql.gz` name this artifact (contract B13); the link of another site stays."""
        link = self.directory / LATEST_SQL
        if self.owner and any(a.path.name == _target(link) and not a.ours for a in self.artifacts()):
            return
        files.point_link(self.directory / LATEST_SQL, artifact.name)

    def remove(self, artifact: Artifact) -> None:
        """Delete an artifact and its manifest and listing, the artifact itself first.

        A directory is renamed to a draft before: an interruption then leaves half a backup that no command lists.
        """
        with files.explained(f"delete {artifact.path}"):
            if artifact.path.is_dir() and not artifact.path.is_symlink():
                self._remove_directory(artifact.path)
            else:
                artifact.path.unlink(missing_ok=True)
            for suffix in (MANIFEST_SUFFIX, MEMBERS_SUFFIX):
                artifact.path.with_name(artifact.name + suffix).unlink(missing_ok=True)

    def _remove_directory(self, path: Path) -> None:
        draft = path.with_name(f"{PARTIAL_PREFIX}{path.name}")
        files.rename_new(path, draft)
        try:
            files.remove_tree(draft)
        except OSError:
            draft.rename(path)  # as a draft that cannot be removed it would be in the way of every other run
            raise

    def relink(self) -> None:
        """Point `db_backup_latest.sql.gz` to the newest good dump, after a dump was found bad."""
        try:
            newest = self._latest(Kind.SQL)
        except NotFound:
            return
        if newest.ours:
            self.point_latest(newest)

    def _latest(self, kind: Kind, *, before: datetime | None = None) -> Artifact:
        """Return the newest good artifact of this site, with the newer artifacts that were passed over.

        If none is good, return the newest: reading it reports its fault.
        """
        artifacts = self.artifacts()
        alike = [a for a in artifacts if a.kind is kind and a.origin is Origin.ROUTINE and a.header]
        alike = [a for a in alike if before is None or a.created <= before]
        candidates = [a for a in alike if a.ours] or alike
        if not candidates or len(_identities(candidates)) > 1:
            until = f" from {before:%Y-%m-%d %H:%M} or before" if before else ""
            raise NotFound(
                f"there is no good {kind} backup{self._of_whom()}{until} in {self.directory}", hint=self._instead()
            )
        signed = any(a.authenticity is Authenticity.AUTHENTIC for a in candidates)
        bad, passed = suspects(self._records(), artifacts), list[Stranger]()
        for seen in candidates:
            why = bad.get(seen.name) or (_UNPROVABLE.get(seen.authenticity) if signed else None)
            if why is None:
                return replace(self.find(str(seen.path)), passed_over=tuple(passed))
            passed.append(Stranger(seen.name, why))
        return self.find(str(candidates[0].path))

    def _of_whom(self) -> str:
        return f" of {self.owner.site} {self.owner.environment}, database {self.owner.database}," if self.owner else ""

    def require_key(self) -> None:
        """Raise Refused where this site's artifacts are signed, and none of them with a key that is here.

        A key made in silence would split the backups of a site in two: neither user could restore those of the other.
        """
        if self._keyring is None or self.site_records.has_own(self.owner):
            return
        own = [a for a in self.artifacts() if a.ours]
        foreign = [a for a in own if a.authenticity is Authenticity.UNKNOWN_KEY]
        if not foreign or any(a.authenticity is Authenticity.AUTHENTIC for a in own):
            return
        raise Refused(self._other_key(foreign[0]), hint=f"{NAME_THE_KEY}; if that key is lost: {NEW_KEY}")

    def signed_elsewhere(self, databases: Collection[str]) -> str:
        """Return a sentence if the backups of these databases, or of any, are signed with a key that is not here.

        Returns "" if a key that is here has signed any of them.
        """
        named = [a for a in self.artifacts() if not databases or _database(a) in databases]
        foreign = [a for a in named if a.authenticity is Authenticity.UNKNOWN_KEY]
        if not foreign or any(a.authenticity is Authenticity.AUTHENTIC for a in named):
            return ""
        return self._other_key(foreign[0])

    def _other_key(self, artifact: Artifact) -> str:
        with files.explained(f"read {artifact.path}"):
            key = signed_by(files.read_plain(manifest_path(artifact.path, artifact.kind), manifests.LARGEST))
        path = self._keyring.path if self._keyring else None
        here = f"the key file {path} does not hold it" if path and path.exists() else f"there is no key file {path}"
        return f"the backups in {self.directory} are signed with the key {key}, and {here}"

    def _marked(self, artifacts: list[Artifact]) -> list[Artifact]:
        if self.owner is None:
            return artifacts
        owner, records = self.owner, self.site_records.sites(artifacts)
        return [a if is_ours(a.header, owner, records) else replace(a, ours=False) for a in artifacts]

    def _require_writable(self, doing: str) -> None:
        """Raise Refused for a directory on a read-only file system, with the way to use its backups all the same."""
        try:
            os.close(os.open(self.directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600))
        except OSError as problem:
            if problem.errno != errno.EROFS:
                return
            raise Refused(
                f"the backup directory {self.directory} is read-only, and this run ({doing}) writes its lock, its"
                " journal and safety backups there",
                hint="name another directory for those before the same command, and the backup by its path:"
                f" BACKUP_DIR=/some/directory, {self._example()}",
            ) from None

    def _example(self) -> Path:
        newest = next((a.name for a in self.artifacts() if a.kind in WITH_DUMP), "NAME")
        return self.directory.absolute() / newest

    def _instead(self) -> str:
        names = [artifact.name for artifact in self.artifacts()[:3]]
        if not names:
            return f"{self.directory} holds no backups: check BACKUP_DIR, or make a backup: korrigo-backup backup"
        return f"newest in {self.directory}: {', '.join(names)}"

    def _artifact(self, path: Path, name: Name) -> Artifact | None:
        try:
            return self._reader.read(path, name)
        except (OSError, ValueError):
            return None

    def _sweep(self) -> None:
        for path in self.directory.glob(f"{PARTIAL_PREFIX}*"):
            with files.explained(f"remove the unfinished {path}"):
                files.remove_tree(path)


def local_now() -> datetime:
    """Return the time in this machine's zone, even if Django has changed TZ in this process."""
    return datetime.now().astimezone()


def _target(link: Path) -> str:
    try:
        return link.readlink().name
    except OSError:
        return ""


def _database(artifact: Artifact) -> str | None:
    head = artifact.header
    if head is None:
        return None
    return head.identity.database if head.identity else head.database


def _identities(artifacts: Iterable[Artifact]) -> set[str]:
    return {a.header.identity.id for a in artifacts if a.header and a.header.identity and not a.ours}


def _why(problem: Exception) -> str:
    if isinstance(problem, PermissionError):
        return "cannot be read: permission denied"
    return f"does not have the content that its name promises: {getattr(problem, 'strerror', None) or problem}"


def _by_content(path: Path) -> Name | None:
    """Return the name of a file copied or renamed by hand, by its content or its ending: it can still be restored."""
    endings = {ending: kind for kind, spec in KINDS.items() for ending in spec.endings if path.name.endswith(ending)}
    kind = endings[max(endings, key=len)] if endings and path.is_file() else None  # .sql.zip is no .zip of uploads
    if (path / DIRECTORY_MANIFEST).exists():
        kind = Kind.DJANGO
    elif is_dump(path):
        kind = Kind.SQL
    changed = datetime.fromtimestamp(path.stat().st_mtime).astimezone()
    return Name(kind, Origin.ROUTINE, stamp(changed), 1) if kind else None
