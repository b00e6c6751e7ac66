"""What runs at three in the morning: backup, verify, prune, copy off-site, as one run with one line in the journal.

A step after the backup that fails never hides that the backup is good: the others are still done, and the run ends
with PartlyDone, which names them all.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, Protocol

from korrigo_backup.domain.finding import Finding, Level
from korrigo_backup.domain.journal import Listener, Step, silent
from korrigo_backup.domain.naming import Kind
from korrigo_backup.errors import Interrupted, KorrigoBackupError, Locked, PartlyDone, ProofFailed
from korrigo_backup.operations import retain
from korrigo_backup.operations.backup import Wish, take_database
from korrigo_backup.operations.drill import drill
from korrigo_backup.operations.journal import Running, recorded
from korrigo_backup.operations.point import take_point
from korrigo_backup.operations.prune import Meant
from korrigo_backup.operations.recover import exclusive
from korrigo_backup.operations.verify import Depth, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from korrigo_backup.catalog import Catalog
    from korrigo_backup.domain.artifact import Artifact
    from korrigo_backup.domain.retention import Policy
    from korrigo_backup.site.site import Site

PAUSE = 5.0
"""Seconds between two looks whether the other run has ended."""


class Offsite(Protocol):
    """Another place for artifacts (S3, a host reached by SSH)."""

    @property
    def name(self) -> str:
        """What the place is called."""
        ...

    def copy(self, artifact: Artifact) -> None:
        """Put a copy there and prove it; KorrigoBackupError when it is not there, whole, afterwards."""
        ...


@dataclass(frozen=True)
class Night:
    """What is wanted of one run. `wait` is in seconds: so long another run may go on before this one gives up.

    `settings` saves what else a rebuild needs, when it has changed, and tells what it found.
    """

    full: bool
    policy: Policy
    now: datetime
    depth: Depth = Depth.CONTENT
    wait: float = 0
    listen: Listener = silent
    offsite: Sequence[Offsite] = ()
    settings: Callable[[], Sequence[Finding]] = tuple

    @property
    def kind(self) -> Kind:
        """The kind of the artifact that it makes."""
        return Kind.POINT if self.full else Kind.SQL


@dataclass
class Done:
    """What a run has done: the artifact, how many old ones went, and what a person should know."""

    artifact: Artifact | None = None
    removed: int = 0
    findings: list[Finding] = field(default_factory=list)
    problems: list[KorrigoBackupError] = field(default_factory=list)


def nightly(site: Site, catalog: Catalog, night: Night) -> Done:
    """Back up, verify, prune and copy.

    Raises what the backup raises, and ProofFailed when what it made does not verify: then nothing is removed.
    PartlyDone when the backup is good and something after it failed. Locked when another run goes on for too long.
    """
    subject = "full" if night.full else "db"
    with (
        _patiently_held(site, catalog, night) as site,  # noqa: PLR1704 - now held
        recorded(catalog.directory, site, "nightly", subject, listener=night.listen) as running,
    ):
        done = Done()
        _backup(site, catalog, night, running, done)
        with _told_when_interrupted(done):
            if done.artifact:
                _verify(site, catalog, night, running, done)
            for step, act in (("prune", _prune), ("copy", _copy), ("settings", _settings)):
                with _collected(done, step):
                    act(site, catalog, night, running, done)
        _require_all(done)
    return done


def _backup(site: Site, catalog: Catalog, night: Night, running: Running, done: Done) -> None:
    take = take_point if night.full else take_database
    try:
        done.artifact = take(site, catalog, Wish(), now=night.now, running=running).artifact
    except PartlyDone as problem:  # there is a good backup all the same
        done.problems.append(problem)
        done.artifact = _made(catalog, night)


def _made(catalog: Catalog, night: Night) -> Artifact | None:
    """Return what this run has made of the kind that was wanted."""
    moment = night.now.astimezone(UTC)
    ours = (a for a in catalog.artifacts() if a.kind is night.kind and a.header and a.header.created == moment)
    return next(ours, None)


def _verify(site: Site, catalog: Catalog, night: Night, running: Running, done: Done) -> None:
    artifact = done.artifact
    if artifact is None:
        return
    running.listen(Step("nightly.verify", {"depth": night.depth}))
    findings = verify(catalog, artifact, now=night.now, depth=night.depth)
    bad = next((finding for finding in findings if finding.level is Level.ERROR), None)
    if bad:
        raise ProofFailed(
            f"{artifact.name} was made and does not verify: {bad.message}",
            hint=bad.hint or "see dmesg: the disk or the memory of this machine may be failing",
            state="the older backups are untouched; the site is as it was",
        )
    done.findings += [finding for finding in findings if finding.level is Level.WARNING]
    if night.depth is Depth.FULL:
        with _collected(done, "drill"):
            drill(site, catalog, artifact, now=night.now, listen=running.listen)
    running.listen(Step("nightly.verified", {"depth": night.depth}))


def _prune(site: Site, catalog: Catalog, night: Night, running: Running, done: Done) -> None:
    running.listen(Step("nightly.prune"))
    request = retain.Request(night.policy, site.name, night.now, Meant(), lambda: site)
    plan = retain.plan_held(catalog, request, site)
    done.removed = retain.carried_out(catalog, plan, site, now=night.now, listen=running.listen)


def _copy(site: Site, catalog: Catalog, night: Night, running: Running, done: Done) -> None:
    del site, catalog
    for place in night.offsite:
        if done.artifact:
            running.listen(Step("nightly.copy", {"to": place.name}))
            with _collected(done, f"copy to {place.name}"):
                place.copy(done.artifact)


def _settings(site: Site, catalog: Catalog, night: Night, running: Running, done: Done) -> None:
    del site, catalog, running
    done.findings += night.settings()


@contextmanager
def _told_when_interrupted(done: Done) -> Iterator[None]:
    """Say that the backup is there when a signal ends what comes after it."""
    try:
        yield
    except Interrupted as problem:
        if done.artifact is None:
            raise
        raise Interrupted(f"the backup {done.artifact.path} is made and stays; {problem}") from None


@contextmanager
def _collected(done: Done, step: str) -> Iterator[None]:
    """Note what goes wrong in a step after the backup, and go on."""
    try:
        yield
    except KorrigoBackupError as problem:
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
    """Hold the site; another run is waited for, and that it is waited for is told once."""
    deadline, told = time.monotonic() + night.wait, False
    with ExitStack() as stack:
        while True:
            try:
                held, _ = stack.enter_context(exclusive(site, catalog, "nightly backup", listen=night.listen))
                break
            except Locked as problem:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise
                if not told:
                    night.listen(Step("lock.waiting", {"for": problem.message, "limit": f"{night.wait:g}"}))
                    told = True
                time.sleep(min(PAUSE, left))
        yield held
