"""The parts of an artifact, each open in the place where it will be loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.core.finding import Level
from korrigo_backup.errors import Refused
from korrigo_backup.places.local import lacks
from korrigo_backup.places.place import PlaceName
from korrigo_backup.restore.needs import OF_THE_SWAP
from korrigo_backup.restore.parts import open_part
from korrigo_backup.restore.plan import refusal
from korrigo_backup.restore.planning import MOUNTED, NOT_WRITABLE
from korrigo_backup.run.step import MakingPlace, PlaceMade

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from contextlib import ExitStack

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.places.place import Place, Places
    from korrigo_backup.restore.parts import RestoreContext, StagedPart


@dataclass(frozen=True)
class PartLoad:
    """A part, open to be loaded in a place; `why` is the reason for a place that was not asked for."""

    part: StagedPart
    place: Place
    why: str = ""


def opened_parts(
    artifacts: Iterable[Artifact], context: RestoreContext, places: Places, opened: ExitStack
) -> Iterator[PartLoad]:
    """Yield the parts, each opened where it can be loaded.

    If the role may not load a database in the place, the place instead is used.
    """
    for one in artifacts:
        if not KINDS[one.kind].is_dump:
            site = replace(context.site, media=opened.enter_context(places.place.media()))
            yield PartLoad(_open(one, replace(context, site=site), opened), places.place)
            continue
        load = PartLoad(_open(one, _on(places.place, one, context, opened), opened), places.place)
        lacking = lacks(load.part.plan.findings) if context.trusted else None
        if lacking and places.instead:
            load = _load_instead(one, context, places.instead, lacking, opened)
        yield load


def _open(artifact: Artifact, context: RestoreContext, opened: ExitStack) -> StagedPart:
    return opened.enter_context(open_part(artifact, context, rehearsal=True))


def _on(place: Place, artifact: Artifact, context: RestoreContext, opened: ExitStack) -> RestoreContext:
    """Return the context of a load on the server of a place, which is made."""
    if place.name is PlaceName.BESIDE:
        return context
    proof = artifact.manifest.database if artifact.manifest else None
    context.listen(MakingPlace(place.label))
    server = opened.enter_context(place.server(proof))
    context.listen(PlaceMade())
    return replace(context, site=replace(context.site, postgres=server), confined=place.confined)


def _load_instead(
    artifact: Artifact, context: RestoreContext, place: Place, lacking: Finding, opened: ExitStack
) -> PartLoad:
    """Open a database in another place. Raises Refused with both reasons if that cannot load it either."""
    try:
        elsewhere = _on(place, artifact, context, opened)
    except Refused as problem:
        raise Refused(f"{lacking.message}, and {problem.message}", hint=lacking.hint, id_=problem.id) from None
    part = _open(artifact, elsewhere, opened)
    before = f"{lacking.message}, and a server on this machine has no way either: "
    require_possible(part.plan.findings, before=before)
    return PartLoad(part, place, f", because {lacking.message}")


def require_possible(found: Iterable[Finding], *, before: str = "") -> None:
    """Raise Refused with all obstacles to a load; a drill swaps no data."""
    bad = [one for one in found if one.level is Level.ERROR and one.id not in {MOUNTED, NOT_WRITABLE, *OF_THE_SWAP}]
    if bad:
        problem = refusal(bad)
        raise Refused(f"{before}{problem.message}", hint=problem.hint, id_=problem.id)
