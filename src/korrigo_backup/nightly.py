"""The nightly run: backup, verify, canary, prune, as one run with a line in the journal; then the copies to targets.

A step after the backup that fails never hides that the backup is good: the others are still done, and the run ends with
PartlyDone, which names them all.

One file: the order of the steps, and which failure of a step ends the night, are read together.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from functools import partial
from typing import TYPE_CHECKING

from korrigo_backup.artifact.history import drill_due
from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.backup.backup import BackupOptions, take_database
from korrigo_backup.backup.point import take_point
from korrigo_backup.canary.alarm import look, require_calm
from korrigo_backup.core.finding import Finding, Level, first_error, refuse_on_error, warning
from korrigo_backup.drill.drill import drill, fingerprint
from korrigo_backup.errors import Interrupted, KorrigoBackupError, NotFound, PartlyDone, ProofFailed, World
from korrigo_backup.places.beside import beside_or_local
from korrigo_backup.recovery.patience import patiently
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.retention import command as retain
from korrigo_backup.retention.prune import Meant
from korrigo_backup.run import journal
from korrigo_backup.run.journal import Running, recorded
from korrigo_backup.run.step import (
    BackupVerified,
    DrillingBackup,
    Listener,
    PruningBackups,
    Removed,
    Step,
    VerifyingBackup,
    silent,
)
from korrigo_backup.verify.verify import Depth, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.retention.policy import Policy
    from korrigo_backup.site.site import Site

_UNTOUCHED = "the older backups are untouched; the site is as it was"


@dataclass(frozen=True)
class Night:
    """Options of a run. `wait` is in seconds: so long another run may go on before this run gives up.

    `drill` also loads the backup into a scratch copy if none was proven so far, or none with its schema. `erasures`
    looks at what the site asks to forget. `settings` saves the other files for a rebuild, if they have changed. Both
    return findings. Without `canary` the backup is not compared with the history; findings of the ids in `accept` are
    no alarm. `copy` copies to the targets, after the lock is given back: a slow target must not keep the next backup
    from being made.
    """

    full: bool
    policy: Policy
    now: datetime
    depth: Depth = Depth.CONTENT
    wait: float = 0
    listen: Listener = silent
    erasures: Callable[[], Sequence[Finding]] = tuple
    settings: Callable[[], Sequence[Finding]] = tuple
    drill: bool = False
    canary: bool = True
    accept: tuple[str, ...] = ()
    copy: Callable[[], Sequence[Finding]] = tuple

    @property
    def kind(self) -> Kind:
        """The kind of the artifact that it makes."""
        return Kind.POINT if self.full else Kind.SQL


@dataclass
class Done:
    """The results of a run: the artifact, the old artifacts removed, the bytes freed with them, and the findings."""

    artifact: Artifact | None = None
    removed: int = 0
    freed: int = 0
    findings: list[Finding] = field(default_factory=list)
    problems: list[KorrigoBackupError] = field(default_factory=list)
    recovery: float | None = None
    """The recovery time in seconds that a drill has measured."""


def nightly(site: Site, catalog: Catalog, night: Night) -> Done:
    """Back up, verify, prune and copy.

    Raises as the backup, and ProofFailed if the new backup does not verify: then no artifact is removed. PartlyDone if
    the backup is good and a step after it failed. Locked if another run goes on for too long.
    """
    done = Done()
    try:
        _on_this_machine(site, catalog, night, done)
    except PartlyDone as problem:
        done.problems = done.problems or [problem]  # else it is of the journal alone
    if done.artifact:
        with _interruptible(done), _collected(done, "copy"):
            done.findings += night.copy()
    _require_all(done)
    return done


def _on_this_machine(site: Site, catalog: Catalog, night: Night, done: Done) -> None:
    """Back up, verify and prune, under the lock of the site."""
    subject, began = "full" if night.full else "db", time.monotonic()
    with (
        _patiently_held(site, catalog, night) as site,  # noqa: PLR1704 - now held
        recorded(catalog.directory, site, "nightly", subject, listener=night.listen) as running,
    ):
        night = _later(night, began)
        _backup(site, catalog, night, running, done)
        with _interruptible(done):
            if done.artifact:
                _verify(site, catalog, night, running, done)
            for step, act in _STEPS:
                with _collected(done, step):
                    act(site, catalog, night, running, done)
        _require_all(done)


@contextmanager
def _interruptible(done: Done) -> Iterator[None]:
    """Name the finished backup in the message of a signal that comes after it."""
    try:
        yield
    except Interrupted as signal:
        if done.artifact is None:
            raise
        more = "" if signal.world is World.UNCHANGED else f"; {signal}"
        raise Interrupted(
            f"the backup {done.artifact.path} is made, but not all steps after it are done{more}"
        ) from None


def _later(night: Night, began: float) -> Night:
    """Return the options with the present time, after a wait that began at `began`.

    Without that, the artifacts of the awaited run, and this run's own line in the journal, would lie in the future.
    """
    return replace(night, now=night.now + timedelta(seconds=time.monotonic() - began))


def _backup(site: Site, catalog: Catalog, night: Night, running: Running, done: Done) -> None:
    take = take_point if night.full else take_database
    try:
        done.artifact = take(site, catalog, BackupOptions(), now=night.now, running=running).artifact
    except NotFound as problem:  # no media, and none were ever saved: the database is saved all the same
        if not night.full:
            raise
        done.artifact = take_database(site, catalog, BackupOptions(), now=night.now, running=running).artifact
        done.problems.append(problem)
    except PartlyDone as problem:  # there is a good backup all the same
        done.problems.append(problem)
        done.artifact = _made(catalog, night)


def _made(catalog: Catalog, night: Night) -> Artifact | None:
    """Return this run's artifact of the wanted kind."""
    moment = night.now.astimezone(UTC)
    ours = (a for a in catalog.artifacts() if a.kind is night.kind and a.header and a.header.created == moment)
    return next(ours, None)


def _verify(site: Site, catalog: Catalog, night: Night, running: Running, done: Done) -> None:
    artifact = done.artifact
    if artifact is None:
        return
    running.listen(VerifyingBackup(night.depth))
    findings = verify(catalog, artifact, now=night.now, depth=night.depth, stored_media=False)
    if first_error(findings):
        _relink(catalog)
        running.note(damaged=artifact.name)
    subject = f"{artifact.name} was made and does not verify"
    otherwise = "see dmesg: the disk or the memory of this machine may be failing"
    refuse_on_error(findings, ProofFailed, subject=subject, otherwise=otherwise, state=_UNTOUCHED)
    done.findings += [finding for finding in findings if finding.level is Level.WARNING]
    depth = night.depth
    own = [record for record in journal.read(catalog.directory) if record.site == site.name]
    why = drill_due(own, fingerprint(catalog, artifact)) if night.drill else None
    if depth is Depth.FULL:
        depth = _drilled(site, catalog, artifact, night, running, done)
    elif why:
        running.listen(DrillingBackup(why))
        depth = _drilled(site, catalog, artifact, night, running, done)
    running.listen(BackupVerified(depth))


def _drilled(site: Site, catalog: Catalog, artifact: Artifact, night: Night, running: Running, done: Done) -> Depth:
    """Return the depth that was reached: an obstacle to the drill is no fault of the backup.

    ProofFailed if the drill shows that the backup is bad.
    """
    try:
        places = beside_or_local(site, catalog.directory)
        drilled = drill(site, catalog, artifact, places, now=night.now, listen=running.listen)
    except ProofFailed as problem:
        _relink(catalog)
        running.note(damaged=artifact.name)
        state = _UNTOUCHED if problem.world in {World.UNCHANGED, World.ROLLED_BACK} else problem.state
        words = f"{artifact.name} was made and cannot be restored: {problem.message}"
        raise ProofFailed(words, hint=problem.hint, state=state, id_=problem.id) from None
    except KorrigoBackupError as problem:
        if night.depth is Depth.FULL:
            _collect(done, "drill", problem)
        else:  # the drill is an extra: a place that is too small for it is no failure of the night
            done.findings.append(warning("nightly.undrilled", f"not proven by a load: {problem.message}", problem.hint))
        return Depth.CONTENT
    done.findings += [finding for finding in drilled.findings if finding.level is not Level.OK]
    drilled.note(running, fingerprint(catalog, artifact))
    done.recovery = drilled.recovery
    return Depth.FULL


def _relink(catalog: Catalog) -> None:
    """Point the link to the newest dump that is not known to be bad; the failure itself is being reported."""
    with suppress(KorrigoBackupError):
        catalog.relink()


def _canary(site: Site, catalog: Catalog, night: Night, running: Running, done: Done) -> None:
    """Keep the last calm backup before `prune` if the new one lacks data; PartlyDone names what it lacks."""
    del running
    if not night.canary:
        return
    found = look(catalog, site, now=night.now, accept=night.accept)
    done.findings += found
    require_calm(found)


def _prune(site: Site, catalog: Catalog, night: Night, running: Running, done: Done) -> None:
    running.listen(PruningBackups())
    request = retain.PruneOptions(night.policy, site.name, site.environment, night.now, Meant(), lambda: site)
    plan = retain.plan_held(catalog, request, site)
    sizes = {artifact.name: artifact.size for artifact in plan.artifacts.leaving}

    def heard(step: Step) -> None:
        if isinstance(step, Removed):
            done.freed += sizes.get(step.name, 0)
        running.listen(step)

    done.removed = retain.carried_out(catalog, plan, site, now=night.now, listen=heard)
    if any(artifact.stored_listing for artifact in plan.artifacts.leaving):
        done.freed += retain.swept(catalog, listen=running.listen)


def _erasures(site: Site, catalog: Catalog, night: Night, running: Running, done: Done) -> None:
    del site, catalog, running
    done.findings += night.erasures()


def _settings(site: Site, catalog: Catalog, night: Night, running: Running, done: Done) -> None:
    del site, catalog, running
    done.findings += night.settings()


_STEPS = (("canary", _canary), ("prune", _prune), ("forget", _erasures), ("settings", _settings))
"""The kit of the settings holds the ledger, so what is forgotten comes before."""


@contextmanager
def _collected(done: Done, step: str) -> Iterator[None]:
    """Note the error of a step after the backup, and go on."""
    try:
        yield
    except KorrigoBackupError as problem:
        _collect(done, step, problem)


def _collect(done: Done, step: str, problem: KorrigoBackupError) -> None:
    problem.message = f"{step}: {problem.message}"
    done.problems.append(problem)


def _require_all(done: Done) -> None:
    if not done.problems:
        return
    first = done.problems[0]
    good = f"the backup {done.artifact.path} is good" if done.artifact else first.state
    raise PartlyDone(
        "; ".join(problem.message for problem in done.problems),
        hint="; ".join(dict.fromkeys(problem.hint for problem in done.problems)),
        state=good,
    )


@contextmanager
def _patiently_held(site: Site, catalog: Catalog, night: Night) -> Iterator[Site]:
    """Take the lock of the site; wait for another run, and report the wait once."""
    doing = partial(exclusive, site, catalog, "nightly backup", listen=night.listen, own=True)
    with patiently(doing, night.wait, night.listen) as (held, _):
        yield held
