"""The conditions of a backup run, for the verbs that check them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from korrigo_backup.app.build_places import staging_place
from korrigo_backup.artifact.catalog import LOCK_FILE, local_now
from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.backup.backup import room_wanted
from korrigo_backup.core.excerpt import listed
from korrigo_backup.core.finding import error, first_error, ok, warning
from korrigo_backup.erasure.requests import waiting_finding
from korrigo_backup.errors import Locked, NotFound, Unreachable
from korrigo_backup.kit.kit import state
from korrigo_backup.places.local import left
from korrigo_backup.recovery.mend import FIX, leftovers
from korrigo_backup.setup import scripts
from korrigo_backup.setup.path_columns import found_columns, unnamed
from korrigo_backup.setup.preflight import PreflightFacts, guarded, preflight
from korrigo_backup.site.manage import child_environment
from korrigo_backup.status.erasures import ledger_findings
from korrigo_backup.system import lock

if TYPE_CHECKING:
    from collections.abc import Callable

    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.finding import Finding
    from korrigo_backup.places.staging import StagingServer
    from korrigo_backup.postgres.client import Postgres


def checks(wired: Wired) -> list[Finding]:
    """Return the findings of every check: machine, services, database, media, disk, settings, kit, channels."""
    around = PreflightFacts(
        composed=wired.config.composed,
        environment=child_environment(wired.environment, {}),
        backups=wired.config.backup.dir,
        key_file=wired.keyring.path,
        dotenv=wired.dotenv,
        least=partial(_least, wired.catalog),
        require_key=wired.catalog.require_key,
    )
    kit = guarded(warning("kit.stale", ""), lambda: state(wired.catalog, wired.kit_source(), now=local_now()))
    looked = preflight(wired.site, around)
    server = None if first_error(looked) else wired.site().postgres
    at_work = guarded(error("site.quiet", ""), lambda: _quiet(wired.catalog, server))
    own = guarded(warning("scripts.foreign", ""), lambda: scripts.findings(wired.directory))
    staging = guarded(warning("recover.left", ""), lambda: _on_staging(wired))
    erased = guarded(
        error("erasure.ledger", ""), lambda: list(ledger_findings(wired.ledger(), wired.catalog.directory))
    )
    erased += guarded(error("erasure.spool", ""), lambda: _requests(wired))
    return [
        *looked,
        *_path_columns(wired, looked),
        *own,
        *at_work,
        *staging,
        *kit,
        *erased,
        *wired.announcer().checked(),
    ]


def _requests(wired: Wired) -> list[Finding]:
    """Return the finding about what the site's own code asks to forget, and nobody has accepted."""
    spool = wired.erasure_spool()
    waiting = spool.pending() if spool else []
    return [waiting_finding(len(waiting))] if waiting else []


def _path_columns(wired: Wired, looked: list[Finding]) -> list[Finding]:
    """Return the findings about unconfigured columns that name media files; none if the site cannot be read."""
    if first_error(looked):
        return []
    return guarded(warning("media.unnamed", ""), lambda: unnamed(found_columns(wired.site())))


def _quiet(catalog: Catalog, server: Postgres | None) -> list[Finding]:
    """Return whether no other run is at work (runbook 4.1), and the leftovers of killed runs."""
    quiet = ok("site.quiet", "no other run is at work")
    if not catalog.directory.is_dir():
        return [quiet]
    try:
        with lock.exclusive(catalog.directory / LOCK_FILE, "look whether a run is at work"):
            found = [quiet, *leftovers(catalog, server)]
    except Locked as problem:
        return [error("site.quiet", problem.message, "wait for its end; nightly --wait does")]
    if place := left(catalog.directory):
        words = f"a killed drill has left {' and '.join(place)}; a server of it may still run"
        found.append(warning("recover.left", words, f"{FIX}; the next backup ends and removes it, too"))
    return found


def _on_staging(wired: Wired) -> list[Finding]:
    """Return the finding about databases that killed drills have left on the staging server, if it answers."""
    if (place := _staging(wired)) and (names := _of_staging(place.left)):
        words = f"a killed drill has left {listed(names)} {place.label}"
        return [warning("recover.left", words, f"{FIX}; the next drill --place staging removes it, too")]
    return []


def mended_on_staging(wired: Wired) -> tuple[str, ...]:
    """Remove the databases that killed drills have left on the staging server, if it answers; return their names."""
    place = _staging(wired)
    return _of_staging(place.remove_left) if place else ()


def _staging(wired: Wired) -> StagingServer | None:
    staging = wired.config.staging
    return staging_place(wired) if staging.files or staging.host else None


def _of_staging(act: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """Return the names of an act on the staging server; none while it does not run."""
    try:
        return act()
    except (Unreachable, NotFound):
        return ()


def _least(catalog: Catalog, database: int = 0, media: int = 0) -> int:
    """Return the bytes without which a backup of a database or of media of so many bytes is not begun."""
    sizes = ((Kind.SQL, database), (Kind.MEDIA, media))
    return max(room_wanted(catalog, kind, otherwise=partial(int, size)) for kind, size in sizes)
