"""The conditions of a backup run, for the verbs that check them."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from korrigo_backup.artifact.catalog import local_now
from korrigo_backup.artifact.kinds import Kind
from korrigo_backup.backup.backup import room_wanted
from korrigo_backup.core.finding import error, first_error, ok, warning
from korrigo_backup.errors import Locked
from korrigo_backup.kit.kit import state
from korrigo_backup.places.local import left
from korrigo_backup.setup import scripts
from korrigo_backup.setup.path_columns import found_columns, unnamed
from korrigo_backup.setup.preflight import PreflightFacts, guarded, preflight
from korrigo_backup.site.manage import child_environment

if TYPE_CHECKING:
    from korrigo_backup.app.build import Wired
    from korrigo_backup.artifact.catalog import Catalog
    from korrigo_backup.core.finding import Finding


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
    at_work = guarded(error("site.quiet", ""), lambda: _quiet(wired.catalog))
    looked = preflight(wired.site, around)
    own = guarded(warning("scripts.foreign", ""), lambda: scripts.findings(wired.directory))
    return [*looked, *_path_columns(wired, looked), *own, *at_work, *kit, *wired.announcer().checked()]


def _path_columns(wired: Wired, looked: list[Finding]) -> list[Finding]:
    """Return the findings about unconfigured columns that name media files; none if the site cannot be read."""
    if first_error(looked):
        return []
    return guarded(warning("media.unnamed", ""), lambda: unnamed(found_columns(wired.site())))


def _quiet(catalog: Catalog) -> list[Finding]:
    """Return whether no other run is at work (runbook 4.1), and the leftover of a killed drill."""
    if not catalog.directory.is_dir():
        return [ok("site.quiet", "no other run is at work")]
    try:
        with catalog.exclusive("look whether a run is at work"):
            quiet = ok("site.quiet", "no other run is at work")
            place = left(catalog.directory)
    except Locked as problem:
        return [error("site.quiet", problem.message, "wait for its end; nightly --wait does")]
    if not place:
        return [quiet]
    words = f"a killed drill has left {' and '.join(place)}; a server of it may still run"
    return [quiet, warning("recover.left", words, "the next backup, plan, restore or rollback ends and removes it")]


def _least(catalog: Catalog, database: int = 0, media: int = 0) -> int:
    """Return the bytes without which a backup of a database or of media of so many bytes is not begun."""
    sizes = ((Kind.SQL, database), (Kind.MEDIA, media))
    return max(room_wanted(catalog, kind, otherwise=partial(int, size)) for kind, size in sizes)
