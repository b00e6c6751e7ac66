"""The verb `verify`: an artifact at one of three depths, and the findings, in the journal."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from korrigo_backup.artifact.components import members_of
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.core.finding import Finding, error, first_error, refuse_on_error
from korrigo_backup.drill.drill import drill, fingerprint
from korrigo_backup.errors import KorrigoBackupError, ProofFailed
from korrigo_backup.places.beside import beside_or_local
from korrigo_backup.recovery.recover import exclusive
from korrigo_backup.run import journal
from korrigo_backup.run.journal import Running, SiteName
from korrigo_backup.run.record import Verb
from korrigo_backup.run.step import Listener, silent
from korrigo_backup.verify.verify import Depth, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.secret import Secret
    from korrigo_backup.site.site import Site

DEPTH = "depth"
"""The journal's key for the depth of a verification."""


@dataclass(frozen=True)
class VerifyOptions:
    """The artifact and the depth of a verification; `site` returns the live site, which the full depth needs."""

    artifact: Artifact
    depth: Depth
    now: datetime
    name: str
    secrets: tuple[Secret, ...] = ()
    site: Callable[[], Site] | None = None


class _Bad(ProofFailed):
    """Ends the journal's block with the findings."""


def verified(catalog: Catalog, request: VerifyOptions) -> list[Finding]:
    """Return the findings; damage is a finding of level error. They are written to the journal if that is possible.

    Raises the obstacle to a drill (Refused, Unreachable, Locked): it is no fault of the backup.
    """
    findings: list[Finding] = []
    named = SiteName(request.name, request.secrets)
    why = {DEPTH: str(request.depth)}
    with suppress(_Bad), recorded_where_ours(catalog, named, Verb.VERIFY, request.artifact, why) as running:
        findings += verify(catalog, request.artifact, now=request.now, depth=request.depth)
        if request.depth is Depth.FULL and request.site and not first_error(findings):
            findings += _drilled(catalog, request, request.site, running)
        refuse_on_error(findings, _Bad)
    if first_error(findings):
        after_damage(catalog, request.artifact, named, request.now)
    return findings


def after_damage(catalog: Catalog, artifact: Artifact, site: SiteName, now: datetime) -> None:
    """Find out which component of a bad restore point is bad, and let the link name a good dump."""
    if KINDS[artifact.kind].components:
        with suppress(KorrigoBackupError):
            for component in members_of(catalog, artifact):
                verified(catalog, VerifyOptions(component, Depth.CONTENT, now, site.name, site.secrets))
    with suppress(KorrigoBackupError):
        catalog.relink()


@contextmanager
def recorded_where_ours(
    catalog: Catalog,
    named: SiteName,
    verb: Verb,
    artifact: Artifact,
    why: Mapping[str, str],
    *,
    fetched: bool = False,
    listen: Listener = silent,
) -> Iterator[Running]:
    """Record the block where it can be: a copy elsewhere, or a medium that is only read, has no journal here.

    A `fetched` copy is one of ours in a directory of the drill.
    """
    directory = catalog.directory
    places = (directory, directory / journal.FILE)
    ours = fetched or artifact.path.resolve().parent == directory.resolve()
    if not ours or not all(os.access(place, os.W_OK) for place in places if place.exists()):
        yield Running(listen)
        return
    with journal.recorded(directory, named, verb, artifact.name, listener=listen, why=why) as running:
        running.bytes = artifact.size
        yield running


def _drilled(catalog: Catalog, request: VerifyOptions, live: Callable[[], Site], running: Running) -> Sequence[Finding]:
    with exclusive(live(), catalog, f"drill of {request.artifact.name}") as (site, _):
        places = beside_or_local(site, catalog.directory)
        try:
            done = drill(site, catalog, request.artifact, places, now=request.now, listen=silent)
        except ProofFailed as problem:
            return [error("verify.drill-failed", problem.message, problem.hint)]
        done.note(running, fingerprint(catalog, request.artifact))
        return done.findings
