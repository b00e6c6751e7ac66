"""Measure backup, verification and drill on the data of this site (runbook 6.6), in a directory removed afterwards."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.naming import MEDIA_STORE
from korrigo_backup.backup.backup import BackupOptions, dump
from korrigo_backup.backup.media import archive
from korrigo_backup.core.finding import refuse_on_error
from korrigo_backup.drill.drill import drill
from korrigo_backup.errors import ProofFailed
from korrigo_backup.places.beside import beside_or_local
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.run.journal import recorded
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Listener, silent
from korrigo_backup.system import timings
from korrigo_backup.system.files import remove_tree
from korrigo_backup.verify.verify import Depth, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.site.site import Site

_MB = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The runs of a step on an object: `backup`, `verify` or `drill` of the database (`db`) or the media.

    `runs` are seconds. `data` is the size in bytes of the live data, `size` that of the backup. `phases` are the
    seconds of each phase of all runs together.
    """

    step: str
    object: str
    runs: tuple[float, ...]
    data: int
    size: int
    phases: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """The median of the runs."""
        return median(self.runs)

    @property
    def megabytes_a_second(self) -> float:
        """Bytes of live data by time, in units of 1,000,000 bytes a second."""
        return self.data / _MB / self.seconds if self.seconds else 0.0

    def shares(self) -> dict[str, float]:
        """Return the part of each phase in the whole time, 0 to 1, the largest first."""
        whole = sum(self.phases.values())
        found = {name: seconds / whole for name, seconds in self.phases.items()} if whole else {}
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def bench(site: Site, catalog: Catalog, *, repeat: int, listen: Listener = silent) -> Iterator[Measured]:
    """Yield the measurements as they are made; the site serves meanwhile, and nothing of it or of the catalog changes.

    Holds the lock of the site. Raises as the backup and the drill; Refused if there is no room, NotFound if the media
    directory is not there.
    """
    tree = site.required_media() if site.media else None
    with (
        exclusive(site, catalog, "benchmark", listen=listen, own=True) as (site, _),  # noqa: PLR1704 - now held
        recorded(catalog.directory, site, Verb.BENCH, "all", listener=silent),
        catalog.scratch("benchmark") as place,
    ):
        yield from _measured(site, catalog, place, "db", repeat, partial(_dump, site, place))
        if tree:
            make = partial(archive, site, tree, place, listen=silent)
            yield from _measured(site, catalog, place, "media", repeat, lambda: make(now=local_now()))


def _dump(site: Site, place: Catalog) -> Artifact:
    return dump(site, place, BackupOptions(), now=local_now(), listen=silent)


def _measured(
    site: Site, catalog: Catalog, place: Catalog, noun: str, repeat: int, make: Callable[[], Artifact]
) -> Iterator[Measured]:
    """Yield backup, verification and drill of an object; each backup is made as the first of its kind."""
    made: list[Artifact] = []

    def back_up() -> None:
        for old in made:
            place.remove(old)
            remove_tree(place.directory / MEDIA_STORE)
        made[:] = [make()]

    def read_back() -> None:
        refuse_on_error(verify(place, made[0], now=local_now(), depth=Depth.CONTENT), ProofFailed)

    def load() -> None:
        drill(site, catalog, made[0], beside_or_local(site, catalog.directory), now=local_now(), listen=silent)

    for step, act in (("backup", back_up), ("verify", read_back), ("drill", load)):
        runs, phases = _timed(act, repeat)
        manifest = made[0].manifest
        proof = manifest and (manifest.database.size if manifest.database else manifest.media and manifest.media.bytes)
        yield Measured(step=step, object=noun, runs=runs, data=proof or 0, size=_size(place, made[0]), phases=phases)


def _size(place: Catalog, artifact: Artifact) -> int:
    """Return the bytes of a backup; of a listing those of the media store, too."""
    stored = artifact.stored_listing
    if stored is None:
        return artifact.size
    store = place.directory / MEDIA_STORE
    return artifact.size + sum(path.stat().st_size for path in store.glob("??/*"))


def _timed(act: Callable[[], None], repeat: int) -> tuple[tuple[float, ...], dict[str, float]]:
    runs: list[float] = []
    phases: dict[str, float] = {}
    for _ in range(repeat):
        with timings.recorded_apart() as recorder:
            began = time.perf_counter()
            act()
            runs.append(round(time.perf_counter() - began, 6))
        for name, spent in recorder.phases.items():
            phases[name] = phases.get(name, 0.0) + spent.seconds
    return tuple(runs), phases
