"""What must be so before a backup can run, for the verbs that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.catalog import local_now
from korrigo_backup.domain.finding import warning
from korrigo_backup.operations.kit import state
from korrigo_backup.operations.preflight import Surroundings, guarded, preflight, quiet
from korrigo_backup.site.django import child_environment

if TYPE_CHECKING:
    from korrigo_backup.domain.finding import Finding
    from korrigo_backup.wiring import Wired


def checks(wired: Wired) -> list[Finding]:
    """Return the findings of every check: machine, services, database, media, disk, settings, kit, channels."""
    around = Surroundings(
        composed=wired.config.composed,
        environment=child_environment(wired.environment, {}),
        backups=wired.config.backup.dir,
        key_file=wired.keyring.path,
    )
    kit = guarded(warning("kit.stale", ""), lambda: state(wired.catalog, wired.kit_source(), now=local_now()))
    return [*preflight(wired.site, around), quiet(wired.catalog), *kit, *wired.announcer().checked()]
