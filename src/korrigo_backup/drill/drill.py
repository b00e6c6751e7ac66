"""Load a backup next to the live site, prove it there and remove it: the site goes on, and no live data are changed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from korrigo_backup.artifact import naming
from korrigo_backup.artifact.components import components
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.finding import Finding, Level, ok, warning
from korrigo_backup.core.size import human
from korrigo_backup.drill.opened import opened_parts, require_possible
from korrigo_backup.drill.stopwatch import Stopwatch
from korrigo_backup.errors import KorrigoBackupError, ProofFailed, Refused
from korrigo_backup.places.place import PlaceName, other_places
from korrigo_backup.postgres.difference import Acceptance
from korrigo_backup.postgres.dump.place import NoRight
from korrigo_backup.postgres.server_error import ClientFailed, StatementFailed
from korrigo_backup.restore.bound import BOUND
from korrigo_backup.restore.parts import DatabasePart, RestoreContext
from korrigo_backup.restore.unsearched import NOT_APPLICABLE
from korrigo_backup.run.record import Phase, recovery_seconds
from korrigo_backup.run.step import CopyKept, LoadingThere, PlacingLoaded, RemovingLoaded, RoomForDrill
from korrigo_backup.run.undo import UndoStack, all_or_nothing
from korrigo_backup.site.stamps import own_stamp
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.drill.copying import Copying, MadeCopy
    from korrigo_backup.drill.opened import PartLoad
    from korrigo_backup.places.place import Place, Places
    from korrigo_backup.restore.parts import StagedPart
    from korrigo_backup.run.journal import Running
    from korrigo_backup.run.step import Listener
    from korrigo_backup.site.site import Site

NO_DRILL = warning(
    "verify.no-drill",
    "a Django backup is loaded by the site's own code alone: it was read to its end, but not loaded",
    "python manage.py restore PATH --dry-run; or restore it on a staging site",
)

REFUSED_DUMP = (StatementFailed, ClientFailed)
"""Errors with which a server or psql refuses a dump: they concern the backup, and no other error of a load does."""

_AS_SUPERUSER = (
    "on this machine a role without rights loads it; if an administrator has made this in the live database, restore it"
    " on a staging server as a superuser; else find out where it comes from"
)


@dataclass(frozen=True)
class Drilled:
    """A backup that was loaded, proven and removed: the findings, the place, the seconds by phase.

    `place` is None if nothing was loaded.
    """

    findings: tuple[Finding, ...]
    place: PlaceName | None = None
    phases: Mapping[str, float] = field(default_factory=dict)
    copy: MadeCopy | None = None

    @property
    def recovery(self) -> float | None:
        """The measured recovery time in seconds."""
        return recovery_seconds(self.phases)

    def note(self, running: Running, schema: str) -> None:
        """Write the proof into the record of the operation; `schema` is the fingerprint of the schema."""
        if self.place:
            running.note(proved=schema, place=str(self.place), phases=dict(self.phases))


def announce_room(place: Place, artifacts: Iterable[Artifact], listen: Listener) -> None:
    """Name the room that the parts need and have, by their manifests. Raises Refused if a part does not fit."""
    free_for_database, free_for_media = place.free()
    for manifest in (one.manifest for one in artifacts if one.manifest):
        if manifest.database and manifest.database.size:
            needs = place.needs(manifest.database.size)
            _announce(RoomForDrill("database", place.label, needs, free_for_database), place.name, listen)
        if manifest.media:
            _announce(RoomForDrill("media", place.label, manifest.media.bytes, free_for_media), place.name, listen)


def _announce(room: RoomForDrill, name: PlaceName, listen: Listener) -> None:
    listen(room)
    if room.free is not None and room.free < room.needs:
        elsewhere = other_places(name)
        raise Refused(
            f"no room to drill {room.where}: the {room.part} needs {human(room.needs)}, {human(room.free)} are free",
            hint=f"make room, or drill in another place: {elsewhere}",
        )


@phase("drill")
def drill(
    site: Site,
    catalog: Catalog,
    artifact: Artifact,
    places: Places,
    *,
    now: datetime,
    listen: Listener,
    watch: Stopwatch | None = None,
    copying: Copying | None = None,
    accept: Acceptance = Acceptance(),  # noqa: B008 - frozen
) -> Drilled:
    """Load, prove and remove; the caller holds the lock. ProofFailed if it cannot be loaded or proven.

    With `copying` the loaded data are made an anonymised copy before they are kept or removed. A copy that stays is
    Refused if the backup cannot be searched for an erased row, unless `accept` names that.

    Refused if the place has no room for it, or gives no right to make a database. `watch` has measured the steps
    before.
    """
    if KINDS[artifact.kind].loaded_by_django:
        return Drilled((NO_DRILL,))
    watch = watch or Stopwatch()
    heard = watch.listening(listen)
    artifacts = components(catalog, artifact)
    trusted = artifact.authenticity is Authenticity.AUTHENTIC
    if places.place.confined and not trusted:
        raise Refused(
            f"{artifact.name} is not signed with this site's key: no server of this machine loads it",
            hint="drill it beside the live site, where a role without rights loads it: --place beside",
        )
    found: list[Finding] = []
    beside = places.place.name is PlaceName.BESIDE
    stamp = naming.stamp(own_stamp(site, now) if beside else now)
    context = RestoreContext(site, stamp, heard, trusted, report=found.append)
    with ExitStack() as opened:
        loads = list(opened_parts(artifacts, context, places, opened))
        require_possible(finding for one in loads for finding in one.part.plan.findings)
        if places.place.name is PlaceName.STAGING or (copying and copying.stays):
            _require_searched(found, accept)
        with all_or_nothing() as undo:
            for one in loads:
                heard(LoadingThere(one.part.artifact.name, one.place.label))
                _stage(one.part, undo)
            copy = copying.made(loads, stamp, heard) if copying else None
            kept = [name for one in loads if not (copy and copy.problem) and (name := _kept(one, stamp))]
            for name in kept:
                heard(CopyKept(name) if copying and beside else PlacingLoaded(name))
            heard(RemovingLoaded())
            left = _remove(undo)
    watch.begin(Phase.REMOVE)
    chosen = next((one for one in loads if isinstance(one.part, DatabasePart)), loads[0])
    planned = (finding for one in loads for finding in one.part.plan.findings)
    losses = [finding for finding in planned if finding.level is Level.LOSS or finding.id == BOUND]
    done = "" if left else f", and kept as database {kept[0]}" if kept else ", and removed again"
    checked = "proven" if all(one.manifest for one in artifacts) else "counted (no manifest proves its content)"
    words = f"{artifact.name}: loaded {chosen.place.label}{chosen.why}, {checked}{done}"
    if copy and kept:
        copy = replace(copy, database=kept[0])
    findings = (*losses, *found, *left, ok("verify.drilled", words), *(copy.findings if copy else ()))
    return Drilled(findings, chosen.place.name, watch.phases(), copy)


def _require_searched(found: Iterable[Finding], accept: Acceptance) -> None:
    """Raise Refused for a copy that stays and may hold erased rows: a drill that removes its copy warns alone."""
    lost = next((one for one in found if one.id == NOT_APPLICABLE), None)
    if lost and not accept.takes(NOT_APPLICABLE):
        raise Refused(
            lost.message,
            hint=f"drill a younger backup; or --accept {NOT_APPLICABLE}, then delete these rows in the copy",
            id_=NOT_APPLICABLE,
        )


def _kept(load: PartLoad, stamp: str) -> str:
    """Keep a database in a place that is for that; return its name there, else ""."""
    if not isinstance(load.part, DatabasePart):
        return ""
    server = load.part.context.site.postgres
    return load.place.keep(server, naming.stage_database(server.database, stamp))


def fingerprint(catalog: Catalog, artifact: Artifact) -> str:
    """Return the fingerprint of the schema that an artifact holds; "" for an artifact without a database."""
    manifests = [one.manifest for one in components(catalog, artifact) if one.manifest]
    return next((one.database.fingerprint for one in manifests if one.database), "")


def _stage(part: StagedPart, undo: UndoStack) -> None:
    """Load a part. Raises ProofFailed where the server or psql does not take the dump: that concerns the backup.

    An error of another class (no room, no right, no connection, a lock) concerns the place, and goes on as it is.
    """
    try:
        part.stage(undo)
    except NoRight as problem:
        if isinstance(part, DatabasePart) and part.context.confined:
            raise Refused(f"no drill on this machine: {problem.message}", hint=_AS_SUPERUSER) from None
        raise
    except REFUSED_DUMP as problem:
        words = f"it does not load: {problem.message}"
        raise ProofFailed(words, hint=problem.hint, detail=problem.detail, id_=problem.id or None) from None


def _remove(undo: UndoStack) -> list[Finding]:
    """Remove the loaded data; a leftover is a finding, because the backup is proven and the site serves."""
    undo.unwind(KorrigoBackupError("the drill is over", hint="korrigo-backup rollback removes its leftovers"))
    if undo.halt is None:
        return []
    words = f"the drill could not remove {undo.halt.step}: {undo.halt.problem}"
    return [warning("recover.left", words, "the next run tries again; until then it takes room on the server")]
