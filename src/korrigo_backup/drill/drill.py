"""Load a backup next to the live site, prove it there and remove it: the site goes on, and no live data are changed."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from korrigo_backup.artifact import naming
from korrigo_backup.artifact.components import components
from korrigo_backup.artifact.kinds import KINDS
from korrigo_backup.artifact.signature import Authenticity
from korrigo_backup.core.finding import Finding, Level, ok, warning
from korrigo_backup.errors import KorrigoBackupError, ProofFailed, Refused
from korrigo_backup.postgres.dump.place import NoRight
from korrigo_backup.postgres.server_error import ClientFailed, StatementFailed
from korrigo_backup.recovery.local_place import lacks, local_server
from korrigo_backup.restore.bound import BOUND
from korrigo_backup.restore.needs import OF_THE_SWAP
from korrigo_backup.restore.parts import DatabasePart, RestoreContext, open_part
from korrigo_backup.restore.plan import refusal
from korrigo_backup.restore.planning import MOUNTED
from korrigo_backup.run.undo import UndoStack, all_or_nothing
from korrigo_backup.site.stamps import own_stamp
from korrigo_backup.system.timings import phase

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

    from korrigo_backup.artifact.artifact import Artifact
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.restore.parts import StagedPart
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


@phase("drill")
def drill(
    site: Site,
    catalog: Catalog,
    artifact: Artifact,
    *,
    now: datetime,
    listen: Listener,
) -> list[Finding]:
    """Load, prove and remove; the caller holds the lock. ProofFailed if it cannot be loaded or proven.

    Refused if there is no room for it on the site's server, or no right to make a database.
    """
    if KINDS[artifact.kind].loaded_by_django:
        return [NO_DRILL]
    artifacts = components(catalog, artifact)
    trusted = artifact.authenticity is Authenticity.AUTHENTIC
    found: list[Finding] = []
    stamp = naming.stamp(own_stamp(site, now))
    context = RestoreContext(site, stamp, listen, trusted, report=found.append)
    with ExitStack() as opened:
        parts, where = _opened(artifacts, context, catalog.directory, opened)
        _require_possible(finding for part in parts for finding in part.plan.findings)
        with all_or_nothing() as undo:
            for part in parts:
                _stage(part, undo)
            left = _remove(undo)
    losses = [one for part in parts for one in part.plan.findings if one.level is Level.LOSS or one.id == BOUND]
    done = "" if left else ", and removed again"
    return [*losses, *found, *left, ok("verify.drilled", f"{artifact.name}: loaded {where}, proven{done}")]


def _opened(
    artifacts: Iterable[Artifact], context: RestoreContext, directory: Path, opened: ExitStack
) -> tuple[list[StagedPart], str]:
    """Open the parts where they can be loaded, and return that place in words.

    If the site's role may not load a database on its server, a throw-away server of this machine is used.
    """
    parts, where = [], "next to the live site"
    for one in artifacts:
        part = opened.enter_context(open_part(one, context, rehearsal=True))
        if isinstance(part, DatabasePart) and context.trusted and (lacking := lacks(part.plan.findings)):
            live = context.site.postgres.database
            place = local_server(directory, part.source.expected, live, lacking)
            server = opened.enter_context(place)
            elsewhere = replace(context, site=replace(context.site, postgres=server), confined=True)
            part = opened.enter_context(open_part(one, elsewhere, rehearsal=True))
            before = f"{lacking.message}, and a server on this machine has no way either: "
            _require_possible(part.plan.findings, before=before)
            where = f"on a throw-away server of this machine, because {lacking.message}"
        parts.append(part)
    return parts, where


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


def _require_possible(found: Iterable[Finding], *, before: str = "") -> None:
    """Raise Refused with all obstacles to a load; a drill swaps no data."""
    bad = [one for one in found if one.level is Level.ERROR and one.id not in {MOUNTED, *OF_THE_SWAP}]
    if bad:
        problem = refusal(bad)
        raise Refused(f"{before}{problem.message}", hint=problem.hint, id_=problem.id)


def _remove(undo: UndoStack) -> list[Finding]:
    """Remove the loaded data; a leftover is a finding, because the backup is proven and the site serves."""
    undo.unwind(KorrigoBackupError("the drill is over", hint="korrigo-backup rollback removes its leftovers"))
    if undo.halt is None:
        return []
    words = f"the drill could not remove {undo.halt.step}: {undo.halt.problem}"
    return [warning("recover.left", words, "the next run tries again; until then it takes room on the server")]
