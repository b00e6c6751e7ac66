"""The steps of a run, as typed records passed to a listener while it works.

A step that begins has a name like `LoadingDump`, a finished step a name like `Published`. The tag is the id of the step
in the journal; it never changes. `narrate.py` turns a step into its line.

One file: the vocabulary of steps, in the groups that a verb prints.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from korrigo_backup.core.finding import Finding  # noqa: TC001 - msgspec reads it


class _Tagged(msgspec.Struct, frozen=True):
    """A step with its id."""

    @property
    def id(self) -> str:
        """The name of the step in the journal."""
        return str(self.__struct_config__.tag)


class RecoveryDone(_Tagged, frozen=True, tag="recovered"):
    """A leftover of an interrupted run was undone or finished."""

    sentence: str


class RecoveryAhead(_Tagged, frozen=True, tag="recover.ahead"):
    """A leftover of an interrupted run that the run itself would undo or finish first; this run is a dry run."""

    sentence: str


class RecoveryLeft(_Tagged, frozen=True, tag="recover.left"):
    """A leftover of an interrupted run could not be removed."""

    message: str
    hint: str


class Mended(_Tagged, frozen=True, tag="mended"):
    """`doctor --fix` has repaired something."""

    sentence: str


class StrangerOwner(_Tagged, frozen=True, tag="rights.stranger"):
    """The live database belongs to another role, so that this role cannot restore it."""

    database: str
    owner: str


class SiteRenamed(_Tagged, frozen=True, tag="site.renamed"):
    """The site has another name than in its earlier backups."""

    message: str
    hint: str


class ContainersElsewhere(_Tagged, frozen=True, tag="compose.elsewhere"):
    """The containers were made from another directory."""

    message: str
    hint: str


class AwaitingHealth(_Tagged, frozen=True, tag="services.await"):
    """The services were started and have `limit` seconds to become healthy."""

    services: str
    limit: float


class ServicesHealthy(_Tagged, frozen=True, tag="services.healthy"):
    """The services are healthy, `seconds` after their start."""

    seconds: float


class VisitorsUnanswered(_Tagged, frozen=True, tag="services.unanswered"):
    """The downtime in seconds, as visitors of the address had it."""

    seconds: float
    address: str


class ServicesWereStopped(_Tagged, frozen=True, tag="services.stopped"):
    """The downtime in seconds where no address of the site is known."""

    seconds: float


CommonStep = (
    RecoveryDone
    | RecoveryAhead
    | RecoveryLeft
    | Mended
    | StrangerOwner
    | SiteRenamed
    | ContainersElsewhere
    | AwaitingHealth
    | ServicesHealthy
    | VisitorsUnanswered
    | ServicesWereStopped
)
"""Steps that every verb prints."""


class CreatingDump(_Tagged, frozen=True, tag="backup.create"):
    """A dump is written; `path` is that of the unpacked dump."""

    path: str


class IndexesLeftOut(_Tagged, frozen=True, tag="backup.left_out"):
    """Objects that pg_dump leaves out of the dump."""

    names: str


class ReadingBack(_Tagged, frozen=True, tag="backup.verify"):
    """The written backup is read back."""


class Published(_Tagged, frozen=True, tag="backup.published"):
    """A backup of `size` bytes has its final name."""

    path: str
    size: int


class CreatingArchive(_Tagged, frozen=True, tag="media.create"):
    """The archive of the media is written."""

    path: str


class ArchivingAgain(_Tagged, frozen=True, tag="media.again"):
    """The media are archived once more: the file at `path` was written to."""

    path: str


class CreatingDjangoBackup(_Tagged, frozen=True, tag="django.create"):
    """The site's manage.py makes a backup; `command` runs it. With `stored` the media go to the media store."""

    command: str
    stored: bool = False


class ReferencesCompared(_Tagged, frozen=True, tag="point.consistency"):
    """The files that the saved rows name were compared with the saved files."""


class PathColumnsUnknown(_Tagged, frozen=True, tag="point.columns"):
    """The columns that name files could not be found out."""

    problem: str


class OtherDatabases(_Tagged, frozen=True, tag="point.databases"):
    """Databases of the site that the restore point does not hold."""

    names: str


BackupStep = (
    CreatingDump
    | IndexesLeftOut
    | ReadingBack
    | Published
    | CreatingArchive
    | ArchivingAgain
    | CreatingDjangoBackup
    | ReferencesCompared
    | PathColumnsUnknown
    | OtherDatabases
)
"""Steps of a backup."""


class AwaitingLock(_Tagged, frozen=True, tag="lock.waiting"):
    """Another run works on the site; a night waits `limit` seconds at most."""

    reason: str
    limit: float


class VerifyingBackup(_Tagged, frozen=True, tag="nightly.verify"):
    """The new backup is verified to a depth."""

    depth: str


class DrillingBackup(_Tagged, frozen=True, tag="nightly.drill"):
    """The new backup is loaded into a throw-away copy, for a reason."""

    reason: str


class BackupVerified(_Tagged, frozen=True, tag="nightly.verified"):
    """The new backup is whole, to a depth."""

    depth: str


class PruningBackups(_Tagged, frozen=True, tag="nightly.prune"):
    """Backups are removed by the policy."""


class KitPublished(_Tagged, frozen=True, tag="kit.published"):
    """The recovery kit has its final name."""


NightStep = AwaitingLock | VerifyingBackup | DrillingBackup | BackupVerified | PruningBackups | KitPublished
"""Steps of a night, besides those of its backup."""


class CopySent(_Tagged, frozen=True, tag="copy.sent"):
    """An artifact is whole on a target, `size` bytes there. `through` is a program that treats them in its own way."""

    target: str
    name: str
    size: int
    sealed: bool
    through: str = ""


class CopyTriedAgain(_Tagged, frozen=True, tag="copy.again"):
    """A target does not answer, and is tried again after a pause."""

    message: str


class CopyFetched(_Tagged, frozen=True, tag="fetch.done"):
    """An artifact of a target is in the backup directory."""

    target: str
    name: str


class CopyMended(_Tagged, frozen=True, tag="fetch.mended"):
    """Damaged files here, `first` among them, are replaced by their copies on a target."""

    target: str
    files: int
    first: str


class CopyOverwritten(_Tagged, frozen=True, tag="fetch.overwritten"):
    """Somebody has put other content over objects, `first` among them; earlier versions of them were fetched."""

    target: str
    objects: int
    first: str


CopyStep = CopySent | CopyTriedAgain | CopyFetched | CopyMended | CopyOverwritten
"""Steps of a copy to a target or from it."""


class Removed(_Tagged, frozen=True, tag="prune.removed"):
    """An artifact or a previous copy is removed."""

    name: str


class CopiesUnseen(_Tagged, frozen=True, tag="prune.unseen"):
    """The previous copies of restores cannot be examined."""

    reason: str


class StoreSwept(_Tagged, frozen=True, tag="prune.swept"):
    """Files that no backup names, `size` bytes in sum, are removed from the media store."""

    files: int
    size: int


class CopyRemoved(_Tagged, frozen=True, tag="prune.copy"):
    """An artifact is removed from a target."""

    target: str
    name: str


class TargetSwept(_Tagged, frozen=True, tag="prune.target"):
    """Objects that no receipt names, `size` bytes in sum, are removed from a target; `waiting` more go later."""

    target: str
    files: int
    size: int
    waiting: int


PruneStep = Removed | CopiesUnseen | StoreSwept | CopyRemoved | TargetSwept
"""Steps of a removal by the policy."""


class RoomForDrill(_Tagged, frozen=True, tag="drill.room"):
    """A part of a drill needs `needs` bytes; `free` is None if that cannot be seen from here."""

    part: str
    where: str
    needs: int
    free: int | None


class MakingPlace(_Tagged, frozen=True, tag="drill.make"):
    """The place of a drill is made."""

    where: str


class PlaceMade(_Tagged, frozen=True, tag="drill.made"):
    """The place of a drill is there."""


class StoppingStaging(_Tagged, frozen=True, tag="drill.staging.stop"):
    """The services of the staging site are stopped: they use the database that is replaced."""

    services: tuple[str, ...]


class StartingStaging(_Tagged, frozen=True, tag="drill.staging.start"):
    """The services of the staging site are started again."""

    services: tuple[str, ...]


class LoadingThere(_Tagged, frozen=True, tag="drill.load"):
    """An artifact is loaded in the place of a drill."""

    name: str
    where: str


class PlacingLoaded(_Tagged, frozen=True, tag="drill.keep"):
    """The loaded database is kept in the place, under this name."""

    database: str


class RemovingLoaded(_Tagged, frozen=True, tag="drill.remove"):
    """The loaded data are removed again."""


class AnonymisingCopy(_Tagged, frozen=True, tag="drill.anonymise"):
    """The values and files of the loaded copy are replaced by the rules."""

    database: str


class SearchingOriginals(_Tagged, frozen=True, tag="drill.search"):
    """The copy is searched for original values."""


class CopyKept(_Tagged, frozen=True, tag="drill.kept_copy"):
    """The anonymised database is kept under a name of its own, until a person drops it."""

    database: str


class WritingCopy(_Tagged, frozen=True, tag="drill.write"):
    """The anonymised copy is written into a directory."""

    directory: str


class DamageTried(_Tagged, frozen=True, tag="drill.damage"):
    """A copy was damaged, and verified: `found` is the message that names the damage, "" if it was not found."""

    damage: str
    where: str
    found: str


class TrialsLeftOut(_Tagged, frozen=True, tag="drill.left_out"):
    """No site can be made on this machine, on which a kill and a full disk are survived; `why` is the reason."""

    why: str


DrillStep = (
    DamageTried
    | TrialsLeftOut
    | RoomForDrill
    | MakingPlace
    | PlaceMade
    | StoppingStaging
    | StartingStaging
    | LoadingThere
    | AnonymisingCopy
    | SearchingOriginals
    | WritingCopy
    | CopyKept
    | PlacingLoaded
    | RemovingLoaded
)
"""Steps of a drill, besides those of its load."""


class StoppingServices(_Tagged, frozen=True):
    """The services are stopped by a verb, if commands for it are `configured`."""

    verb: str
    configured: bool

    @property
    def id(self) -> str:
        """The name of the step in the journal."""
        return f"{self.verb}.stop" if self.configured else f"{self.verb}.stop.none"


class VerifyingArtifact(_Tagged, frozen=True, tag="restore.verify"):
    """The artifact of a restore is verified."""


class CreatingDatabase(_Tagged, frozen=True, tag="restore.create"):
    """The database that the dump is loaded into is created."""

    database: str


class LoadingArtifact(_Tagged, frozen=True, tag="restore.load"):
    """An artifact is loaded."""

    path: str


class Proving(_Tagged, frozen=True, tag="restore.prove"):
    """The loaded data are compared with the saved data."""


class DatabaseProven(_Tagged, frozen=True, tag="restore.proven"):
    """The loaded rows are those that were saved, by their `content` or only by their number."""

    tables: int
    rows: int
    content: bool


class MediaProven(_Tagged, frozen=True, tag="restore.proven.media"):
    """The unpacked files, `size` bytes, are those that were saved, by their `content` or only by their number.

    `unread` of them are links to live files that are unchanged since the backup by size, times and inode.
    """

    files: int
    size: int
    content: bool
    unread: int = 0


class EndingSessions(_Tagged, frozen=True, tag="restore.terminate"):
    """The sessions in the live database are ended."""


class Swapping(_Tagged, frozen=True, tag="restore.swap"):
    """Staged data take the place of the live data, which are `kept` under a name; "" if there are none.

    `part` is `database` or `media`.
    """

    kept: str
    part: str


class StartingServices(_Tagged, frozen=True):
    """The services are started after a restore, if commands for it are `configured`."""

    configured: bool

    @property
    def id(self) -> str:
        """The name of the step in the journal."""
        return "restore.start" if self.configured else "restore.start.none"


class RestoredSiteHealthy(_Tagged, frozen=True, tag="restore.healthy"):
    """The restored site serves: the downtime is over."""


class SecuringFirst(_Tagged, frozen=True, tag="restore.safety.first"):
    """The safety backup of a restore in place is made, before any change."""


class SecuringReplaced(_Tagged, frozen=True, tag="restore.safety"):
    """The safety backup of the replaced database is made."""


class CopyingDatabase(_Tagged, frozen=True, tag="restore.copy"):
    """The live database is copied for the site's manage.py."""

    database: str


class RowsCounted(_Tagged, frozen=True, tag="restore.counted"):
    """The rows that manage.py has loaded were counted from here."""

    tables: int
    rows: int


class CopiedAgain(_Tagged, frozen=True, tag="restore.again"):
    """Tables were copied again, because rows were written meanwhile."""

    tables: str


class RestoringInPlace(_Tagged, frozen=True, tag="restore.in_place"):
    """A Django backup is restored in the live database, for a reason."""

    reason: str


class PuttingBack(_Tagged, frozen=True, tag="restore.back"):
    """The data of before are loaded from the safety backup."""

    safety: str


RestoreStep = (
    VerifyingArtifact
    | CreatingDatabase
    | LoadingArtifact
    | Proving
    | DatabaseProven
    | MediaProven
    | EndingSessions
    | Swapping
    | StartingServices
    | RestoredSiteHealthy
    | SecuringFirst
    | SecuringReplaced
    | CopyingDatabase
    | RowsCounted
    | CopiedAgain
    | RestoringInPlace
    | PuttingBack
)
"""Steps of a restore, besides the stop of the services."""


class LoadingSafety(_Tagged, frozen=True, tag="rollback.load"):
    """The previous database is loaded from a safety backup."""

    safety: str


class RolledBack(_Tagged, frozen=True, tag="rollback.swapped"):
    """The previous copy is swapped in."""


RollbackStep = LoadingSafety | RolledBack
"""Steps of a rollback, besides the stop of the services."""


class UndeleteStaging(_Tagged, frozen=True, tag="undelete.stage"):
    """The rows of a backup are staged in temporary tables of the live database."""

    artifact: str


class UndeleteFiles(_Tagged, frozen=True, tag="undelete.files"):
    """The files that the rows name are staged."""

    files: int


class UndeleteInserting(_Tagged, frozen=True, tag="undelete.insert"):
    """Deleted rows are inserted again."""

    rows: int


UndeleteStep = UndeleteStaging | UndeleteFiles | UndeleteInserting
"""Steps of an undelete."""


class RevertStaging(_Tagged, frozen=True, tag="revert.stage"):
    """The rows of a backup are staged, to be compared with the live rows."""

    artifact: str


class RevertUpdating(_Tagged, frozen=True, tag="revert.update"):
    """Rows get the values of the backup again, come back or go."""

    rows: int


RevertStep = RevertStaging | RevertUpdating
"""Steps of a revert and of the restore of a table."""


class StagingFiles(_Tagged, frozen=True, tag="files.stage"):
    """Single files of media backups are staged next to the live files."""

    files: int


class PuttingFiles(_Tagged, frozen=True, tag="files.put"):
    """The staged files are put in their places."""

    files: int


FilesStep = StagingFiles | PuttingFiles
"""Steps of a restore of single files."""


class CreatingEmpty(_Tagged, frozen=True, tag="rebuild.create"):
    """An empty database is created in the place of the live database."""

    database: str


class RunningManage(_Tagged, frozen=True, tag="rebuild.manage"):
    """A command of the site's manage.py is run."""

    command: str


RebuildStep = CreatingEmpty | RunningManage
"""Steps of a rebuild, besides the stop of the services."""


class Checking(_Tagged, frozen=True):
    """A part of a validation begins; `part` is its id."""

    part: str

    @property
    def id(self) -> str:
        """The name of the step in the journal."""
        return self.part


class FindingMade(_Tagged, frozen=True, tag="validate.found"):
    """A validation has made a finding."""

    finding: Finding


ValidateStep = Checking | FindingMade
"""Steps of a validation."""


class DjangoSavingRows(_Tagged, frozen=True, tag="django.backup.database"):
    """manage.py saves the rows."""


class DjangoArchiving(_Tagged, frozen=True, tag="django.backup.media"):
    """manage.py archives the media."""


class DjangoArchivingAgain(_Tagged, frozen=True, tag="django.backup.media.again"):
    """manage.py archives the media once more: the file at `path` was written to."""

    path: str


class DjangoBegun(_Tagged, frozen=True, tag="django.restore.begin"):
    """manage.py has read the manifest of a backup."""

    timestamp: str


class DjangoDatabase(_Tagged, frozen=True, tag="django.restore.database"):
    """manage.py looks at the database of its settings, by its name."""

    name: str = ""


class DjangoTables(_Tagged, frozen=True, tag="django.restore.tables"):
    """The tables of the models that the backup holds, by the label of the model."""

    tables: dict[str, str]


class DjangoLoading(_Tagged, frozen=True, tag="django.restore.load"):
    """manage.py loads the objects of a backup."""

    objects: int


class DjangoLoaded(_Tagged, frozen=True, tag="django.restore.loaded"):
    """manage.py has loaded the objects, and the transaction is committed."""

    objects: int


class DjangoMedia(_Tagged, frozen=True, tag="django.restore.media"):
    """The media of a Django backup are restored."""


class DjangoMediaRestored(_Tagged, frozen=True, tag="django.restore.media-done"):
    """The media of a Django backup are restored from an archive."""

    archive: str = ""


class DjangoMediaKept(_Tagged, frozen=True, tag="django.restore.media-kept"):
    """The replaced media are kept at `path`, for some days."""

    path: str
    days: int


class DjangoWarning(_Tagged, frozen=True, tag="django.restore.warning"):
    """manage.py warns about a restore."""

    text: str = ""


class DjangoComplete(_Tagged, frozen=True, tag="django.restore.complete"):
    """manage.py has done all that was asked: the last step of a restore, or of a check, that went well."""


class DjangoUnknown(_Tagged, frozen=True):
    """A step that another version of manage.py sends by the name `sent`."""

    sent: str

    @property
    def id(self) -> str:
        """The name of the step in the journal."""
        return f"django.{self.sent}"


DjangoStep = (
    DjangoSavingRows
    | DjangoArchiving
    | DjangoArchivingAgain
    | DjangoBegun
    | DjangoDatabase
    | DjangoTables
    | DjangoLoading
    | DjangoLoaded
    | DjangoMedia
    | DjangoMediaRestored
    | DjangoMediaKept
    | DjangoWarning
    | DjangoComplete
    | DjangoUnknown
)
"""Steps of the site's manage.py."""

Step = (
    CommonStep
    | BackupStep
    | NightStep
    | CopyStep
    | PruneStep
    | DrillStep
    | StoppingServices
    | RestoreStep
    | RollbackStep
    | UndeleteStep
    | RevertStep
    | FilesStep
    | RebuildStep
    | ValidateStep
    | DjangoStep
)

Listener = Callable[[Step], None]
DjangoListener = Callable[[DjangoStep], None]


def silent(step: Step) -> None:
    """Ignore the step."""
    del step
