"""The line of each step for people. The words of the runbook's scripts stand here, and nowhere else.

One file: each group of steps has a function, and all are found here.
"""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING, assert_never

from msgspec import UNSET

from korrigo_backup.core.counted import counted
from korrigo_backup.core.excerpt import first_of
from korrigo_backup.core.finding import Level
from korrigo_backup.core.size import human
from korrigo_backup.run import step as of

if TYPE_CHECKING:
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.run.step import (
        BackupStep,
        CommonStep,
        CopyStep,
        DjangoStep,
        DrillStep,
        NightStep,
        PruneStep,
        RestoreStep,
        Step,
        ValidateStep,
    )

_MARKS = {Level.OK: "✅", Level.WARNING: "⚠️", Level.LOSS: "⚠️", Level.ERROR: "❌"}

_CHECKS = {
    "validate.health": "1. Testing health endpoint...",
    "validate.tables": "2. Checking database tables...",
    "validate.users": "3. Checking users...",
    "validate.media": "4. Checking media files...",
    "validate.migrations": "5. Checking migrations...",
    "media.references": "6. Checking media against the database...",
    "validate.probe": "7. Testing login, create, update, delete...",
    "validate.database": "8. Checking database properties...",
}
"""The first four are the runbook's."""


def finding_text(finding: Finding) -> str:
    """Return the line of a finding, with its reasons and its hint below."""
    below = (("accepted", finding.accepted), ("detail", finding.detail), ("hint", finding.hint))
    more = [f"   {name}: {text}" for name, text in below if text is not UNSET and text]
    return "\n".join([f"{_MARKS[finding.level]} {finding.message}", *more])


def narrate(step: Step) -> str:
    """Return the line of a step, or its lines; "" for a step without a line."""
    if isinstance(step, of.CommonStep):
        return _common(step)
    if isinstance(step, of.BackupStep):
        return _backup(step)
    if isinstance(step, of.NightStep):
        return _night(step)
    if isinstance(step, of.CopyStep):
        return _copy(step)
    if isinstance(step, of.PruneStep):
        return _prune(step)
    if isinstance(step, of.DrillStep):
        return _drill(step)
    if isinstance(step, of.RestoreStep):
        return _restore(step)
    if isinstance(step, of.ValidateStep):
        return _validate(step)
    if isinstance(step, of.DjangoStep):
        return _from_django(step)
    match step:
        case of.StoppingServices():
            return "🛑 Stopping backend..." + _unless(configured=step.configured, command="stop")
        case of.LoadingSafety():
            return f"📥 Loading the data of before, from {step.safety}..."
        case of.UndeleteStaging():
            return f"🔎 Looking for the deleted rows in {step.artifact}..."
        case of.UndeleteFiles():
            return f"📦 Staging {counted(step.files, 'file')} of the media backup..."
        case of.UndeleteInserting():
            return f"📥 Bringing back {counted(step.rows, 'row')}..."
        case of.RevertStaging():
            return f"🔎 Comparing the live rows with {step.artifact}..."
        case of.RevertUpdating():
            return f"📥 Putting back {counted(step.rows, 'row')}..."
        case of.StagingFiles():
            return f"📦 Staging {counted(step.files, 'file')}..."
        case of.PuttingFiles():
            return f"📥 Putting {counted(step.files, 'file')} in place..."
        case of.RolledBack():
            return "🔁 Swapped; starting..."
        case of.CreatingEmpty():
            return f"🆕 Creating fresh database... (it takes the place of {step.database})"
        case of.RunningManage():
            return f"⚙️  manage.py {step.command}..."
        case _:
            assert_never(step)


def _common(step: CommonStep) -> str:
    match step:
        case of.RecoveryDone():
            return f"🔧 {step.sentence} (left by an interrupted run)"
        case of.RecoveryAhead():
            return f"🔧 First, because of an interrupted run: {step.sentence}"
        case of.Mended():
            return f"🔧 {step.sentence}"
        case of.RecoveryLeft() | of.SiteRenamed() | of.ContainersElsewhere():
            return f"⚠️ {step.message}\n   hint: {step.hint}"
        case of.StrangerOwner():
            return (
                f"⚠️ this role cannot restore database {step.database}, which belongs to {step.owner}\n"
                f"   hint: korrigo-backup doctor names the statements; or restore as {step.owner} (POSTGRES_USER)"
            )
        case of.AwaitingHealth():
            return f"⏳ Waiting until healthy, {step.limit:g} s at most: {step.services}"
        case of.ServicesHealthy():
            return f"   healthy after {step.seconds:.1f} s"
        case of.VisitorsUnanswered():
            return f"   visitors had no answer for {step.seconds:.1f} s ({step.address})"
        case of.ServicesWereStopped():
            return f"   the services were stopped for {step.seconds:.1f} s (no address to measure the wait of visitors)"
        case _:
            assert_never(step)


def _backup(step: BackupStep) -> str:
    match step:
        case of.CreatingDump():
            return f"📦 Creating database backup: {step.path}"
        case of.CreatingDjangoBackup():
            return f"📦 Creating Django backup: {step.command} backup{'' if step.stored else ' --include-media'}"
        case of.CreatingArchive():
            return f"📦 Creating media backup: {step.path}"
        case of.IndexesLeftOut():
            return f"⚠️ pg_dump leaves out: {step.names} (REINDEX INDEX … or DROP INDEX … ends this)"
        case of.ArchivingAgain():
            return f"↻ {step.path} was written to while it was read: archiving once more"
        case of.OtherDatabases():
            return f"⚠️ Not in this backup, other databases of the site's DATABASES: {step.names}"
        case of.Published():
            return f"✅ Backup created: {step.path} ({human(step.size)})"
        case of.ReadingBack() | of.ReferencesCompared() | of.PathColumnsUnknown():
            return ""
        case _:
            assert_never(step)


def _night(step: NightStep) -> str:
    match step:
        case of.AwaitingLock():
            return f"⏳ {step.reason}; waiting {step.limit:g} s at most"
        case of.DrillingBackup():
            return f"🔬 Loading a throw-away copy to prove it: {step.reason}..."
        case of.BackupVerified():
            return f"✅ Backup validation passed ({step.depth})"
        case of.VerifyingBackup() | of.PruningBackups() | of.KitPublished():
            return ""
        case _:
            assert_never(step)


def _copy(step: CopyStep) -> str:
    match step:
        case of.CopySent():
            how = f"through {step.through}" if step.through else "sealed" if step.sealed else "not sealed"
            return f"☁️ {step.target}: {step.name} copied ({human(step.size)}, {how})"
        case of.CopyTriedAgain():
            return f"⏳ {step.message}; trying again"
        case of.CopyFetched():
            return f"⬇️ {step.name} from {step.target}"
        case of.CopyMended():
            files = first_of([step.first], 1, count=step.files)
            return f"🩹 {files}: damaged here, replaced by the copy on {step.target}"
        case of.CopyOverwritten():
            objects = first_of([step.first], 1, count=step.objects)
            return (
                f"⚠️ {objects}: somebody has put other content over it on {step.target}; the version below was fetched"
            )
        case _:
            assert_never(step)


def _prune(step: PruneStep) -> str:
    match step:
        case of.Removed():
            return f"🗑️ {step.name}"
        case of.StoreSwept():
            swept = f"🗑️ media store: {counted(step.files, 'file')}, {human(step.size)}, that no backup names"
            return swept if step.files else ""
        case of.CopyRemoved():
            return f"🗑️ {step.target}: {step.name}"
        case of.TargetSwept():
            swept = f"🗑️ {step.target}: {counted(step.files, 'object')}, {human(step.size)}, that no copy there needs"
            return swept if step.files else ""
        case of.CopiesUnseen():
            return ""
        case _:
            assert_never(step)


def _drill(step: DrillStep) -> str:
    match step:
        case of.RoomForDrill():
            free = "free space not visible from here" if step.free is None else f"{human(step.free)} free"
            return f"📏 Room for the {step.part}: {human(step.needs)} needed, {free} ({step.where})"
        case of.MakingPlace():
            return f"🧱 Making a place {step.where}..."
        case of.StoppingStaging():
            return f"🛑 Stopping staging services: {', '.join(step.services)}..."
        case of.StartingStaging():
            return f"🚀 Restarting staging services: {', '.join(step.services)}..."
        case of.LoadingThere():
            return f"📥 Loading {step.name} {step.where}..."
        case of.PlacingLoaded():
            return f"🔁 Kept as database {step.database} until the next drill"
        case of.PlaceMade():
            return ""
        case of.DamageTried():
            result = f"✅ {step.found}" if step.found else "❌ NOT FOUND, NOT SURVIVED"
            return f"🔨 {step.damage} ({step.where})\n   {result}"
        case of.TrialsLeftOut():
            return f"⚠️ Not tried, a kill and a full disk: {step.why}"
        case of.AnonymisingCopy():
            return "🎭 Replacing personal values by the rules..."
        case of.SearchingOriginals():
            return "🔎 Searching the copy for original values..."
        case of.CopyKept():
            return f"🎭 Kept as database {step.database} until you drop it"
        case of.WritingCopy():
            return f"💾 Writing the anonymised copy into {step.directory}..."
        case of.RemovingLoaded():
            return "🧹 Removing the loaded copy..."
        case _:
            assert_never(step)


def _restore(step: RestoreStep) -> str:
    match step:
        case of.VerifyingArtifact():
            return "🔍 Verifying backup integrity..."
        case of.CreatingDatabase():
            return f"🆕 Creating fresh database... ({step.database}, staged next to the live database)"
        case of.LoadingArtifact():
            return f"📥 Restoring from {step.path}..."
        case of.Proving():
            return "🔬 Proving the loaded data..."
        case of.DatabaseProven():
            return _proven(f"{counted(step.tables, 'table')}, {counted(step.rows, 'row')}", content=step.content)
        case of.MediaProven():
            if step.unread:
                return _linked(step)
            return _proven(f"{counted(step.files, 'file')}, {human(step.size)}", content=step.content)
        case of.EndingSessions():
            return "🔌 Terminating database connections..."
        case of.Swapping():
            kept = f"Swapping in the restored {step.part}... (the old is kept as {step.kept})"
            return f"🔁 {kept if step.kept else f'Putting the {step.part} in place...'}"
        case of.StartingServices():
            return "🚀 Starting backend..." + _unless(configured=step.configured, command="start")
        case of.RestoredSiteHealthy():
            return ""
        case of.SecuringFirst() | of.SecuringReplaced() | of.PuttingBack() | of.CopyingDatabase():
            return _secured(step)
        case of.CopiedAgain():
            return f"🔁 Copied again, as rows were written meanwhile: {step.tables}"
        case of.RowsCounted():
            rows, tables = counted(step.rows, "row"), counted(step.tables, "table")
            return f"✅ Counted from here: {rows} in {tables}, as in the backup"
        case of.RestoringInPlace():
            return f"↪️ Restoring in place: {step.reason}"
        case _:
            assert_never(step)


def _secured(step: of.SecuringFirst | of.SecuringReplaced | of.PuttingBack | of.CopyingDatabase) -> str:
    match step:
        case of.SecuringFirst():
            return "💾 Creating safety backup of current state..."
        case of.SecuringReplaced():
            return "💾 Creating safety backup of current state... (as it was before the restore)"
        case of.PuttingBack():
            return f"↩️ Putting back the data of before, from {step.safety}..."
        case of.CopyingDatabase():
            return f"🆕 Copying the live database... (to {step.database})"
        case _:
            assert_never(step)


def _validate(step: ValidateStep) -> str:
    match step:
        case of.Checking():
            return _CHECKS[step.part]
        case of.FindingMade():
            return finding_text(step.finding)
        case _:
            assert_never(step)


def _from_django(step: DjangoStep) -> str:
    """Return the line on the host: those of manage.py (runbook 5.4.4) stand further in."""
    match step:
        case of.DjangoWarning():
            return f"⚠️ {step.text}"
        case of.DjangoMediaKept():  # the end of the restore names the copy
            return ""
        case _:
            return indent(narrate_django(step), "   ")


def narrate_django(step: DjangoStep, *, dry_run: bool = False) -> str:
    """Return the line of a step of manage.py as its own commands print it, "" for a step without a line."""
    doing = "Would restore" if dry_run else "Restoring"
    match step:
        case of.DjangoSavingRows():
            return "Backing up database..."
        case of.DjangoArchiving():
            return "Backing up media files..."
        case of.DjangoArchivingAgain():
            return f"{step.path} was written to while it was read: archiving once more"
        case of.DjangoBegun():
            return f"Backup timestamp: {step.timestamp}"
        case of.DjangoDatabase():
            return f"{doing} database..."
        case of.DjangoMedia():
            return f"{doing} media files..."
        case of.DjangoLoading():
            return f"Starting restoration of {step.objects} objects..."
        case of.DjangoLoaded():
            return f"Pass 1: Saved {step.objects} objects. 0 remaining.\nDatabase restored successfully"
        case of.DjangoMediaRestored():
            return f"Restored media from: {step.archive}"
        case of.DjangoMediaKept():
            kept = f"Previous media kept in: {step.path}"
            return f"{kept} (korrigo-backup prune removes it after {counted(step.days, 'day')}, or by [retention.kept])"
        case of.DjangoTables() | of.DjangoWarning() | of.DjangoComplete() | of.DjangoUnknown():
            return ""
        case _:
            assert_never(step)


def _proven(loaded: str, *, content: bool) -> str:
    if content:
        return f"✅ Proven: {loaded}, all as they were saved"
    return f"⚠️ Counted: {loaded}, as in the backup; it has no checksums to prove their content by"


def _linked(step: of.MediaProven) -> str:
    read = f"✅ Proven: {step.files - step.unread} of {step.files} files ({human(step.size)}), as they were saved"
    return f"{read}\n   {step.unread} are links to live files, unchanged since by size, times and inode, and not read"


def _unless(*, configured: bool, command: str) -> str:
    return "" if configured else f" skipped: no command is configured ([services] {command})"
