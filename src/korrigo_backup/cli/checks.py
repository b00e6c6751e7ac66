"""What must be so before a backup can run, for the verbs that ask for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from korrigo_backup.operations.preflight import Surroundings, preflight, quiet
from korrigo_backup.site.django import child_environment

if TYPE_CHECKING:
    from korrigo_backup.domain.finding import Finding
    from korrigo_backup.wiring import Wired


def checks(wired: Wired) -> list[Finding]:
    """Return the findings of every check of the machine, the services, the database, the media and the disk."""
    around = Surroundings(
        composed=wired.config.composed,
        environment=child_environment(wired.environment, {}),
        backups=wired.config.backup.dir,
        key_file=wired.keyring.path,
    )
    return [*preflight(wired.site, around), quiet(wired.catalog)]
