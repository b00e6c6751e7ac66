"""The verb `drill`: read an artifact, load it in a place, prove it and remove it; the verdict stands in the journal."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from korrigo_backup.artifact.components import components
from korrigo_backup.artifact.history import FROM
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.compose.private_site import private_roles
from korrigo_backup.core.finding import Finding, refuse_on_error
from korrigo_backup.drill.choose import copied, fitting, newest_loadable
from korrigo_backup.drill.drill import NO_DRILL, Drilled, announce_room, drill, fingerprint
from korrigo_backup.drill.private import PRIVATE, PrivateDrill, drill_privately
from korrigo_backup.drill.stopwatch import Stopwatch
from korrigo_backup.drill.verify import after_damage, recorded_where_ours
from korrigo_backup.errors import KorrigoBackupError, NotFound, PartlyDone, ProofFailed, Refused, Unreachable
from korrigo_backup.places.beside import BesideLive
from korrigo_backup.places.local import drill_files
from korrigo_backup.places.place import PlaceName
from korrigo_backup.places.staging import of_staging
from korrigo_backup.postgres.difference import Acceptance
from korrigo_backup.recovery.patience import patiently
from korrigo_backup.recovery.recover import exclusive, recover_places
from korrigo_backup.run.record import Phase, Verb, recovery_seconds
from korrigo_backup.run.step import Listener, MakingPlace, RecoveryDone, RemovingLoaded, VerifyingArtifact, silent
from korrigo_backup.verify.verify import Depth, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.drill.copying import Copying, MadeCopy
    from korrigo_backup.places.place import Places
    from korrigo_backup.run.journal import Running, SiteName
    from korrigo_backup.run.step import Step
    from korrigo_backup.site.site import Site

NOT_LOADED = (
    "{} was read to its end and is whole, but it was not loaded: only the site's own code loads a Django backup,"
    " and no place here runs it"
)


_ANNOUNCED: dict[Phase, Step] = {Phase.MAKE: MakingPlace(PRIVATE), Phase.REMOVE: RemovingLoaded()}
"""The steps that a drill in a private project announces; its load has the steps of a restore."""

USERS = "public.auth_user"
"""The table whose rows the runbook counts (6.3)."""


class DrillLevel(StrEnum):
    """The levels of `drill --level` (runbook 6.1): a restore, the recovery of a lost stack, damages to be found."""

    RESTORE = "restore"
    DISASTER = "disaster"
    INCIDENT = "incident"


class DrillVerdict(StrEnum):
    """The result of a drill: `failed` is about the backup, `error` about the place."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"


@dataclass(frozen=True, kw_only=True)
class DrillOptions:
    """Options of a drill. `artifact` is its name, "" for the newest that can be loaded.

    With `with_media` that is the newest restore point, if it is of the last days before the newest backup; if the place
    has no room for its media, its database alone. `wait` is in seconds: so long this run waits for another
    before it gives up.

    `copying` makes an anonymised copy of the loaded data; without a directory for it, media are not loaded. `accept`
    names findings at which a drill that leaves a copy would stop.

    `places` makes the place for the site that is locked. `fetch` brings the copy of a target into the directory of
    another catalog and returns its path; `target` names it. `directory` is that of the site's backups.
    """

    place: PlaceName
    places: Callable[[Site], Places]
    now: datetime
    site: SiteName
    directory: Path
    artifact: str = ""
    level: DrillLevel = DrillLevel.RESTORE
    target: str = ""
    fetch: Callable[[Catalog], Path] | None = None
    with_media: bool = False
    wait: float = 0
    copying: Copying | None = None
    accept: Acceptance = field(default_factory=Acceptance)
    listen: Listener = silent


@dataclass(frozen=True)
class DrillReport:
    """The result of a drill. `problem` is the error of a drill that did not pass.

    `copy` is an anonymised copy; if original values were left in it, `problem` is that, and the verdict `error`.
    `tables` and `users` count tables and rows of `auth_user` that were proven; None if there are none in the backup.
    """

    artifact: Path
    verdict: DrillVerdict
    place: PlaceName
    phases: Mapping[str, float] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    problem: KorrigoBackupError | None = None
    tables: int | None = None
    users: int | None = None
    copy: MadeCopy | None = None

    @property
    def recovery(self) -> float | None:
        """The measured recovery time in seconds, None for a drill that did not pass."""
        return recovery_seconds(self.phases) if self.verdict is DrillVerdict.PASSED else None


def run_drill(live: Site, catalog: Catalog, options: DrillOptions) -> DrillReport:
    """Drill an artifact under the lock of the site, and of the live database if it is loaded next to it.

    Raises the errors of the lock and of the choice of an artifact; others are in the report.
    """
    if not options.fetch and not options.wait:  # the run that is waited for may make the backup
        _chosen(catalog, options.artifact, options)  # a wrong name needs no lock and makes no directory
    began = time.monotonic()
    with ExitStack() as stack:
        site = stack.enter_context(patiently(lambda: _locked(live, catalog, options), options.wait, options.listen))
        options = _with_place(site, options)
        if options.wait:  # else the artifacts of the awaited run would lie in the future
            options = replace(options, now=options.now + timedelta(seconds=time.monotonic() - began))
        watch = Stopwatch()
        there, artifact = catalog, options.artifact
        if options.fetch:
            watch.begin(Phase.FETCH)
            home = stack.enter_context(drill_files(catalog.directory, "copy"))
            there = catalog.elsewhere(home)
            artifact = str(options.fetch(there))
            watch.begin(Phase.CHECK)
        chosen, found = _chosen(there, artifact, options), list[Finding]()
        if options.copying:
            chosen = copied(there, chosen, options.copying)
        if options.with_media and options.place is not PlaceName.COMPOSE:
            chosen = fitting(there, chosen, options.places(site).place, found)
        return _drilled(site, catalog, there, chosen, options, watch, found)


def _chosen(catalog: Catalog, name: str, options: DrillOptions) -> Artifact:
    return catalog.find(name) if name else newest_loadable(catalog, with_media=options.with_media)


def _with_place(site: Site, options: DrillOptions) -> DrillOptions:
    """Return the options with the place made out, before anything is recorded.

    A place that is not configured, or not possible for the site, is no failed drill.
    """
    if options.place is PlaceName.COMPOSE:
        private_roles(site)
        return options
    places = options.places(site)
    return replace(options, places=lambda _: places)


@contextmanager
def _locked(live: Site, catalog: Catalog, options: DrillOptions) -> Iterator[Site]:
    doing = f"drill of {options.artifact or 'the newest backup'}"
    if options.place is PlaceName.BESIDE:
        with exclusive(live, catalog, doing, listen=options.listen) as (site, _):
            yield site
        return
    with catalog.exclusive(doing):  # the live site is not touched, and need not run
        recover_places(catalog, options.listen)
        yield live


def _drilled(
    site: Site,
    catalog: Catalog,
    there: Catalog,
    artifact: Artifact,
    options: DrillOptions,
    watch: Stopwatch,
    found: list[Finding],
) -> DrillReport:
    """Drill an artifact of the catalog `there`; return the report of any end but an interruption, with `found`."""
    why = {FROM: options.target} if options.target else {}
    try:
        with recorded_where_ours(
            catalog, options.site, Verb.DRILL, artifact, why, fetched=there is not catalog, listen=options.listen
        ) as run:
            done = _steps(site, there, artifact, options, watch, found, run)
    except PartlyDone:
        raise
    except KorrigoBackupError as problem:
        if options.place is PlaceName.STAGING:
            problem.hint = of_staging(problem.hint)
        failed = isinstance(problem, ProofFailed)
        if failed and there is catalog:
            after_damage(catalog, artifact, options.site, options.now)
        verdict = DrillVerdict.FAILED if failed else DrillVerdict.ERROR
        return DrillReport(artifact.path, verdict, options.place, watch.phases(), tuple(found), problem)
    place = done.place or options.place
    findings, (tables, users) = (*found, *done.findings), _counted(there, artifact)
    left = done.copy.problem if done.copy else None
    verdict, phases = DrillVerdict.ERROR if left else DrillVerdict.PASSED, done.phases
    return DrillReport(artifact.path, verdict, place, phases, findings, left, tables, users, done.copy)


def _counted(catalog: Catalog, artifact: Artifact) -> tuple[int | None, int | None]:
    """Return the number of tables and of users in a backup; the proof has compared both with the loaded data."""
    manifests = (one.manifest for one in components(catalog, artifact))
    saved = next((one.database.tables for one in manifests if one and one.database), None)
    if saved is None:
        return None, None
    return len(saved), next((table.rows for table in saved if table.name == USERS), None)


def _steps(
    site: Site,
    there: Catalog,
    artifact: Artifact,
    options: DrillOptions,
    watch: Stopwatch,
    found: list[Finding],
    running: Running,
) -> Drilled:
    """Look for room, read the artifact, load it, and note the proof; `found` takes the findings of the reading."""
    hear = watch.listening(running.listen)
    if options.place is PlaceName.COMPOSE:
        done = _privately(site, there, artifact, options, watch, found, hear)
        done.note(running, fingerprint(there, artifact))
        return done
    places = options.places(site)
    for name in places.place.remove_left():
        hear(RecoveryDone(f"removed {name}"))
    announce_room(places.place, _all_parts(there, artifact), hear)
    hear(VerifyingArtifact())
    found += verify(there, artifact, now=options.now, depth=Depth.FULL)
    refuse_on_error(found, ProofFailed, subject=artifact.name)
    if KINDS[artifact.kind].loaded_by_django:
        raise Refused(NOT_LOADED.format(artifact.name), hint=NO_DRILL.hint)
    done = drill(
        site,
        there,
        artifact,
        places,
        now=options.now,
        listen=running.listen,
        watch=watch,
        copying=options.copying,
        accept=options.accept,
    )
    done.note(running, fingerprint(there, artifact))
    return done


def _all_parts(there: Catalog, artifact: Artifact) -> tuple[Artifact, ...]:
    """Return the components. Raises ProofFailed if a component is gone: such a backup cannot be restored."""
    try:
        return components(there, artifact)
    except NotFound as problem:
        raise ProofFailed(problem.message, hint=problem.hint) from None


def _privately(
    site: Site,
    there: Catalog,
    artifact: Artifact,
    options: DrillOptions,
    watch: Stopwatch,
    found: list[Finding],
    hear: Listener,
) -> Drilled:
    """Read the artifact, and drill it in a private Compose project up to the running application."""
    with suppress(Unreachable):  # the live site need not run
        announce_room(replace(BesideLive(site), label=PRIVATE), _all_parts(there, artifact), hear)
    hear(VerifyingArtifact())
    found += verify(there, artifact, now=options.now, depth=Depth.FULL)
    refuse_on_error(found, ProofFailed, subject=artifact.name)

    def begin(name: str) -> None:
        watch.begin(Phase(name))
        if step := _ANNOUNCED.get(Phase(name)):
            hear(step)

    drill = PrivateDrill(site, there, artifact, options.directory, options.now, hear, begin)
    findings = drill_privately(drill, disaster=options.level is DrillLevel.DISASTER)
    return Drilled(tuple(findings), PlaceName.COMPOSE, watch.phases())
