"""An incident simulated on a copy of a backup: things are broken at random, and the verification must find each.

Nothing but the copy is touched. The kinds of damage and their places follow from the seed, so that a run can be made
again.
"""

from __future__ import annotations

import random
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.artifact.components import components
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.naming import MEDIA_STORE
from korrigo_backup.core.counted import counted
from korrigo_backup.core.finding import first_error
from korrigo_backup.core.size import human
from korrigo_backup.drill.damages import Damage, make_damage
from korrigo_backup.drill.survival import Trial, survive
from korrigo_backup.errors import KorrigoBackupError, ProblemsFound, ProofFailed, Refused
from korrigo_backup.places.local import drill_files
from korrigo_backup.recovery.recover import recover_places
from korrigo_backup.run import journal
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import DamageTried, TrialsLeftOut
from korrigo_backup.system.files import explained, free_bytes, private_directory
from korrigo_backup.verify.verify import Depth, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.run.journal import JournaledSite
    from korrigo_backup.run.step import Listener


@dataclass(frozen=True)
class Attempt:
    """A damage that was made, and the message that found it or how it was survived; "" if it was not."""

    damage: Damage | Trial
    where: str
    found: str


@dataclass(frozen=True)
class IncidentReport:
    """The attempts on a copy of an artifact, in the order of the seed."""

    artifact: Artifact
    seed: int
    attempts: tuple[Attempt, ...]
    left_out: str = ""
    """Why no site could be made on this machine, on which a kill and a full disk are survived."""

    @property
    def found(self) -> int:
        """How many damages were found."""
        return sum(bool(one.found) for one in self.attempts)


def simulate(
    catalog: Catalog,
    choose: Callable[[], Artifact],
    site: JournaledSite,
    *,
    key_file: Path,
    seed: int,
    now: datetime,
    listen: Listener,
) -> IncidentReport:
    """Break copies of the artifact that `choose` returns, each in one way, under the lock of the directory.

    The score is kept in the journal. Raises ProblemsFound if a damage was not found, Refused without room for the copy,
    ProofFailed if the artifact is bad itself.
    """
    with catalog.exclusive("incident simulation"):
        recover_places(catalog, listen)
        artifact = choose()
        with journal.recorded(catalog.directory, site, Verb.INCIDENT, artifact.name, listener=listen) as running:
            chance = random.Random(seed)  # noqa: S311
            attempts = [*_attempts(catalog, artifact, chance, now, running.listen)]
            left_out = ""
            try:
                attempts += _survivals(catalog, artifact, key_file, chance, running.listen)
            except Refused as problem:
                left_out = problem.message
                running.listen(TrialsLeftOut(left_out))
            report = IncidentReport(artifact, seed, tuple(attempts), left_out)
            score = {"seed": str(seed), "found": str(report.found), "tried": str(len(attempts))}
            running.note(why=score)
            missed = [one for one in attempts if not one.found]
            if missed:
                raise ProblemsFound(
                    f"{len(missed)} of {counted(len(attempts), 'damage')} not found or survived: {missed[0].damage}"
                    f" ({missed[0].where})",
                    hint=f"report it with the seed: korrigo-backup drill --level incident --seed {seed}",
                )
    return report


def _attempts(
    catalog: Catalog, artifact: Artifact, chance: random.Random, now: datetime, listen: Listener
) -> Iterator[Attempt]:
    _require_room(catalog, artifact)
    with _copied(catalog, artifact) as (there, copy):
        if bad := _finding(there, copy, now):
            raise ProofFailed(f"{artifact.name} is bad itself: {bad}", hint="korrigo-backup verify; use another backup")
    kinds = list(Damage)
    chance.shuffle(kinds)
    for damage in kinds:
        with _copied(catalog, artifact) as (there, copy):
            with explained("damage the copy"):
                where = make_damage(damage, there, copy, chance)
            if where:
                attempt = Attempt(damage, where, _finding(there, copy, now))
                listen(DamageTried(str(damage), where, attempt.found))
                yield attempt


def _survivals(
    catalog: Catalog, artifact: Artifact, key_file: Path, chance: random.Random, listen: Listener
) -> Iterator[Attempt]:
    """Yield how a kill and a full disk are survived on a site of its own; raises Refused as `survive`."""
    if not any(KINDS[one.kind].is_dump for one in components(catalog, artifact)):
        return
    with _copied(catalog, artifact) as (there, copy):
        for one in survive(there, there.find(str(copy)), key_file, copy.parent, chance):
            listen(DamageTried(str(one.trial), one.where, one.how))
            yield Attempt(one.trial, one.where, one.how)


def _require_room(catalog: Catalog, artifact: Artifact) -> None:
    needs = 2 * sum(one.size for one in components(catalog, artifact))
    free = free_bytes(catalog.directory)
    if free < needs:
        raise Refused(
            f"no room for a copy of {artifact.name}: it needs {human(needs)}, {human(free)} are free",
            hint=f"make room in {catalog.directory}",
        )


@contextmanager
def _copied(catalog: Catalog, artifact: Artifact) -> Iterator[tuple[Catalog, Path]]:
    """Yield a catalog with a copy of the artifact and its components alone, and the copy's path.

    Files of the media store are linked: a damage removes the link, and no content is written.
    """
    with drill_files(catalog.directory, "incident") as home, explained("copy the backup"):
        for one in {artifact.name, *(part.name for part in components(catalog, artifact))}:
            for path in artifact.directory.glob(f"{one}*"):
                if path.is_file() and not path.is_symlink():
                    shutil.copyfile(path, home / path.name)
                    (home / path.name).chmod(0o600)
        for stored in artifact.directory.glob(f"{MEDIA_STORE}/??/*"):
            place = home / stored.relative_to(artifact.directory)
            private_directory(place.parent.parent)
            private_directory(place.parent)
            place.hardlink_to(stored)
        yield catalog.elsewhere(home), home / artifact.name


def _finding(there: Catalog, copy: Path, now: datetime) -> str:
    """Return the message by which the verification finds the copy bad, "" if it finds it good."""
    try:
        found = verify(there, there.find(str(copy)), now=now, depth=Depth.CONTENT)
    except KorrigoBackupError as problem:
        return problem.message
    bad = first_error(found)
    return bad.message if bad else ""
